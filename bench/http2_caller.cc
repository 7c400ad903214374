#include "bench/http2_caller.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::bench {
namespace {

using http2::FrameHeader;
using http2::FrameType;

// As a gRPC library does: the windows are never what a short answer waits for.
constexpr uint32_t kStreamWindow = 1 << 20;
constexpr int64_t kConnectionWindow = 16 << 20;

}  // namespace

Http2Caller::Stream* Http2Caller::Find(uint32_t id) {
  Stream& stream = At(id);
  return stream.open && stream.id == id ? &stream : nullptr;
}

void Http2Caller::Greet(std::string* out) {
  out->append(http2::kPreface.data(), http2::kPreface.size());
  http2::AppendFrameHeader(2 * 6, FrameType::kSettings, 0, 0, out);
  http2::AppendSetting(http2::SettingId::kEnablePush, 0, out);
  http2::AppendSetting(http2::SettingId::kInitialWindowSize, kStreamWindow, out);
  http2::AppendNumberFrame(FrameType::kWindowUpdate, 0,
                           static_cast<uint32_t>(kConnectionWindow - http2::kDefaultWindow), out);
  receive_window_ = kConnectionWindow;
}

bool Http2Caller::MayCall() const {
  // The largest message of all stays below what is asked for here.
  return under_way_ < streams_max_ && send_window_ >= http2::kDefaultWindow / 2 && !open_[next_id_ / 2 % kOpenMax].open;
}

void Http2Caller::Call(size_t call, uint32_t slot, std::string* out) {
  const auto bytes = static_cast<int64_t>(calls_->message_bytes(call));
  if (bytes > std::min<int64_t>(stream_window_, http2::kDefaultWindow / 2)) return Fail("a message over the window");
  if (next_id_ >= http2::kStreamIdMax - 2) return Fail("no stream numbers left");
  Stream& stream = At(next_id_);
  stream.open = true;
  stream.id = next_id_;
  stream.slot = slot;
  stream.call = call;
  stream.answered = false;
  stream.shed = false;
  calls_->Append(call, next_id_, next_id_ == 1, out);
  next_id_ += 2;
  send_window_ -= bytes;
  ++under_way_;
}

size_t Http2Caller::Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) {
  size_t at = 0;
  while (fault().empty() && bytes.size() - at >= http2::kFrameHeaderBytes) {
    const FrameHeader frame = http2::ReadFrameHeader(bytes.data() + at);
    if (bytes.size() - at - http2::kFrameHeaderBytes < frame.length) break;
    OnFrame(frame, bytes.substr(at + http2::kFrameHeaderBytes, frame.length), out, answers);
    at += http2::kFrameHeaderBytes + frame.length;
  }
  if (receive_window_ < kConnectionWindow / 2) {
    http2::AppendNumberFrame(FrameType::kWindowUpdate, 0, static_cast<uint32_t>(kConnectionWindow - receive_window_),
                             out);
    receive_window_ = kConnectionWindow;
  }
  return at;
}

void Http2Caller::OnFrame(const FrameHeader& frame, absl::string_view payload, std::string* out,
                          std::vector<Answer>* answers) {
  if ((frame.flags & (http2::kPadded | http2::kHasPriority)) != 0 && frame.stream != 0) {
    return Fail("padding or priority in an answer");
  }
  Stream* const stream = Find(frame.stream);
  switch (static_cast<FrameType>(frame.type)) {
    case FrameType::kData:
      receive_window_ -= frame.length;
      if (stream == nullptr) return Fail("DATA on a stream that is not open");
      OnData(stream, payload);
      if ((frame.flags & http2::kEndStream) != 0) {
        stream->wrong = "an answer without trailers";
        Close(stream, answers);
      }
      return;
    case FrameType::kHeaders:
    case FrameType::kContinuation:
      if (stream == nullptr) return Fail("HEADERS on a stream that is not open");
      if ((frame.flags & http2::kEndHeaders) == 0 || !block_.empty()) {
        block_.append(payload.data(), payload.size());
        if ((frame.flags & http2::kEndHeaders) == 0) return;
        payload = block_;
      }
      OnHeaders(stream, payload);
      block_.clear();
      if ((frame.flags & http2::kEndStream) != 0) Close(stream, answers);
      return;
    case FrameType::kRstStream:
      if (stream == nullptr) return;
      stream->wrong = "RST_STREAM";
      return Close(stream, answers);
    case FrameType::kSettings:
      return OnSettings(frame, payload, out);
    case FrameType::kPing:
      if ((frame.flags & http2::kAck) != 0) return;
      http2::AppendFrameHeader(8, FrameType::kPing, http2::kAck, 0, out);
      out->append(payload.data(), payload.size());
      return;
    case FrameType::kGoAway:
      return Fail("GOAWAY");
    case FrameType::kWindowUpdate:
      // Of a stream: each sends less than its first window.
      if (frame.stream == 0 && payload.size() == 4) send_window_ += http2::ReadUint32(payload.data());
      return;
    default:
      return;
  }
}

void Http2Caller::OnData(Stream* stream, absl::string_view payload) {
  if (payload.empty()) return;
  if (!stream->partial.empty()) {
    stream->partial.append(payload.data(), payload.size());
    payload = stream->partial;
  }
  constexpr size_t kPrefix = 5;
  const size_t size = payload.size() < kPrefix ? 0 : http2::ReadUint32(payload.data() + 1);
  if (payload.size() < kPrefix || payload.size() - kPrefix < size) {
    if (stream->partial.empty()) stream->partial.assign(payload.data(), payload.size());
    return;
  }
  if (payload[0] != 0 || payload.size() - kPrefix > size || stream->answered) {
    stream->wrong = "wanted one message, as it is";
  } else {
    stream->answered = true;
    stream->shed = calls_->IsShed(payload.substr(kPrefix));
    if (!stream->shed) stream->wrong = calls_->WhatIsWrong(stream->call, payload.substr(kPrefix));
  }
  stream->partial.clear();
}

void Http2Caller::OnHeaders(Stream* stream, absl::string_view block) {
  const AnswerHeaders::Said* const said = headers_.Read(block);
  if (said == nullptr) return Fail("a header block that is no HPACK");
  if (!said->http_status.empty() && said->http_status != "200") {
    stream->wrong = absl::StrCat("HTTP status ", said->http_status);
  } else if (!said->grpc_status.empty() && said->grpc_status != "0") {
    stream->wrong = absl::StrCat("RPC error ", said->grpc_status, ": ", said->grpc_message);
  } else if (!said->grpc_status.empty() && !stream->answered && stream->wrong.empty()) {
    stream->wrong = "no message";
  }
}

void Http2Caller::OnSettings(const FrameHeader& frame, absl::string_view payload, std::string* out) {
  if ((frame.flags & http2::kAck) != 0) return;
  for (; payload.size() >= 6; payload.remove_prefix(6)) {
    const uint32_t value = http2::ReadUint32(payload.data() + 2);
    switch (static_cast<http2::SettingId>(http2::ReadUint16(payload.data()))) {
      case http2::SettingId::kMaxConcurrentStreams:
        streams_max_ = std::min<size_t>(value, kOpenMax / 2);
        break;
      case http2::SettingId::kInitialWindowSize:
        stream_window_ = value;
        break;
      case http2::SettingId::kHeaderTableSize:
        // The blocks were made for a table of the usual size.
        if (value < 4096) Fail(absl::StrCat("SETTINGS_HEADER_TABLE_SIZE of ", value));
        break;
      default:
        break;
    }
  }
  http2::AppendFrameHeader(0, FrameType::kSettings, http2::kAck, 0, out);
}

void Http2Caller::Close(Stream* stream, std::vector<Answer>* answers) {
  answers->push_back({stream->slot, std::move(stream->wrong), stream->shed});
  stream->open = false;
  stream->wrong.clear();
  stream->partial.clear();
  --under_way_;
}

}  // namespace sluice::bench
