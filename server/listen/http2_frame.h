// Frames of HTTP/2 (RFC 9113, 4 and 6), as bytes.
#ifndef SLUICE_SERVER_LISTEN_HTTP2_FRAME_H_
#define SLUICE_SERVER_LISTEN_HTTP2_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice::http2 {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;
inline constexpr uint8_t kHasPriority = 0x20;

enum class ErrorCode : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kEnhanceYourCalm = 11,
};

enum class SettingId : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
};

inline constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr size_t kFrameHeaderBytes = 9;
// The least that a peer must take, and the most that is taken here: the default of SETTINGS_MAX_FRAME_SIZE.
inline constexpr uint32_t kFrameBytesMax = 16384;
inline constexpr int64_t kDefaultWindow = 65535;
inline constexpr int64_t kWindowMax = 0x7fffffff;
inline constexpr uint32_t kStreamIdMax = 0x7fffffff;

struct FrameHeader {
  uint32_t length = 0;
  uint8_t type = 0;  // may be none of FrameType
  uint8_t flags = 0;
  uint32_t stream = 0;  // without the reserved bit
};

inline uint32_t ReadUint32(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}
inline uint16_t ReadUint16(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return static_cast<uint16_t>(uint32_t{b[0]} << 8 | b[1]);
}
inline void WriteUint32(uint32_t value, char* bytes) {
  bytes[0] = static_cast<char>(value >> 24);
  bytes[1] = static_cast<char>(value >> 16);
  bytes[2] = static_cast<char>(value >> 8);
  bytes[3] = static_cast<char>(value);
}

// REQUIRES: kFrameHeaderBytes bytes.
inline FrameHeader ReadFrameHeader(const char* bytes) {
  FrameHeader header;
  header.length = ReadUint32(bytes) >> 8;
  header.type = static_cast<uint8_t>(bytes[3]);
  header.flags = static_cast<uint8_t>(bytes[4]);
  header.stream = ReadUint32(bytes + 5) & kStreamIdMax;
  return header;
}

inline void WriteFrameHeader(const FrameHeader& header, char* bytes) {
  WriteUint32(header.length << 8, bytes);
  bytes[3] = static_cast<char>(header.type);
  bytes[4] = static_cast<char>(header.flags);
  WriteUint32(header.stream, bytes + 5);
}

inline void AppendFrameHeader(uint32_t length, FrameType type, uint8_t flags, uint32_t stream, std::string* out) {
  char bytes[kFrameHeaderBytes];
  WriteFrameHeader({length, static_cast<uint8_t>(type), flags, stream}, bytes);
  out->append(bytes, sizeof bytes);
}

// A frame whose payload is one number: RST_STREAM, WINDOW_UPDATE.
inline void AppendNumberFrame(FrameType type, uint32_t stream, uint32_t number, std::string* out) {
  char bytes[kFrameHeaderBytes + 4];
  WriteFrameHeader({4, static_cast<uint8_t>(type), 0, stream}, bytes);
  WriteUint32(number, bytes + kFrameHeaderBytes);
  out->append(bytes, sizeof bytes);
}

inline void AppendSetting(SettingId id, uint32_t value, std::string* out) {
  char bytes[6] = {0, static_cast<char>(id)};
  WriteUint32(value, bytes + 2);
  out->append(bytes, sizeof bytes);
}

// `opaque`: eight bytes.
inline void AppendPing(absl::string_view opaque, uint8_t flags, std::string* out) {
  AppendFrameHeader(8, FrameType::kPing, flags, 0, out);
  out->append(opaque.data(), opaque.size());
}

inline void AppendGoAway(uint32_t last_stream, ErrorCode code, absl::string_view text, std::string* out) {
  AppendFrameHeader(static_cast<uint32_t>(8 + text.size()), FrameType::kGoAway, 0, 0, out);
  char bytes[8];
  WriteUint32(last_stream, bytes);
  WriteUint32(static_cast<uint32_t>(code), bytes + 4);
  out->append(bytes, sizeof bytes);
  out->append(text.data(), text.size());
}

}  // namespace sluice::http2

#endif  // SLUICE_SERVER_LISTEN_HTTP2_FRAME_H_
