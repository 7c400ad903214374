// What time does to a connection: who takes too long is cut, who is silent is asked whether it is there.
#include <algorithm>

#include "server/listen/http2_session.h"

namespace sluice::http2 {
namespace {

// So often streams are looked at, and when a deadline passes.
constexpr absl::Duration kLookEvery = absl::Seconds(1);
constexpr absl::string_view kAlivePing("alive?\0\0", 8);

}  // namespace

void Http2Session::Tick(MonotonicTime now) {
  if (finished_) return;
  now_ns_ = now.ns;
  const auto since = [now](int64_t then) { return absl::Nanoseconds(now.ns - then); };
  if (now.ns - nuisance_since_ns_ > 1'000'000'000) {
    nuisance_since_ns_ = now.ns;
    nuisance_ = 0;
  }
  if (has_more()) {
    // The peer is not read from meanwhile, and shows that it is there by taking its answers.
    last_received_ns_ = now.ns;
    ping_sent_ns_ = 0;
    if (partial_since_ns_ != 0) partial_since_ns_ = now.ns;
  }
  if (partial_since_ns_ != 0 && since(partial_since_ns_) > limits_->request_max) {
    return Fail(ErrorCode::kProtocolError, "a frame that did not come to its end", WireError::kSlow);
  }
  if (streams_.size() > 0 && now.ns >= look_ns_) {
    TickStreams(now);
    if (finished_) return;
  }
  if (ping_sent_ns_ != 0) {
    if (since(ping_sent_ns_) > limits_->ping_patience)
      return Fail(ErrorCode::kNoError, "no answer to PING", WireError::kSlow);
  } else if (since(last_received_ns_) > limits_->ping_after) {
    ping_sent_ns_ = now.ns;
    AppendPing(kAlivePing, 0, &out_);
  }
  if (streams_.size() == 0 && since(last_request_ns_) > limits_->idle_max) {
    return End(ErrorCode::kNoError, "idle");
  }
  if (drain_ == DrainStep::kAnnounced && since(drain_since_ns_) > absl::Seconds(1)) {
    EndDrain();
  }
}

void Http2Session::TickStreams(MonotonicTime now) {
  look_ns_ = now.ns + absl::ToInt64Nanoseconds(kLookEvery);
  // Numbers first: what is answered is gone.
  for (const uint32_t id : streams_.Ids()) {
    Stream* const stream = streams_.Find(id);
    if (stream == nullptr) continue;
    if (stream->deadline_ns <= now.ns && !stream->ending) {
      FinishGrpc(stream, absl::DeadlineExceededError("the caller's deadline has passed"));
    } else if (IsOverdue(*stream, now)) {
      ResetStream(id, stream, ErrorCode::kCancel);
    } else if (!stream->ending) {
      look_ns_ = std::min(look_ns_, stream->deadline_ns);
    }
    if (finished_) return;
  }
}

bool Http2Session::IsOverdue(const Stream& stream, MonotonicTime now) const {
  const auto over = [&](int64_t since) { return absl::Nanoseconds(now.ns - since) > limits_->request_max; };
  if (stream.awaits_turn) return false;  // it waits for us, and for the peer to take what was said before
  const bool unary = stream.grpc == nullptr || stream.grpc->flow == GrpcRoute::Flow::kUnary;
  const bool unasked = !unary && stream.grpc->flow == GrpcRoute::Flow::kWatch && !stream.watching;
  // Half a request, or the last of an answer that nobody takes.
  if (unary || unasked || stream.ending) return over(stream.opened_ns);
  // Of a call that goes on: answers of which none is taken, or half a message.
  return stream.unsent_bytes() > 0 ? over(stream.taken_ns) : !stream.body.empty() && over(stream.part_since_ns);
}

}  // namespace sluice::http2
