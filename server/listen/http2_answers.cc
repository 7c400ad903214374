// What goes out on a stream, as far as the peer's windows let it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/listen/grpc_status.h"
#include "server/listen/http2_session.h"

namespace sluice::http2 {

size_t Http2Session::BeginBlock() {
  const size_t began = out_.size();
  out_.append(kFrameHeaderBytes, '\0');
  hpack_.Begin(&out_);
  return began;
}

void Http2Session::EndBlock(size_t began, uint32_t id, bool end_stream) {
  const uint8_t end = end_stream ? kEndStream : 0;
  const size_t size = out_.size() - began - kFrameHeaderBytes;
  if (size <= kFrameBytesMax) {
    WriteFrameHeader({static_cast<uint32_t>(size), static_cast<uint8_t>(FrameType::kHeaders),
                      static_cast<uint8_t>(kEndHeaders | end), id},
                     &out_[began]);
    return;
  }
  // Over one frame: the rest in CONTINUATION.
  const std::string block = out_.substr(began + kFrameHeaderBytes);
  out_.resize(began);
  for (size_t at = 0; at < block.size(); at += kFrameBytesMax) {
    const size_t piece = std::min<size_t>(kFrameBytesMax, block.size() - at);
    const uint8_t last = at + piece == block.size() ? kEndHeaders : 0;
    AppendFrameHeader(static_cast<uint32_t>(piece), at == 0 ? FrameType::kHeaders : FrameType::kContinuation,
                      static_cast<uint8_t>(last | (at == 0 ? end : 0)), id, &out_);
    out_.append(block, at, piece);
  }
}

void Http2Session::AppendDataFrame(uint32_t id, absl::string_view data, bool end_stream) {
  AppendFrameHeader(static_cast<uint32_t>(data.size()), FrameType::kData, end_stream ? kEndStream : 0, id, &out_);
  out_.append(data.data(), data.size());
}

void Http2Session::SendGrpcHeaders(Stream* stream) {
  if (std::exchange(stream->headers_sent, true)) return;
  const size_t began = BeginBlock();
  hpack_.AppendStatus(200, &out_);
  hpack_.AppendGrpcContentType(&out_);
  EndBlock(began, stream->id, /*end_stream=*/false);
}

bool Http2Session::SendData(Stream* stream, absl::string_view data) {
  const bool first = stream->unsent_bytes() == 0;
  // What the socket has not taken yet is as much memory as what the windows hold back.
  const bool slow = out_.size() + buffered_ + data.size() > limits_->buffered_bytes_max;
  if (first && !slow) {
    // The usual case: all of it, from where it lies.
    const auto room = static_cast<uint64_t>(std::max<int64_t>(0, std::min(send_window_, stream->send_window)));
    if (data.size() <= std::min<uint64_t>(room, peer_frame_bytes_max_)) {
      send_window_ -= static_cast<int64_t>(data.size());
      stream->send_window -= static_cast<int64_t>(data.size());
      AppendDataFrame(stream->id, data, stream->ends_bare);
      if (!stream->ends_bare) return true;
      CloseAnswered(stream);
      return false;
    }
  }
  if (slow || !MayGrow(stream->unsent, data.size())) {
    ResetStream(stream->id, stream, ErrorCode::kEnhanceYourCalm, slow ? WireError::kSlow : WireError::kNoRoom);
    return false;
  }
  if (first) {
    ++blocked_;
    stream->taken_ns = now_ns_;
  }
  stream->unsent.append(data.data(), data.size());
  buffered_ += data.size();
  Recount(stream);
  const uint32_t id = stream->id;
  Flush(stream);
  return streams_.Find(id) != nullptr;
}

void Http2Session::Flush(Stream* stream) {
  while (stream->unsent_bytes() > 0) {
    const int64_t room = std::min({send_window_, stream->send_window, int64_t{peer_frame_bytes_max_}});
    if (room <= 0) {
      // Not at the front of a long text for ever: a peer that is always a little behind is no hoarder.
      if (stream->unsent_at <= stream->unsent.size() / 2) return;
      buffered_ -= stream->unsent_at;
      stream->unsent.erase(0, std::exchange(stream->unsent_at, 0));
      return;
    }
    const absl::string_view piece =
        absl::string_view(stream->unsent).substr(stream->unsent_at, static_cast<size_t>(room));
    stream->taken_ns = now_ns_;
    stream->unsent_at += piece.size();
    send_window_ -= static_cast<int64_t>(piece.size());
    stream->send_window -= static_cast<int64_t>(piece.size());
    AppendDataFrame(stream->id, piece, stream->ends_bare && stream->unsent_bytes() == 0);
  }
  buffered_ -= stream->unsent.size();
  stream->unsent.clear();
  stream->unsent_at = 0;
  --blocked_;
  if (stream->ends_bare) {
    CloseAnswered(stream);
  } else if (stream->ending) {
    SendTrailers(stream);
  }
}

void Http2Session::FlushAll() {
  if (blocked_ == 0) return;
  for (const uint32_t id : streams_.Ids()) {
    if (Stream* const stream = streams_.Find(id); stream != nullptr && stream->unsent_bytes() > 0) Resume(stream);
    if (finished_) return;
  }
}

void Http2Session::Resume(Stream* stream) {
  const uint32_t id = stream->id;
  Flush(stream);
  stream = streams_.Find(id);
  if (stream == nullptr || stream->unsent_bytes() > 0 || stream->ending || stream->grpc == nullptr) return;
  stream->part_since_ns = now_ns_;  // it could not send the rest of a message while its answers waited
  if (stream->watching) return TellWatcher(stream);
  if (stream->grpc->flow != GrpcRoute::Flow::kStream) return;
  // One step of a window may let go on all streams, each with a megabyte of questions.
  if (!stream->body.empty()) return AwaitTurn(stream);
  PumpStream(stream, {});
}

void Http2Session::FinishGrpc(Stream* stream, absl::Status status) {
  AnswerAsked();
  stream->ending = true;
  stream->end_status = WithTrace(std::move(status), stream->trace_parent);
  if (stream->unsent_bytes() == 0) return SendTrailers(stream);
  stream->opened_ns = now_ns_;  // from here on the peer's patience is ours: it has to take what is left in time
}

void Http2Session::SendTrailers(Stream* stream) {
  const absl::Status& status = stream->end_status;
  const size_t began = BeginBlock();
  if (!stream->headers_sent) {  // trailers-only
    hpack_.AppendStatus(200, &out_);
    hpack_.AppendGrpcContentType(&out_);
    hpack_.AppendField("grpc-accept-encoding", "identity", &out_);
  }
  if (status.ok()) {
    hpack_.AppendGrpcOk(&out_);
  } else {
    // absl's and gRPC's codes are the same numbers.
    hpack_.AppendField("grpc-status", absl::StrCat(static_cast<int>(status.code())), &out_);
    if (!status.message().empty()) {
      hpack_.AppendField("grpc-message", EncodeStatusMessage(status.message()), &out_);
    }
  }
  EndBlock(began, stream->id, /*end_stream=*/true);
  CloseAnswered(stream);
}

void Http2Session::CloseAnswered(Stream* stream) {
  nuisance_ = std::max(0, nuisance_ - 8);
  if (!stream->remote_closed) {  // RFC 9113, 8.1: the answer does not depend on the rest of the request
    AppendNumberFrame(FrameType::kRstStream, stream->id, static_cast<uint32_t>(ErrorCode::kNoError), &out_);
    cut_[cut_next_++ % cut_.size()] = stream->id;
  }
  Close(stream);
}

void Http2Session::Close(Stream* stream) {
  if (stream->deadline_ns != kNoDeadline) --deadlines_;
  if (stream->watching) --watchers_;
  if (stream->grpc != nullptr && stream->grpc->flow != GrpcRoute::Flow::kUnary) {
    --long_calls_;
    if (counts_ != nullptr) counts_->OnStreamsClosed(1);
  }
  if (stream->unsent_bytes() > 0) --blocked_;
  if (stream->awaits_turn) turns_.erase(std::find(turns_.begin(), turns_.end(), stream->id));
  buffered_ -= stream->body.size() + stream->unsent.size();
  texts_bytes_ -= stream->counted_bytes;
  streams_.Remove(stream);
  if (drain_ == DrainStep::kLast && streams_.size() == 0) finished_ = true;
}

void Http2Session::ReplenishConnection() {
  if (receive_window_ > kConnectionWindow / 2) return;
  AnswerAsked();
  AppendNumberFrame(FrameType::kWindowUpdate, 0, static_cast<uint32_t>(kConnectionWindow - receive_window_), &out_);
  receive_window_ = kConnectionWindow;
}

void Http2Session::ReplenishStream(Stream* stream) {
  if (stream->remote_closed || stream->receive_window > kStreamWindow / 2) return;
  AppendNumberFrame(FrameType::kWindowUpdate, stream->id, static_cast<uint32_t>(kStreamWindow - stream->receive_window),
                    &out_);
  stream->receive_window = kStreamWindow;
}

}  // namespace sluice::http2
