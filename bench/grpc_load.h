// The client: keeps a number of calls under way on one connection, and times each.
#ifndef SLUICE_BENCH_GRPC_LOAD_H_
#define SLUICE_BENCH_GRPC_LOAD_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sluice/v1/check.pb.h"

namespace sluice::bench {

struct Request {
  grpc::ByteBuffer bytes;  // of a CheckRequest
  // What the answer must say; unset where any will do.
  v1::Verdict verdict = v1::VERDICT_UNSPECIFIED;
  v1::Reason reason = v1::REASON_UNSPECIFIED;
};

struct Measured {
  int64_t calls = 0;
  int64_t wrong = 0;   // calls that failed, or were answered other than they must be
  std::string what;    // the first of them
  double seconds = 0;  // from the first call to the last answer
  double p50_us = 0, p99_us = 0;
};

// Not thread-safe. One completion queue, served by the thread that calls Run.
class Load {
 public:
  // `requests` must outlive the load. `check` = compare each answer with what its request must get; both sides parse
  // it.
  Load(const std::string& socket, const std::vector<Request>* requests, bool check);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // One call; the bytes of its answer.
  absl::StatusOr<std::string> CallOnce(const Request& request);
  // Keeps `in_flight` calls under way for so long, then waits for the last of them.
  Measured Run(int in_flight, absl::Duration lasts);

 private:
  struct Call;
  void Start(Call* call);
  void Finish(Call* call, Measured* measured);

  const std::vector<Request>* const requests_;
  const bool check_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  size_t next_ = 0;
  v1::CheckResponse response_;
  std::vector<uint32_t> latencies_ns_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_GRPC_LOAD_H_
