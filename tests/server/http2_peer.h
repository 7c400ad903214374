// The other end of an Http2Session in a test: makes frames of any shape, and reads what comes back. No socket.
#ifndef SLUICE_TESTS_SERVER_HTTP2_PEER_H_
#define SLUICE_TESTS_SERVER_HTTP2_PEER_H_

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/listen/http2_session.h"

namespace sluice::http2 {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Frame {
  FrameHeader header;
  std::string payload;
  std::multimap<std::string, std::string> fields;  // of HEADERS
  FrameType type() const { return static_cast<FrameType>(header.type); }
  bool ends_stream() const { return (header.flags & kEndStream) != 0; }
  ErrorCode code() const {  // of RST_STREAM and GOAWAY
    return static_cast<ErrorCode>(ReadUint32(payload.data() + (type() == FrameType::kGoAway ? 4 : 0)));
  }
  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  }
};

inline std::string FrameBytes(FrameType type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string bytes;
  AppendFrameHeader(static_cast<uint32_t>(payload.size()), type, flags, stream, &bytes);
  return absl::StrCat(bytes, payload);
}
inline std::string Number(uint32_t value) {
  std::string bytes(4, '\0');
  WriteUint32(value, bytes.data());
  return bytes;
}
inline std::string Setting(uint16_t id, uint32_t value) {
  return absl::StrCat(std::string{static_cast<char>(id >> 8), static_cast<char>(id)}, Number(value));
}
// Literals that leave the table alone.
inline std::string Block(const Fields& fields) {
  std::string block;
  const auto text = [&block](absl::string_view value) {
    if (value.size() < 127) {
      block.push_back(static_cast<char>(value.size()));
    } else {
      block.push_back(127);
      size_t rest = value.size() - 127;
      for (; rest >= 128; rest >>= 7) block.push_back(static_cast<char>(0x80 | (rest & 127)));
      block.push_back(static_cast<char>(rest));
    }
    block.append(value.data(), value.size());
  };
  for (const auto& [name, value] : fields) {
    block.push_back(0);
    text(name);
    text(value);
  }
  return block;
}
inline Fields GrpcFields(const std::string& path, Fields more = {}) {
  Fields fields = {{":method", "POST"},         {":scheme", "http"}, {":path", path},
                   {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline std::string Message(absl::string_view bytes) {
  return absl::StrCat(std::string(1, '\0'), Number(static_cast<uint32_t>(bytes.size())), bytes);
}

class Http2Peer {
 public:
  explicit Http2Peer(const Router* router, SessionLimits limits = {})
      : limits_(limits), session_(router, &limits_, now_) {
    nghttp2_hd_inflate_new(&inflater_);
  }
  ~Http2Peer() { nghttp2_hd_inflate_del(inflater_); }
  Http2Peer(const Http2Peer&) = delete;
  Http2Peer& operator=(const Http2Peer&) = delete;

  // The preface and SETTINGS, and what the server says to it.
  std::vector<Frame> Greet(const std::string& settings = "") {
    return Send(absl::StrCat(kPreface, FrameBytes(FrameType::kSettings, 0, 0, settings)));
  }

  // What came back since the last time, to a peer that takes all of it.
  std::vector<Frame> Send(absl::string_view bytes) {
    std::vector<Frame> all = SendOnly(bytes);
    while (session_.has_more()) {
      for (Frame& frame : GoOn()) all.push_back(std::move(frame));
    }
    return all;
  }
  // Without what follows when that is taken.
  std::vector<Frame> SendOnly(absl::string_view bytes) {
    unread_.append(bytes.data(), bytes.size());
    const size_t taken = session_.Receive(absl::MakeSpan(unread_), now_);
    unread_.erase(0, taken);
    return Take();
  }
  std::vector<Frame> GoOn() {
    session_.GoOn(now_);
    return Take();
  }
  // A byte at a time: what a frame means does not depend on how it arrives.
  std::vector<Frame> Drip(absl::string_view bytes) {
    std::vector<Frame> all;
    for (const char c : bytes) {
      for (Frame& frame : Send(absl::string_view(&c, 1))) all.push_back(std::move(frame));
    }
    return all;
  }
  std::vector<Frame> Take() {
    std::string out;
    std::swap(out, session_.out());
    most_said_ = std::max(most_said_, out.size());
    std::vector<Frame> frames;
    size_t at = 0;
    while (out.size() - at >= kFrameHeaderBytes) {
      Frame frame;
      frame.header = ReadFrameHeader(out.data() + at);
      frame.payload = out.substr(at + kFrameHeaderBytes, frame.header.length);
      at += kFrameHeaderBytes + frame.header.length;
      if (frame.type() == FrameType::kHeaders) Inflate(&frame);
      frames.push_back(std::move(frame));
    }
    whole_ = whole_ && at == out.size();
    return frames;
  }
  std::vector<Frame> Advance(absl::Duration by) {
    now_.ns += absl::ToInt64Nanoseconds(by);
    session_.Tick(now_);
    return Take();
  }

  // A call in one piece: HEADERS, and DATA that ends it.
  std::string Call(uint32_t stream, const std::string& path, absl::string_view message, Fields more = {}) {
    return FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields(path, std::move(more)))) +
           FrameBytes(FrameType::kData, kEndStream, stream, Message(message));
  }

  Http2Session& session() { return session_; }
  MonotonicTime now() const { return now_; }
  size_t most_said() const { return most_said_; }  // at once, in bytes
  bool whole() const { return whole_; }            // nothing but whole frames, and HPACK that can be read, came back

 private:
  void Inflate(Frame* frame) {
    const auto* in = reinterpret_cast<const uint8_t*>(frame->payload.data());
    size_t left = frame->payload.size();
    while (true) {
      nghttp2_nv nv;
      int flags = 0;
      const auto taken = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, in, left, 1);
      if (taken < 0) {
        whole_ = false;
        return;
      }
      in += taken;
      left -= static_cast<size_t>(taken);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        frame->fields.emplace(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                              std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  const SessionLimits limits_;
  MonotonicTime now_{1'000'000'000'000};
  Http2Session session_;
  std::string unread_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  size_t most_said_ = 0;
  bool whole_ = true;
};

// The first frame of `type`; one without a payload that is of no type where there is none.
inline Frame First(const std::vector<Frame>& frames, FrameType type, uint32_t stream = 0xffffffff) {
  for (const Frame& frame : frames) {
    if (frame.type() == type && (stream == 0xffffffff || frame.header.stream == stream)) return frame;
  }
  Frame none;
  none.header.type = 0xff;
  none.payload = std::string(8, '\xff');
  return none;
}
inline bool Has(const std::vector<Frame>& frames, FrameType type, uint32_t stream = 0xffffffff) {
  return First(frames, type, stream).header.type != 0xff;
}

}  // namespace sluice::http2

#endif  // SLUICE_TESTS_SERVER_HTTP2_PEER_H_
