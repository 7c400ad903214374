// Whatever comes on an HTTP/2 connection: the session must not break, must answer in whole frames, and must answer the
// same however the bytes arrive, and in the company of others.
#include <stdlib.h>

#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"
#include "server/listen/http2_session.h"
#include "tests/server/echo_methods.h"

namespace sluice {
namespace {

enum class Way {
  kPlain,
  kInCompany,  // calls are left to a gathering
  kScarce,     // all that is for all connections is taken, and what comes has waited
};

// `*in_turns`: it came to questions that are answered when what was said before is taken.
std::string Converse(absl::string_view bytes, size_t piece, size_t window, uint32_t streams, Way way, bool* in_turns) {
  EchoRoutes routes;
  SessionLimits limits;
  limits.streams_max = streams;
  limits.buffered_bytes_max = 1 << 20;
  limits.message_bytes_max = 1 << 16;
  MonotonicTime now{1'000'000'000};
  limits.wait_max = absl::Seconds(1);
  BufferBudget budget(0);
  const bool scarce = way == Way::kScarce;
  BufferShare share(scarce ? &budget : nullptr);
  http2::Http2Session session(&routes.router, &limits, now);
  session.DrawOn(&share);
  CallGathering gathering;
  if (way == Way::kInCompany) session.GatherIn(&gathering);
  std::string unread(http2::kPreface.data(), http2::kPreface.size());
  http2::AppendFrameHeader(6, http2::FrameType::kSettings, 0, 0, &unread);
  http2::AppendSetting(http2::SettingId::kInitialWindowSize, static_cast<uint32_t>(window), &unread);
  std::string said;
  for (size_t at = 0; !session.finished();) {
    if (scarce) session.OnWaited(absl::Milliseconds(400), now);
    const size_t taken = session.Receive(absl::MakeSpan(unread), now);
    gathering.Answer();
    while (session.has_more() && !scarce) {  // else it is never taken
      *in_turns = true;
      said += session.out();
      session.out().clear();
      session.GoOn(now);
    }
    unread.erase(0, taken);
    share.Hold(session.held_bytes());
    if (scarce) session.Rest();
    if (unread.size() > Session::kUnreadBytesMax) abort();
    if (at >= bytes.size()) break;
    const absl::string_view more = bytes.substr(at, piece);
    unread.append(more.data(), more.size());
    at += more.size();
  }
  const std::string out = said + session.out();
  // What time does comes after: it must not break either.
  session.OnWatchedChanged();
  now.ns += 2'000'000'000;
  session.Tick(now);
  session.Drain(now);
  now.ns += 100'000'000'000;
  session.Tick(now);
  size_t at = 0;
  const std::string all = said + session.out();
  while (all.size() - at >= http2::kFrameHeaderBytes) {
    at += http2::kFrameHeaderBytes + http2::ReadFrameHeader(all.data() + at).length;
    if (at > all.size()) abort();
  }
  if (at != all.size()) abort();
  return out;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t window = data[0] < 128 ? 65535 : data[0] - 128;
  // So few that they are soon refused, or more than are kept for the next ones when they are over.
  const uint32_t streams = data[0] % 2 == 0 ? 8 : 64;
  bool in_turns = false;
  const std::string whole = sluice::Converse(bytes, size, window, streams, sluice::Way::kPlain, &in_turns);
  const std::string pieces = sluice::Converse(bytes, 1 + data[0] % 13, window, streams, sluice::Way::kPlain, &in_turns);
  const std::string in_company =
      sluice::Converse(bytes, 1 + data[0] % 513, window, streams, sluice::Way::kInCompany, &in_turns);
  // In turns, what goes out is in the order in which it is taken. Where the second changed between them, so did Date:
  // then once more is no longer what it was.
  if (!in_turns && (whole != pieces || whole != in_company) &&
      whole == sluice::Converse(bytes, size, window, streams, sluice::Way::kPlain, &in_turns)) {
    abort();
  }
  sluice::Converse(bytes, 1 + data[0] % 13, window, streams, sluice::Way::kScarce, &in_turns);
  return 0;
}
