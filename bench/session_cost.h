// What the HTTP/2 session alone costs a call: bytes in, bytes out, in process, without sockets. For profiles, and for
// counting instructions (instructions.sh).
#ifndef SLUICE_BENCH_SESSION_COST_H_
#define SLUICE_BENCH_SESSION_COST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "bench/fixture.h"
#include "bench/http2_caller.h"

namespace sluice::bench {

struct SessionQuestions {
  // Check, the same, the same by a caller that knows OVERLOADED, CheckBatch of `batch_size`.
  std::shared_ptr<const Http2Calls> unary, with_deadline, shed, batch;
  int64_t batch_size = 0;
};

// Hands `calls` checks, 64 at a time, to sessions before a method that does nothing ("null"), a checker that nobody
// watches ("bare"; with a deadline each, "deadline"; in batches, "batch"), and one with the observers of a node
// ("watched"; where all have waited for too long, "shed"), over a policy of `sizes`. Prints the nanoseconds of a check
// in each, or in the one named `only`, and the CPU that other threads took for it: the log's.
absl::Status PrintSessionCosts(const Sizes& sizes, const SessionQuestions& questions, int64_t calls,
                               const std::string& only);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_SESSION_COST_H_
