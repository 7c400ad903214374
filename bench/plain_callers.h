// Callers that have one request under way on a connection: HTTP/1.1, and a ping-pong of bytes that mean nothing.
#ifndef SLUICE_BENCH_PLAIN_CALLERS_H_
#define SLUICE_BENCH_PLAIN_CALLERS_H_

#include <memory>
#include <string>
#include <vector>

#include "bench/caller.h"

namespace sluice::bench {

// Requests of HTTP/1.1 on a connection that is kept. Every answer must have status 200, and a Content-Length.
class Http1Caller final : public Caller {
 public:
  explicit Http1Caller(std::shared_ptr<const std::vector<std::string>> requests) : requests_(std::move(requests)) {}

  bool MayCall() const override { return !under_way_; }
  void Call(size_t call, uint32_t slot, std::string* out) override;
  size_t Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) override;

 private:
  const std::shared_ptr<const std::vector<std::string>> requests_;
  bool under_way_ = false;
  uint32_t slot_ = 0;
};

// So many bytes there, so many back.
class PingPongCaller final : public Caller {
 public:
  PingPongCaller(size_t request_bytes, size_t answer_bytes)
      : request_(request_bytes, 'q'), answer_bytes_(answer_bytes) {}

  bool MayCall() const override { return !under_way_; }
  void Call(size_t call, uint32_t slot, std::string* out) override;
  size_t Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) override;

 private:
  const std::string request_;
  const size_t answer_bytes_;
  bool under_way_ = false;
  uint32_t slot_ = 0;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_PLAIN_CALLERS_H_
