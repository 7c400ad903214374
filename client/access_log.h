// Reads access logs in the common and the combined format, the defaults of nginx and Apache, and Caddy's JSON. Built
// for logs as they are: hostile request lines, missing fields, lines cut short by a rotation or a crash.
#ifndef SLUICE_CLIENT_ACCESS_LOG_H_
#define SLUICE_CLIENT_ACCESS_LOG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/line_reader.h"

namespace sluice {

// One line, taken apart. Reuse one object for many lines: it keeps its memory. The views hold until the next line is
// read into it, and while the text of the line lives.
struct AccessLine {
  absl::string_view client;  // an address, or a name where the server looks names up
  absl::string_view user;    // "" where the log has "-"
  absl::Time time;
  absl::string_view request;   // the request line, unescaped; "" where the log has "-" or nothing
  absl::string_view method;    // "" where the request line is no request: a scan, a broken TLS greeting
  absl::string_view host;      // of an absolute-form target, without user information; "" otherwise
  absl::string_view path;      // of the target, percent-encoded, without query and fragment; "/" where it has none
  absl::string_view protocol;  // "HTTP/1.1"; "" for HTTP/0.9
  int status = 0;
  int64_t bytes = 0;          // of the response's body; 0 where the log has "-"
  absl::string_view referer;  // as escaped in the log; "" where the line is in the common format
  absl::string_view user_agent;
  // All that a check needs was read, but what follows is damaged: an unclosed quote, text where no field is.
  bool damaged_tail = false;

  std::string unescaped;  // what the views of an escaped request point into
  std::string rewritten;  // and those of a line that was JSON
};

// Why a line cannot be read. A closed set, so that it can be counted.
enum class AccessLineError : uint8_t {
  kNone = 0,
  kBlank,
  kTooLong,    // over kAccessLineBytesMax
  kNoClient,   // nothing before the time
  kNoTime,     // no [bracketed] time
  kBadTime,    // not 17/May/2015:10:05:03 +0000
  kNoRequest,  // no quoted request after the time
  kOpenQuote,  // the request's quote does not close
  kBadStatus,  // not three digits, 100 to 999
  kBadSize,    // neither digits nor "-"
};
inline constexpr int kAccessLineErrorCount = 10;
inline constexpr size_t kAccessLineBytesMax = kLineBytesMax;

// A sentence: what was wanted.
absl::string_view Describe(AccessLineError error);

// Reads `line`, without its line end, into `*result`. Never fails for what comes after the size.
AccessLineError ParseAccessLine(absl::string_view line, AccessLine* result);

}  // namespace sluice

#endif  // SLUICE_CLIENT_ACCESS_LOG_H_
