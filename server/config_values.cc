#include "server/config_values.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "enforcement/check.h"
#include "enforcement/names.h"

namespace sluice {

absl::Status Wanted(absl::string_view wanted, absl::string_view got) {
  return absl::InvalidArgumentError(absl::StrCat("wanted ", wanted, ", got '", got, "'"));
}

absl::Status SetAddress(absl::string_view text, ListenAddress* address) {
  absl::StatusOr<ListenAddress> parsed = ParseListenAddress(text);
  if (!parsed.ok()) return parsed.status();
  *address = *std::move(parsed);
  return absl::OkStatus();
}

absl::Status SetOptionalAddress(absl::string_view text, absl::optional<ListenAddress>* address) {
  if (text == "off") {
    address->reset();
    return absl::OkStatus();
  }
  ListenAddress parsed;
  if (absl::Status status = SetAddress(text, &parsed); !status.ok()) return status;
  *address = std::move(parsed);
  return absl::OkStatus();
}

absl::Status SetTcpAddress(absl::string_view text, absl::optional<ListenAddress>* address) {
  absl::optional<ListenAddress> parsed;
  if (absl::Status status = SetOptionalAddress(text, &parsed); !status.ok()) return status;
  if (parsed && parsed->is_unix()) return Wanted(kTcpAddress, text);
  *address = std::move(parsed);
  return absl::OkStatus();
}

std::string FormatOptionalAddress(const absl::optional<ListenAddress>& address) {
  return address ? FormatListenAddress(*address) : "off";
}

absl::Status SetMode(absl::string_view text, uint32_t* mode) {
  uint32_t value = 0;
  if (text.empty() || text.size() > 5) return Wanted(kMode, text);
  for (const char c : text) {
    if (c < '0' || c > '7') return Wanted(kMode, text);
    value = value * 8 + static_cast<uint32_t>(c - '0');
  }
  if (value > 0777) return Wanted(kMode, text);
  *mode = value;
  return absl::OkStatus();
}

absl::Status SetBytes(absl::string_view text, uint64_t* bytes) {
  struct Unit {
    absl::string_view suffix;
    int shift;
  };
  absl::string_view digits = text;
  int shift = 0;
  for (const Unit unit : {Unit{"KiB", 10}, Unit{"MiB", 20}, Unit{"GiB", 30}, Unit{"TiB", 40}}) {
    if (absl::ConsumeSuffix(&digits, unit.suffix)) shift = unit.shift;
  }
  constexpr uint64_t kMost = uint64_t{64} << 40;
  uint64_t value;
  if (!absl::SimpleAtoi(digits, &value) || value > (kMost >> shift) || (value << shift) < (uint64_t{1} << 20)) {
    return Wanted(kBytes, text);
  }
  *bytes = value << shift;
  return absl::OkStatus();
}

std::string FormatBytes(uint64_t bytes) {
  constexpr absl::string_view kUnits[] = {"", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return absl::StrCat(bytes, kUnits[unit]);
}

absl::Status SetDuration(absl::string_view text, absl::string_view wanted, absl::Duration most,
                         absl::Duration* duration) {
  absl::Duration value;
  if (!absl::ParseDuration(text, &value) || value < absl::ZeroDuration() || value > most) return Wanted(wanted, text);
  *duration = value;
  return absl::OkStatus();
}

absl::Status SetBool(absl::string_view text, bool* value) {
  if (text == "true" || text == "on" || text == "yes") {
    *value = true;
  } else if (text == "false" || text == "off" || text == "no") {
    *value = false;
  } else {
    return Wanted("true or false", text);
  }
  return absl::OkStatus();
}

absl::Status SetName(absl::string_view text, std::string* name) {
  if (text.size() > kIdBytesMax) return Wanted(kName, text);
  *name = std::string(text);
  return absl::OkStatus();
}

absl::Status SetPath(absl::string_view text, std::string* path) {
  if (!text.empty() && !absl::StartsWith(text, "/")) return Wanted(kPath, text);
  *path = std::string(text);
  return absl::OkStatus();
}

absl::Status SetProfile(absl::string_view text, absl::string_view wanted, std::string* profile) {
  if (text != "cdn" && text != "s3-path" && text != "s3-vhost" && text != "kodo") return Wanted(wanted, text);
  *profile = std::string(text);
  return absl::OkStatus();
}

absl::Status SetHeader(absl::string_view text, std::string* header) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return Wanted(kHeader, text);
  }
  *header = absl::AsciiStrToLower(text);
  return absl::OkStatus();
}

absl::Status SetDomains(absl::string_view text, std::vector<std::string>* domains) {
  domains->clear();
  for (const absl::string_view each : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    std::string buffer;
    const absl::StatusOr<absl::string_view> host = CanonicalHost(absl::StripAsciiWhitespace(each), &buffer);
    if (!host.ok() || host->empty()) return Wanted(kDomains, text);
    domains->emplace_back(*host);
  }
  return absl::OkStatus();
}

}  // namespace sluice
