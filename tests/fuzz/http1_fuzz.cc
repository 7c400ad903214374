// Whatever comes on an HTTP/1.1 connection: the session must not break, must answer the same however the bytes arrive,
// and must never take a body for a request or the other way round, which the second would show.
#include <stdlib.h>

#include <string>

#include "absl/strings/string_view.h"
#include "server/listen/http1_session.h"
#include "tests/server/echo_methods.h"

namespace sluice {
namespace {

// The second that a response was written in is of no interest.
void DropDates(std::string* out) {
  constexpr absl::string_view kDate = "\r\nDate: ";
  for (size_t at = out->find(kDate.data()); at != std::string::npos; at = out->find(kDate.data(), at)) {
    out->erase(at, out->find("\r\n", at + 2) - at);
  }
}

std::string Converse(absl::string_view bytes, size_t piece) {
  EchoRoutes routes;
  SessionLimits limits;
  limits.body_bytes_max = 1 << 16;
  MonotonicTime now{1'000'000'000};
  Http1Session session(&routes.router, &limits, now);
  std::string unread;
  for (size_t at = 0; at < bytes.size() && !session.finished();) {
    const absl::string_view more = bytes.substr(at, piece);
    unread.append(more.data(), more.size());
    at += more.size();
    unread.erase(0, session.Receive(absl::MakeSpan(unread), now));
    if (unread.size() > Session::kUnreadBytesMax) abort();
  }
  std::string out = session.out();
  now.ns += 100'000'000'000;
  session.Tick(now);
  session.Drain(now);
  if (!session.finished()) abort();
  DropDates(&out);
  return out;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string dripped = sluice::Converse(bytes, 1);
  std::string whole = sluice::Converse(bytes, size + 1);
  // One that waits for "100 Continue" is told so only where its body has not begun to come.
  if (bytes.find("100-continue") == absl::string_view::npos && bytes.find("100-Continue") == absl::string_view::npos &&
      whole != dripped) {
    std::string lower(bytes);
    for (char& c : lower) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
    if (lower.find("100-continue") == std::string::npos) abort();
  }
  return 0;
}
