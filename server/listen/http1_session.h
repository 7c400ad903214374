// A connection that speaks HTTP/1.1: keep-alive, pipelining, Expect: 100-continue, bodies by length or in chunks.
#ifndef SLUICE_SERVER_LISTEN_HTTP1_SESSION_H_
#define SLUICE_SERVER_LISTEN_HTTP1_SESSION_H_

#include <string>

#include "absl/types/optional.h"
#include "server/listen/http1_parser.h"
#include "server/listen/router.h"
#include "server/listen/session.h"

namespace sluice {

// What cannot be answered by a handler is answered here: 400, 404, 408, 413, 417, 431, 501, 503, 505. After a fault in
// the framing the connection ends, since where the next request begins is not known.
class Http1Session final : public Session {
 public:
  enum class Keeps : uint8_t { kAlive, kOneRequest };
  // Both must outlive the session. kOneRequest: ends behind the first answer, whatever its caller would like.
  Http1Session(const Router* router, const SessionLimits* limits, MonotonicTime now, Keeps keeps = Keeps::kAlive)
      : router_(router), limits_(limits), since_(now), draining_(keeps == Keeps::kOneRequest) {}

  WireProtocol protocol() const override { return WireProtocol::kHttp1; }
  size_t Receive(absl::Span<char> bytes, MonotonicTime now) override;
  void Tick(MonotonicTime now) override;
  void Drain(MonotonicTime now) override;
  size_t held_bytes() const override {
    return out_.capacity() + head_bytes_.capacity() + body_.capacity() + response_.body.capacity();
  }
  void Rest() override;

 private:
  enum class State : uint8_t { kHead, kBody, kChunks };

  // Each returns how many bytes it took; zero = it wants more, or the session is finished.
  size_t TakeHead(absl::Span<char> bytes);
  size_t TakeBody(absl::string_view bytes);
  size_t TakeChunks(absl::string_view bytes);

  // The body is on its way: keeps the head beyond this call.
  void AwaitBody(absl::Span<const char> head, bool begun);
  void Answer(absl::string_view body);
  void AppendResponse(const HttpResponse& response, bool keep_alive);
  void Refuse(const Http1Fault& fault);

  const Router* const router_;
  const SessionLimits* const limits_;
  State state_ = State::kHead;
  size_t scanned_ = 0;      // of a head that is not whole yet
  size_t empty_lines_ = 0;  // before a request
  Http1Head head_;
  std::string head_bytes_;  // what head_ views, while the body is awaited
  std::string body_;
  absl::optional<ChunkedReader> chunks_;
  HttpResponse response_;
  MonotonicTime since_;  // the first byte of the request under way; or the end of the last one
  bool under_way_ = false;
  bool answered_ = false;  // a request of this connection: HTTP/1.1 it is
  bool draining_;          // the next answer is the last
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_HTTP1_SESSION_H_
