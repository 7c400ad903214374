#include "server/log/logger.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr absl::string_view kLevels[] = {"debug", "info", "warning", "error"};

// Bytes of the UTF-8 character that `text` begins with; 0 where it begins with none.
size_t CharacterBytes(absl::string_view text) {
  for (size_t size = 1; size <= 4 && size <= text.size(); ++size) {
    if (IsUtf8(text.substr(0, size))) return size;
  }
  return 0;
}

bool NeedsQuotes(absl::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F)
      return true;  // and bytes above 0x7F, as char is signed
  }
  return false;
}

void WriteWhole(int fd, absl::string_view line) {
  while (!line.empty()) {
    const ssize_t written = write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // there is nowhere left to complain
    line.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

absl::string_view Name(LogLevel level) { return kLevels[static_cast<size_t>(level)]; }
absl::string_view Name(LogFormat format) { return format == LogFormat::kJson ? "json" : "text"; }

absl::optional<LogLevel> ParseLogLevel(absl::string_view name) {
  for (size_t i = 0; i < std::size(kLevels); ++i) {
    if (kLevels[i] == name) return static_cast<LogLevel>(i);
  }
  return absl::nullopt;
}

absl::optional<LogFormat> ParseLogFormat(absl::string_view name) {
  if (name == "json") return LogFormat::kJson;
  if (name == "text") return LogFormat::kText;
  return absl::nullopt;
}

std::string JsonQuote(absl::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const char c = text[0];
    const size_t size = CharacterBytes(text);
    if (size == 0) {
      quoted += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (size == 1 && (c < ' ' || c == 0x7F)) {
      absl::StrAppendFormat(&quoted, "\\u%04x", c);
    } else {
      absl::StrAppend(&quoted, text.substr(0, size));
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  quoted += '"';
  return quoted;
}

void Logger::Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) const {
  if (!Takes(level)) return;
  const std::string time = absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  std::string line;
  if (format_ == LogFormat::kJson) {
    absl::StrAppend(&line, "{\"time\":\"", time, "\",\"level\":\"", Name(level), "\",\"event\":", JsonQuote(event));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",", JsonQuote(field.name()), ":",
                      field.quoted() ? JsonQuote(field.value()) : field.value());
    }
    line += "}\n";
  } else {
    absl::StrAppend(&line, time, " ", Name(level), " ", event);
    for (const LogField& field : fields) {
      const bool quotes = field.quoted() && NeedsQuotes(field.value());
      absl::StrAppend(&line, " ", field.name(), "=", quotes ? JsonQuote(field.value()) : field.value());
    }
    line += "\n";
  }
  WriteWhole(fd_, line);
}

}  // namespace sluice
