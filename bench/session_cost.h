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

// Hands `calls` calls, 64 at a time, to sessions before a method that does nothing ("null"), a checker that nobody
// watches ("bare"), and one with the observers of a node ("watched"), over a policy of `sizes`. Prints the nanoseconds
// of a call in each, or in the one named `only`. `questions` are calls of Check.
absl::Status PrintSessionCosts(const Sizes& sizes, const std::shared_ptr<const Http2Calls>& questions, int64_t calls,
                               const std::string& only);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_SESSION_COST_H_
