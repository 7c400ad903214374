#include "server/listen/http2_session.h"

#include <algorithm>
#include <utility>

namespace sluice::http2 {
namespace {

// A peer is never told to have fewer calls under way than this, nor to have more again sooner.
constexpr uint32_t kStreamsLeast = 16;
constexpr absl::Duration kTellMoreAfter = absl::Milliseconds(100);
// So many streams a connection may open whatever others hold: a few kilobytes.
constexpr size_t kStreamsOwn = 64;
constexpr size_t kBlockBytesMax = size_t{32} << 10;
constexpr int kBlockFramesMax = 16;
// More nuisance than this in a second ends a connection: a thousand times what any client was seen to send.
constexpr int kNuisanceMax = 10'000;
// Less than this, where more waits, is no step forward. Each makes the session look at every stream that waits.
constexpr int64_t kWindowStepMin = 1024;
constexpr absl::string_view kDrainPing("drain\0\0\0", 8);

WireError WireErrorOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFlowControlError:
      return WireError::kFlowControl;
    case ErrorCode::kCompressionError:
      return WireError::kHeaders;
    case ErrorCode::kRefusedStream:
    case ErrorCode::kEnhanceYourCalm:
      return WireError::kTooMany;
    case ErrorCode::kCancel:
      return WireError::kSlow;
    default:
      return WireError::kFrame;
  }
}

}  // namespace

Http2Session::Http2Session(const Router* router, const SessionLimits* limits, MonotonicTime now)
    : router_(router),
      limits_(limits),
      header_reader_(limits->header_bytes_max, limits->header_fields_max),
      now_ns_(now.ns),
      streams_told_(limits->streams_max),
      receive_window_(kConnectionWindow),
      nuisance_since_ns_(now.ns),
      last_received_ns_(now.ns),
      last_request_ns_(now.ns),
      partial_since_ns_(now.ns) {
  AppendFrameHeader(3 * 6, FrameType::kSettings, 0, 0, &out_);
  AppendSetting(SettingId::kMaxConcurrentStreams, limits->streams_max, &out_);
  AppendSetting(SettingId::kInitialWindowSize, kStreamWindow, &out_);
  AppendSetting(SettingId::kMaxHeaderListSize, static_cast<uint32_t>(limits->header_bytes_max), &out_);
  AppendNumberFrame(FrameType::kWindowUpdate, 0, static_cast<uint32_t>(kConnectionWindow - kDefaultWindow), &out_);
}

Http2Session::~Http2Session() {
  if (counts_ != nullptr && long_calls_ > 0) counts_->OnStreamsClosed(long_calls_);
}

// Who has fewer calls under way has fewer that wait here, and keeps the others where he can still give them up or send
// them elsewhere. Without this the sockets hold more than can be worked off in `wait_max`, even by refusing it all.
void Http2Session::OnWaited(absl::Duration waited, MonotonicTime now) {
  if (limits_->wait_max == absl::InfiniteDuration() || !settings_seen_ || finished_) return;
  const absl::Duration since_told = absl::Nanoseconds(now.ns - told_ns_);
  uint32_t streams = streams_told_;
  if (waited > limits_->wait_max / 4) {
    // What waits already comes first: what is told shows a round later.
    if (since_told < 2 * waited) return;
    const double part = absl::FDivDuration(limits_->wait_max / 8, waited);
    streams = static_cast<uint32_t>(streams * std::clamp(part, 1.0 / 8, 1.0 / 2));
    streams = std::max(streams, std::min(kStreamsLeast, limits_->streams_max));
  } else if (waited < limits_->wait_max / 16 && since_told > kTellMoreAfter) {
    streams = std::min(2 * streams, limits_->streams_max);
  }
  if (streams == streams_told_) return;
  streams_told_ = streams;
  told_ns_ = now.ns;
  AppendFrameHeader(6, FrameType::kSettings, 0, 0, &out_);
  AppendSetting(SettingId::kMaxConcurrentStreams, streams, &out_);
}

size_t Http2Session::Receive(absl::Span<char> bytes, MonotonicTime now) {
  now_ns_ = last_received_ns_ = now.ns;
  ping_sent_ns_ = 0;  // whatever came, the peer is there
  const uint32_t block_before = block_stream_;
  size_t at = 0;
  if (!preface_seen_) {
    const absl::string_view front = absl::string_view(bytes.data(), std::min(bytes.size(), kPreface.size()));
    if (front != kPreface.substr(0, front.size())) {
      Fail(ErrorCode::kProtocolError, "wanted the preface of HTTP/2", WireError::kPreface);
      return bytes.size();
    }
    if (front.size() < kPreface.size()) return 0;
    preface_seen_ = true;
    at = kPreface.size();
  }
  while (!finished_ && bytes.size() - at >= kFrameHeaderBytes) {
    const FrameHeader frame = ReadFrameHeader(bytes.data() + at);
    if (frame.length > kFrameBytesMax) {
      Fail(ErrorCode::kFrameSizeError, "a frame over SETTINGS_MAX_FRAME_SIZE");
      break;
    }
    if (bytes.size() - at - kFrameHeaderBytes < frame.length) break;
    OnFrame(frame, absl::string_view(bytes.data() + at + kFrameHeaderBytes, frame.length));
    at += kFrameHeaderBytes + frame.length;
  }
  if (gathering_ != nullptr && !asked_.empty()) {
    gathering_->Add(this, asked_streams_.front()->grpc->method, asked_.size());
  } else {
    AnswerAsked();
  }
  if (finished_) return bytes.size();
  if (!settings_seen_) return at;
  if (at == bytes.size() && block_stream_ == 0) {
    partial_since_ns_ = 0;
  } else {
    // What was not whole before has come to its end, unless nothing did, or the same header block still goes on.
    const bool another = at > 0 && (block_stream_ == 0 || block_stream_ != block_before);
    if (another || partial_since_ns_ == 0) partial_since_ns_ = now.ns;
  }
  return at;
}

void Http2Session::OnFrame(const FrameHeader& frame, absl::string_view payload) {
  const auto type = static_cast<FrameType>(frame.type);
  if (!settings_seen_ && (type != FrameType::kSettings || (frame.flags & kAck) != 0)) {
    return Fail(ErrorCode::kProtocolError, "wanted SETTINGS first");
  }
  if (block_stream_ != 0 && (type != FrameType::kContinuation || frame.stream != block_stream_)) {
    return Fail(ErrorCode::kProtocolError, "wanted CONTINUATION of a header block");
  }
  // What belongs to a stream that waits for its answer, and all that is no part of a request, comes after the answers.
  const bool asks = type == FrameType::kData || type == FrameType::kHeaders || type == FrameType::kContinuation;
  if (!asked_.empty() && (!asks || frame.stream <= asked_streams_.back()->id)) {
    AnswerAsked();
    if (finished_) return;
  }
  switch (type) {
    case FrameType::kData:
      return OnData(frame, payload);
    case FrameType::kHeaders:
      return OnHeaders(frame, payload);
    case FrameType::kPriority:
      return OnPriority(frame, payload);
    case FrameType::kRstStream:
      return OnRstStream(frame, payload);
    case FrameType::kSettings:
      return OnSettings(frame, payload);
    case FrameType::kPushPromise:
      return Fail(ErrorCode::kProtocolError, "PUSH_PROMISE from a client");
    case FrameType::kPing:
      return OnPing(frame, payload);
    case FrameType::kGoAway:
      return OnGoAway(frame, payload);
    case FrameType::kWindowUpdate:
      return OnWindowUpdate(frame, payload);
    case FrameType::kContinuation:
      return OnContinuation(frame, payload);
  }
  OnNuisance(1);  // of a type that is not known: ignored (4.1)
}

bool Http2Session::Unpad(const FrameHeader& frame, absl::string_view* payload) {
  if ((frame.flags & kPadded) == 0) return true;
  if (payload->empty()) {
    Fail(ErrorCode::kFrameSizeError, "a padded frame without the length of its padding");
    return false;
  }
  const size_t padding = static_cast<uint8_t>(payload->front());
  payload->remove_prefix(1);
  if (padding > payload->size()) {
    Fail(ErrorCode::kProtocolError, "more padding than payload");
    return false;
  }
  payload->remove_suffix(padding);
  return true;
}

void Http2Session::OnData(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream == 0) return Fail(ErrorCode::kProtocolError, "DATA on stream 0");
  receive_window_ -= frame.length;
  if (receive_window_ < 0) return Fail(ErrorCode::kFlowControlError, "DATA beyond the window of the connection");
  if (!Unpad(frame, &payload)) return;
  Stream* const stream = streams_.Find(frame.stream);
  if (stream == nullptr) {
    if (frame.stream > last_stream_ || frame.stream % 2 == 0) {
      return Fail(ErrorCode::kProtocolError, "DATA on an idle stream");
    }
    ReplenishConnection();
    // What was under way when the stream was cut needs no answer.
    if (frame.stream > promised_stream_ || std::find(cut_.begin(), cut_.end(), frame.stream) != cut_.end()) {
      return OnNuisance(1);
    }
    return ResetStream(frame.stream, nullptr, ErrorCode::kStreamClosed);
  }
  const bool end_stream = (frame.flags & kEndStream) != 0;
  stream->receive_window -= frame.length;
  stream->received += static_cast<int64_t>(payload.size());
  ReplenishConnection();
  if (stream->remote_closed) return ResetStream(frame.stream, stream, ErrorCode::kStreamClosed);
  if (stream->receive_window < 0) return ResetStream(frame.stream, stream, ErrorCode::kFlowControlError);
  if (stream->content_length >= 0 &&
      (stream->received > stream->content_length || (end_stream && stream->received != stream->content_length))) {
    return ResetStream(frame.stream, stream, ErrorCode::kProtocolError);
  }
  if (payload.empty() && !end_stream) OnNuisance(1);
  if (finished_) return;
  stream->remote_closed = end_stream;
  OnBody(stream, payload, end_stream);
}

void Http2Session::OnHeaders(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream == 0 || frame.stream % 2 == 0) {
    return Fail(ErrorCode::kProtocolError, "HEADERS on a stream that is not a client's");
  }
  if (!Unpad(frame, &payload)) return;
  block_depends_on_itself_ = false;
  if ((frame.flags & kHasPriority) != 0) {
    if (payload.size() < 5) return Fail(ErrorCode::kFrameSizeError, "HEADERS cut within its priority");
    block_depends_on_itself_ = (ReadUint32(payload.data()) & kStreamIdMax) == frame.stream;
    payload.remove_prefix(5);
  }
  const bool end_stream = (frame.flags & kEndStream) != 0;
  if ((frame.flags & kEndHeaders) != 0) return OnHeaderBlock(frame.stream, end_stream, payload);
  block_stream_ = frame.stream;
  block_ends_stream_ = end_stream;
  block_frames_ = 1;
  block_.assign(payload.data(), payload.size());
}

void Http2Session::OnContinuation(const FrameHeader& frame, absl::string_view payload) {
  if (block_stream_ == 0) return Fail(ErrorCode::kProtocolError, "CONTINUATION of nothing");
  if (++block_frames_ > kBlockFramesMax || block_.size() + payload.size() > kBlockBytesMax) {
    return Fail(ErrorCode::kEnhanceYourCalm, "a header block without end", WireError::kHeaders);
  }
  block_.append(payload.data(), payload.size());
  if ((frame.flags & kEndHeaders) == 0) return;
  const uint32_t id = std::exchange(block_stream_, 0);
  OnHeaderBlock(id, block_ends_stream_, block_);
}

void Http2Session::OnHeaderBlock(uint32_t id, bool end_stream, absl::string_view block) {
  // Always read: the table of the connection follows from every block, also from one that is refused.
  const RequestHead* const head = header_reader_.Read(block);
  if (head == nullptr) return Fail(ErrorCode::kCompressionError, "a header block that is no HPACK");
  if (Stream* const stream = streams_.Find(id); stream != nullptr) {  // trailers, of which gRPC has none from a client
    if (stream->remote_closed) return ResetStream(id, stream, ErrorCode::kStreamClosed);
    const bool short_of_body = stream->content_length >= 0 && stream->received != stream->content_length;
    if (!end_stream || head->malformed || head->has_pseudo || short_of_body) {
      return ResetStream(id, stream, ErrorCode::kProtocolError, WireError::kHeaders);
    }
    stream->remote_closed = true;
    return OnBody(stream, {}, /*end_stream=*/true);
  }
  if (id <= last_stream_) {
    if (id > promised_stream_ || std::find(cut_.begin(), cut_.end(), id) != cut_.end()) return OnNuisance(1);
    return Fail(ErrorCode::kStreamClosed, "HEADERS on a stream that is over");
  }
  last_stream_ = id;
  if (id > promised_stream_) return OnNuisance(1);
  last_request_ns_ = now_ns_;
  if (streams_.size() >= std::min<size_t>(kStreamsOwn, limits_->streams_max)) AnswerAsked();
  if (streams_.size() >= limits_->streams_max) return ResetStream(id, nullptr, ErrorCode::kRefusedStream);
  if (streams_.size() >= kStreamsOwn && !Covers(sizeof(Stream))) {
    return ResetStream(id, nullptr, ErrorCode::kRefusedStream, WireError::kNoRoom);
  }
  if (block_depends_on_itself_) return ResetStream(id, nullptr, ErrorCode::kProtocolError);
  OnRequest(id, end_stream, *head);
}

void Http2Session::OnPriority(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream == 0) return Fail(ErrorCode::kProtocolError, "PRIORITY on stream 0");
  Stream* const stream = streams_.Find(frame.stream);
  if (payload.size() != 5) return ResetStream(frame.stream, stream, ErrorCode::kFrameSizeError);
  if ((ReadUint32(payload.data()) & kStreamIdMax) == frame.stream) {
    return ResetStream(frame.stream, stream, ErrorCode::kProtocolError);
  }
  OnNuisance(1);
}

void Http2Session::OnRstStream(const FrameHeader& frame, absl::string_view payload) {
  if (payload.size() != 4) return Fail(ErrorCode::kFrameSizeError, "RST_STREAM of another size than 4");
  Stream* const stream = streams_.Find(frame.stream);
  if (stream == nullptr) {
    if (frame.stream > last_stream_ || frame.stream % 2 == 0) {
      return Fail(ErrorCode::kProtocolError, "RST_STREAM on an idle stream");
    }
    return OnNuisance(1);
  }
  Count(WireError::kReset);
  Close(stream);
  OnNuisance(4);
}

void Http2Session::OnSettings(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream != 0) return Fail(ErrorCode::kProtocolError, "SETTINGS on a stream");
  if ((frame.flags & kAck) != 0) {
    if (!payload.empty()) Fail(ErrorCode::kFrameSizeError, "an acknowledgement of SETTINGS with a payload");
    return;
  }
  if (payload.size() % 6 != 0) return Fail(ErrorCode::kFrameSizeError, "SETTINGS of a size that is no multiple of 6");
  const int settings = static_cast<int>(payload.size() / 6);
  for (; !payload.empty(); payload.remove_prefix(6)) {
    if (!OnSetting(ReadUint16(payload.data()), ReadUint32(payload.data() + 2))) return;
  }
  settings_seen_ = true;
  AppendFrameHeader(0, FrameType::kSettings, kAck, 0, &out_);
  OnNuisance(8 + settings);  // each frame makes an answer, and each setting may concern every stream
  if (!finished_) FlushAll();
}

bool Http2Session::OnSetting(uint16_t id, uint32_t value) {
  switch (static_cast<SettingId>(id)) {
    case SettingId::kHeaderTableSize:
      hpack_.SetTableSize(value);
      break;
    case SettingId::kEnablePush:
      if (value > 1) Fail(ErrorCode::kProtocolError, "SETTINGS_ENABLE_PUSH: wanted 0 or 1");
      break;
    case SettingId::kInitialWindowSize: {
      if (value > kWindowMax) {
        Fail(ErrorCode::kFlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE: wanted at most 2^31-1");
        break;
      }
      const int64_t more = int64_t{value} - peer_initial_window_;
      peer_initial_window_ = value;
      bool over = false;
      streams_.ForEach([&](Stream* stream) {
        stream->send_window += more;
        over |= stream->send_window > kWindowMax;
      });
      if (over) Fail(ErrorCode::kFlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE: a window over 2^31-1");
      break;
    }
    case SettingId::kMaxFrameSize:
      if (value < kFrameBytesMax || value > 0xffffff) {
        Fail(ErrorCode::kProtocolError, "SETTINGS_MAX_FRAME_SIZE: wanted 16384 to 2^24-1");
      } else {
        peer_frame_bytes_max_ = value;
      }
      break;
    default:
      break;  // of no use here, or not known: ignored (6.5.2)
  }
  return !finished_;
}

void Http2Session::OnPing(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream != 0) return Fail(ErrorCode::kProtocolError, "PING on a stream");
  if (payload.size() != 8) return Fail(ErrorCode::kFrameSizeError, "PING of another size than 8");
  if ((frame.flags & kAck) == 0) {
    AppendPing(payload, kAck, &out_);
    OnNuisance(8);
  } else if (drain_ == DrainStep::kAnnounced && payload == kDrainPing) {
    // Whatever the peer sent before it knew of the end has come in by now.
    EndDrain();
  }
}

void Http2Session::OnGoAway(const FrameHeader& frame, absl::string_view payload) {
  if (frame.stream != 0) return Fail(ErrorCode::kProtocolError, "GOAWAY on a stream");
  if (payload.size() < 8) return Fail(ErrorCode::kFrameSizeError, "GOAWAY of less than 8 bytes");
  // The peer opens nothing more; what is open is answered, then the peer closes.
}

void Http2Session::OnWindowUpdate(const FrameHeader& frame, absl::string_view payload) {
  if (payload.size() != 4) return Fail(ErrorCode::kFrameSizeError, "WINDOW_UPDATE of another size than 4");
  const int64_t more = ReadUint32(payload.data()) & kStreamIdMax;
  if (frame.stream == 0) {
    if (more == 0) return Fail(ErrorCode::kProtocolError, "WINDOW_UPDATE by nothing");
    const bool was_used_up = send_window_ <= 0;
    send_window_ += more;
    if (send_window_ > kWindowMax) return Fail(ErrorCode::kFlowControlError, "a window over 2^31-1");
    if (!was_used_up) return;  // those that wait, wait for windows of their own
    FlushAll();
    if (blocked_ > 0 && send_window_ <= 0 && more < kWindowStepMin) OnNuisance(8);
    return;
  }
  Stream* const stream = streams_.Find(frame.stream);
  if (stream == nullptr) {
    if (frame.stream > last_stream_ || frame.stream % 2 == 0) {
      return Fail(ErrorCode::kProtocolError, "WINDOW_UPDATE on an idle stream");
    }
    return OnNuisance(1);  // it may have been on its way when the stream ended
  }
  if (more == 0) return ResetStream(frame.stream, stream, ErrorCode::kProtocolError);
  stream->send_window += more;
  if (stream->send_window > kWindowMax) return ResetStream(frame.stream, stream, ErrorCode::kFlowControlError);
  if (stream->unsent_bytes() > 0) {
    Resume(stream);
  } else {
    OnNuisance(1);
  }
}

void Http2Session::Fail(ErrorCode code, absl::string_view what) { Fail(code, what, WireErrorOf(code)); }

void Http2Session::Fail(ErrorCode code, absl::string_view what, WireError error) {
  Count(error);
  End(code, what);
}

void Http2Session::End(ErrorCode code, absl::string_view what) {
  AnswerAsked();
  AppendGoAway(std::min(last_stream_, promised_stream_), code, what, &out_);
  finished_ = true;
}

void Http2Session::ResetStream(uint32_t id, Stream* stream, ErrorCode code) {
  ResetStream(id, stream, code, WireErrorOf(code));
}

void Http2Session::ResetStream(uint32_t id, Stream* stream, ErrorCode code, WireError error) {
  AnswerAsked();
  Count(error);
  AppendNumberFrame(FrameType::kRstStream, id, static_cast<uint32_t>(code), &out_);
  cut_[cut_next_++ % cut_.size()] = id;
  if (stream != nullptr) Close(stream);
  OnNuisance(4);
}

void Http2Session::OnNuisance(int weight) {
  nuisance_ += weight;
  if (nuisance_ <= kNuisanceMax) return;
  // Counted per second, by the time of the reads.
  if (now_ns_ - nuisance_since_ns_ > 1'000'000'000) {
    nuisance_since_ns_ = now_ns_;
    nuisance_ = weight;
    return;
  }
  if (!finished_) Fail(ErrorCode::kEnhanceYourCalm, "too many frames that ask for nothing");
}

void Http2Session::Drain(MonotonicTime now) {
  if (finished_ || drain_ != DrainStep::kNone) return;
  // First all that may still be on its way is promised an answer; PING tells when it has come in (RFC 9113, 6.8).
  drain_ = DrainStep::kAnnounced;
  drain_since_ns_ = now.ns;
  AppendGoAway(kStreamIdMax, ErrorCode::kNoError, "draining", &out_);
  AppendPing(kDrainPing, 0, &out_);
  for (const uint32_t id : streams_.Ids()) {
    Stream* const stream = streams_.Find(id);
    // A watch has no end of its own.
    if (stream != nullptr && stream->watching) FinishGrpc(stream, absl::UnavailableError("draining"));
  }
}

void Http2Session::EndDrain() {
  drain_ = DrainStep::kLast;
  promised_stream_ = last_stream_;
  AppendGoAway(last_stream_, ErrorCode::kNoError, {}, &out_);
  finished_ = streams_.size() == 0;
}

void Http2Session::OnWatchedChanged() {
  if (watchers_ == 0 || finished_) return;
  for (const uint32_t id : streams_.Ids()) {
    Stream* const stream = streams_.Find(id);
    if (stream != nullptr && stream->watching) TellWatcher(stream);
  }
}

}  // namespace sluice::http2
