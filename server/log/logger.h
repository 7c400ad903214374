// Structured logs: one line an event, JSON for machines or text for people, to one file descriptor.
//
// The data path never logs; what it has to say is in the metrics and in the decision log. Nothing that authenticates a
// caller is ever a field.
#ifndef SLUICE_SERVER_LOG_LOGGER_H_
#define SLUICE_SERVER_LOG_LOGGER_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

enum class LogLevel : uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };
enum class LogFormat : uint8_t { kText, kJson };

absl::string_view Name(LogLevel level);
absl::string_view Name(LogFormat format);
absl::optional<LogLevel> ParseLogLevel(absl::string_view name);
absl::optional<LogFormat> ParseLogFormat(absl::string_view name);

// A name and what it is. Holds its value, so that a temporary may be given.
class LogField {
 public:
  LogField(absl::string_view name, absl::string_view text) : name_(name), value_(text), quoted_(true) {}
  LogField(absl::string_view name, const char* text) : LogField(name, absl::string_view(text)) {}
  LogField(absl::string_view name, const std::string& text) : LogField(name, absl::string_view(text)) {}
  LogField(absl::string_view name, bool value) : name_(name), value_(value ? "true" : "false") {}
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  LogField(absl::string_view name, Number value) : name_(name), value_(absl::StrCat(value)) {}

  absl::string_view name() const { return name_; }
  const std::string& value() const { return value_; }
  bool quoted() const { return quoted_; }  // text, as against a number or a truth value

 private:
  absl::string_view name_;
  std::string value_;
  bool quoted_ = false;
};

class Logger {
 public:
  // `fd` must stay open as long as the logger lives; it is not closed.
  Logger(LogLevel level, LogFormat format, int fd = 2) : level_(level), format_(format), fd_(fd) {}

  // One write a line, so that lines of several threads do not mix. Thread-safe; blocks where the reader of `fd` does.
  void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {}) const;
  void Debug(absl::string_view event, std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kDebug, event, fields);
  }
  void Info(absl::string_view event, std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kInfo, event, fields);
  }
  void Warning(absl::string_view event, std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kWarning, event, fields);
  }
  void Error(absl::string_view event, std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kError, event, fields);
  }
  bool Takes(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  // From now on. Thread-safe; a line under way may still go by the level before.
  void SetLevel(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

 private:
  std::atomic<LogLevel> level_;
  const LogFormat format_;
  const int fd_;
};

// `text` between double quotes as JSON has it. Bytes that are no UTF-8 become U+FFFD.
std::string JsonQuote(absl::string_view text);

// Sends what gRPC and Protobuf have to say to `logger`, which must live to the end of the process. Protobuf's
// complaints about what callers send go out at DEBUG: they come back to the caller, and would let anyone fill the log.
void RouteLibraryLogs(const Logger* logger);

}  // namespace sluice

#endif  // SLUICE_SERVER_LOG_LOGGER_H_
