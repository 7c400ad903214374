#include "server/listen/grpc_status.h"

#include "absl/strings/str_cat.h"
#include "enforcement/trace_context.h"

namespace sluice {

namespace {

absl::string_view CutAt(size_t most, absl::string_view message) {
  if (message.size() <= most) return message;
  message = message.substr(0, most);
  while (!message.empty() && (static_cast<unsigned char>(message.back()) & 0xC0) == 0x80) message.remove_suffix(1);
  if (!message.empty() && static_cast<unsigned char>(message.back()) >= 0xC0) message.remove_suffix(1);
  return message;
}

}  // namespace

absl::string_view CutStatusMessage(absl::string_view message) { return CutAt(kStatusMessageBytesMax, message); }

absl::Status WithTrace(absl::Status status, absl::string_view trace_parent) {
  if (status.ok() || trace_parent.empty()) return status;
  const std::string trace = absl::StrCat(" (trace ", TraceIdOf(trace_parent), ")");
  return absl::Status(status.code(),
                      absl::StrCat(CutAt(kStatusMessageBytesMax - trace.size(), status.message()), trace));
}

std::string EncodeStatusMessage(absl::string_view message) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : CutStatusMessage(message)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      encoded.push_back(c);
    } else {
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 15]);
    }
  }
  return encoded;
}

absl::optional<absl::Duration> ParseGrpcTimeout(absl::string_view text) {
  if (text.size() < 2 || text.size() > 9) return absl::nullopt;
  const absl::string_view digits = text.substr(0, text.size() - 1);
  int64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return absl::nullopt;
    value = value * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'H':
      return absl::Hours(value);
    case 'M':
      return absl::Minutes(value);
    case 'S':
      return absl::Seconds(value);
    case 'm':
      return absl::Milliseconds(value);
    case 'u':
      return absl::Microseconds(value);
    case 'n':
      return absl::Nanoseconds(value);
    default:
      return absl::nullopt;
  }
}

}  // namespace sluice
