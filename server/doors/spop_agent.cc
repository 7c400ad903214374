#include "server/doors/spop_agent.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

constexpr absl::string_view kVersion = "2.0";
constexpr absl::string_view kCapabilities = "pipelining";

// "1.0, 2.0"
bool Lists(absl::string_view versions, absl::string_view wanted) {
  for (const absl::string_view each : absl::StrSplit(versions, ',')) {
    if (absl::StripAsciiWhitespace(each) == wanted) return true;
  }
  return false;
}

uint32_t Length(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < kSpopLengthBytes; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

size_t SpopAgent::Receive(absl::string_view bytes, std::string* out) {
  size_t taken = 0;
  while (!finished_ && bytes.size() - taken >= kSpopLengthBytes) {
    const uint32_t length = Length(bytes.substr(taken));
    if (length > frame_bytes_max_) {
      Refuse(SpopError::kTooBig, "frame is too big", out);
      break;
    }
    if (bytes.size() - taken - kSpopLengthBytes < length) break;
    OnFrame(bytes.substr(taken + kSpopLengthBytes, length), out);
    taken += kSpopLengthBytes + length;
  }
  return taken;
}

void SpopAgent::OnFrame(absl::string_view bytes, std::string* out) {
  const absl::optional<SpopFrame> frame = ReadSpopFrame(bytes);
  if (!frame) {
    Refuse(SpopError::kInvalid, "invalid frame", out);
  } else if (!frame->whole) {
    Refuse(SpopError::kFragmented, "fragmentation is not supported", out);
  } else if (frame->type == SpopType::kHaproxyDisconnect) {
    Refuse(SpopError::kNone, "normal", out);
  } else if (frame->type == SpopType::kHaproxyHello && !greeted_) {
    OnHello(*frame, out);
  } else if (frame->type == SpopType::kNotify && greeted_) {
    OnNotify(*frame, out);
  } else {
    Refuse(SpopError::kInvalid, "unexpected frame", out);
  }
}

void SpopAgent::OnHello(const SpopFrame& frame, std::string* out) {
  SpopReader reader(frame.payload);
  absl::string_view versions;
  bool has_capabilities = false, health = false;
  int64_t size = 0;
  while (!reader.done()) {
    absl::string_view name;
    SpopValue value;
    if (!reader.Text(&name) || !reader.Value(&value)) {
      Refuse(SpopError::kInvalid, "invalid hello", out);
      return;
    }
    if (name == "supported-versions") versions = value.text;
    if (name == "max-frame-size") size = value.number;
    if (name == "capabilities") has_capabilities = true;
    if (name == "healthcheck") health = value.flag;
  }
  if (versions.empty()) {
    Refuse(SpopError::kNoVersion, "no supported-versions", out);
  } else if (!Lists(versions, kVersion)) {
    Refuse(SpopError::kBadVersion, "wanted version 2.0", out);
  } else if (size == 0) {
    Refuse(SpopError::kNoFrameSize, "no max-frame-size", out);
  } else if (size < static_cast<int64_t>(kSpopFrameBytesMin)) {
    Refuse(SpopError::kBadFrameSize, "max-frame-size is below 256", out);
  } else if (!has_capabilities) {
    Refuse(SpopError::kNoCapabilities, "no capabilities", out);
  } else {
    frame_bytes_max_ = static_cast<uint32_t>(std::min<int64_t>(size, kFrameBytesMax));
    std::string payload;
    AppendSpopEntry("version", kVersion, &payload);
    AppendSpopEntry("max-frame-size", frame_bytes_max_, &payload);
    AppendSpopEntry("capabilities", kCapabilities, &payload);
    AppendSpopFrame(SpopType::kAgentHello, 0, 0, payload, out);
    greeted_ = true;
    finished_ = health;  // a health check is this one greeting
  }
}

void SpopAgent::OnNotify(const SpopFrame& frame, std::string* out) {
  std::string actions;
  if (!door_->Answer(frame.payload, &actions)) {
    Refuse(SpopError::kInvalid, "invalid notify", out);
    return;
  }
  // An answer over the bound (a long path in the body of a refusal) would cost the connection: then without its texts.
  std::string ack;
  AppendSpopFrame(SpopType::kAck, frame.stream_id, frame.frame_id, actions, &ack);
  if (ack.size() - kSpopLengthBytes > frame_bytes_max_) {
    actions.clear();
    AppendSpopSet(SpopScope::kTransaction, "allowed", false, &actions);
    AppendSpopSet(SpopScope::kTransaction, "status", int64_t{403}, &actions);
    ack.clear();
    AppendSpopFrame(SpopType::kAck, frame.stream_id, frame.frame_id, actions, &ack);
  }
  out->append(ack);
}

void SpopAgent::Refuse(SpopError error, absl::string_view message, std::string* out) {
  std::string payload;
  AppendSpopEntry("status-code", static_cast<uint32_t>(error), &payload);
  AppendSpopEntry("message", message, &payload);
  AppendSpopFrame(SpopType::kAgentDisconnect, 0, 0, payload, out);
  finished_ = true;
  refused_ = error != SpopError::kNone;
}

void SpopAgent::Leave(std::string* out) {
  if (!finished_) Refuse(SpopError::kNone, "normal", out);
}

}  // namespace sluice
