#include "server/doors/spop.h"

#include <limits>

namespace sluice {
namespace {

enum Tag : uint8_t {
  kNull = 0,
  kBool = 1,
  kInt32 = 2,
  kUint32 = 3,
  kInt64 = 4,
  kUint64 = 5,
  kIpv4 = 6,
  kIpv6 = 7,
  kString = 8,
  kBinary = 9,
};
constexpr uint8_t kTrueFlag = 0x10;
constexpr uint8_t kSetVar = 1;
constexpr uint8_t kSetVarArguments = 3;
constexpr uint32_t kFin = 1;

char Char(unsigned value) { return static_cast<char>(static_cast<uint8_t>(value)); }

void AppendBig32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(Char(value >> shift & 0xFF));
}

uint32_t Big32(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void AppendSet(SpopScope scope, absl::string_view name, std::string* out) {
  out->push_back(Char(kSetVar));
  out->push_back(Char(kSetVarArguments));
  out->push_back(Char(static_cast<uint8_t>(scope)));
  AppendSpopText(name, out);
}

}  // namespace

bool SpopReader::Byte(uint8_t* value) {
  if (rest_.empty()) return false;
  *value = static_cast<uint8_t>(rest_[0]);
  rest_.remove_prefix(1);
  return true;
}

bool SpopReader::Varint(uint64_t* value) {
  if (rest_.empty()) return false;
  uint64_t result = static_cast<uint8_t>(rest_[0]);
  size_t size = 1;
  if (result >= 240) {
    for (int shift = 4;; shift += 7) {
      // Ten bytes hold every 64-bit number; more would be read past what a shift can do.
      if (size >= rest_.size() || shift > 60) return false;
      const uint64_t byte = static_cast<uint8_t>(rest_[size++]);
      result += byte << shift;
      if (byte < 128) break;
    }
  }
  *value = result;
  rest_.remove_prefix(size);
  return true;
}

bool SpopReader::Text(absl::string_view* value) {
  SpopReader ahead = *this;
  uint64_t size = 0;
  if (!ahead.Varint(&size) || size > ahead.rest_.size()) return false;
  *value = ahead.rest_.substr(0, size);
  rest_ = ahead.rest_.substr(size);
  return true;
}

bool SpopReader::Value(SpopValue* value) {
  SpopReader ahead = *this;
  uint8_t tag = 0;
  if (!ahead.Byte(&tag)) return false;
  SpopValue result;
  uint64_t number = 0;
  switch (tag & 0x0F) {
    case kNull:
      break;
    case kBool:
      result.kind = SpopValue::Kind::kBool;
      result.flag = (tag & kTrueFlag) != 0;
      break;
    case kInt32:
    case kInt64:
    case kUint32:
    case kUint64:
      if (!ahead.Varint(&number)) return false;
      result.kind = SpopValue::Kind::kNumber;
      if ((tag & 0x0F) == kUint64 && number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        result.number = std::numeric_limits<int64_t>::max();
      } else {
        result.number = static_cast<int64_t>(number);
      }
      break;
    case kIpv4:
    case kIpv6: {
      const size_t size = (tag & 0x0F) == kIpv4 ? 4 : 16;
      if (ahead.rest_.size() < size) return false;
      result.kind = SpopValue::Kind::kAddress;
      result.text = ahead.rest_.substr(0, size);
      ahead.rest_.remove_prefix(size);
      break;
    }
    case kString:
    case kBinary:
      result.kind = SpopValue::Kind::kText;
      if (!ahead.Text(&result.text)) return false;
      break;
    default:
      return false;
  }
  *value = result;
  *this = ahead;
  return true;
}

absl::optional<SpopFrame> ReadSpopFrame(absl::string_view bytes) {
  SpopFrame frame;
  if (bytes.size() < 5) return absl::nullopt;
  frame.type = static_cast<SpopType>(static_cast<uint8_t>(bytes[0]));
  frame.whole = (Big32(bytes.substr(1)) & kFin) != 0;
  SpopReader reader(bytes.substr(5));
  if (!reader.Varint(&frame.stream_id) || !reader.Varint(&frame.frame_id)) return absl::nullopt;
  frame.payload = reader.rest();
  return frame;
}

void AppendSpopVarint(uint64_t value, std::string* out) {
  if (value < 240) {
    out->push_back(Char(static_cast<unsigned>(value)));
    return;
  }
  out->push_back(Char((value | 240) & 0xFF));
  value = (value - 240) >> 4;
  while (value >= 128) {
    out->push_back(Char((value | 128) & 0xFF));
    value = (value - 128) >> 7;
  }
  out->push_back(Char(static_cast<unsigned>(value)));
}

void AppendSpopText(absl::string_view text, std::string* out) {
  AppendSpopVarint(text.size(), out);
  out->append(text.data(), text.size());
}

void AppendSpopEntry(absl::string_view name, absl::string_view text, std::string* out) {
  AppendSpopText(name, out);
  out->push_back(Char(kString));
  AppendSpopText(text, out);
}

void AppendSpopEntry(absl::string_view name, uint32_t number, std::string* out) {
  AppendSpopText(name, out);
  out->push_back(Char(kUint32));
  AppendSpopVarint(number, out);
}

void AppendSpopSet(SpopScope scope, absl::string_view name, absl::string_view text, std::string* out) {
  AppendSet(scope, name, out);
  out->push_back(Char(kString));
  AppendSpopText(text, out);
}

void AppendSpopSet(SpopScope scope, absl::string_view name, int64_t number, std::string* out) {
  AppendSet(scope, name, out);
  out->push_back(Char(kInt64));
  AppendSpopVarint(static_cast<uint64_t>(number), out);
}

void AppendSpopSet(SpopScope scope, absl::string_view name, bool flag, std::string* out) {
  AppendSet(scope, name, out);
  out->push_back(Char(kBool | (flag ? kTrueFlag : 0)));
}

void AppendSpopFrame(SpopType type, uint64_t stream_id, uint64_t frame_id, absl::string_view payload,
                     std::string* out) {
  std::string ids;
  AppendSpopVarint(stream_id, &ids);
  AppendSpopVarint(frame_id, &ids);
  AppendBig32(static_cast<uint32_t>(5 + ids.size() + payload.size()), out);
  out->push_back(Char(static_cast<uint8_t>(type)));
  AppendBig32(kFin, out);
  out->append(ids);
  out->append(payload.data(), payload.size());
}

}  // namespace sluice
