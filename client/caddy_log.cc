#include "client/caddy_log.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace sluice {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value& Field(const Struct& object, const char* name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? Value::default_instance() : found->second;
}

// Whether `text` can stand between blanks, in a host or a name of the log.
bool IsWord(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(c) && !absl::StrContains("/?#@\"\\[]", absl::string_view(&c, 1));
  });
}

bool IsAddress(absl::string_view text) {
  return !text.empty() && text.find_first_of(" []\"") == absl::string_view::npos;
}

// As a server escapes what it logs between quotes.
void AppendEscaped(absl::string_view text, std::string* line) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\' || byte < 0x20 || byte == 0x7f) {
      const char escape[] = {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      line->append(escape, sizeof(escape));
    } else {
      line->push_back(c);
    }
  }
}

bool IsWhole(const Value& value, double most) {
  return value.kind_case() == Value::kNumberValue && value.number_value() >= 0 && value.number_value() <= most;
}

}  // namespace

AccessLineError CommonOfCaddy(absl::string_view json, std::string* line) {
  constexpr double kSecondsMax = 253402300799;    // the end of the year 9999
  constexpr double kBytesMax = 9007199254740992;  // what a double counts exactly
  Struct entry;
  if (!google::protobuf::util::JsonStringToMessage(google::protobuf::StringPiece(json.data(), json.size()), &entry)
           .ok()) {
    return AccessLineError::kNoClient;
  }
  const Struct& request = Field(entry, "request").struct_value();
  std::string client = Field(request, "client_ip").string_value();
  if (client.empty()) client = Field(request, "remote_ip").string_value();
  if (!IsAddress(client)) return AccessLineError::kNoClient;
  const Value& seconds = Field(entry, "ts");
  if (!IsWhole(seconds, kSecondsMax)) return AccessLineError::kBadTime;
  const std::string& method = Field(request, "method").string_value();
  const std::string& target = Field(request, "uri").string_value();
  if (method.empty() || target.empty()) return AccessLineError::kNoRequest;
  const Value& status = Field(entry, "status");
  if (!IsWhole(status, 999) || status.number_value() < 100) return AccessLineError::kBadStatus;
  const Value& size = Field(entry, "size");
  if (!IsWhole(size, kBytesMax)) return AccessLineError::kBadSize;

  const std::string& user = Field(entry, "user_id").string_value();
  const absl::Time time = absl::FromUnixSeconds(static_cast<int64_t>(seconds.number_value()));
  *line = absl::StrCat(client, " - ", IsWord(user) ? user : "-", " [",
                       absl::FormatTime("%d/%b/%Y:%H:%M:%S +0000", time, absl::UTCTimeZone()), "] \"");
  AppendEscaped(method, line);
  line->push_back(' ');
  const std::string& host = Field(request, "host").string_value();
  if (target[0] == '/' && IsWord(host)) absl::StrAppend(line, "http://", host);
  AppendEscaped(target, line);
  line->push_back(' ');
  AppendEscaped(Field(request, "proto").string_value(), line);
  absl::StrAppend(line, "\" ", static_cast<int>(status.number_value()), " ", static_cast<int64_t>(size.number_value()));
  return AccessLineError::kNone;
}

}  // namespace sluice
