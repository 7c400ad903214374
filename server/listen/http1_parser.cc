#include "server/listen/http1_parser.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

constexpr std::array<bool, 256> MakeTokenBytes() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) table[c] = true;
  return table;
}
constexpr std::array<bool, 256> kTokenBytes = MakeTokenBytes();

bool IsToken(absl::string_view text) {
  for (const char c : text) {
    if (!kTokenBytes[static_cast<uint8_t>(c)]) return false;
  }
  return !text.empty();
}

// Visible characters, spaces and tabs, and bytes above ASCII, which some callers send.
bool IsFieldValue(absl::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

absl::string_view TrimBlanks(absl::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits alone, no sign, no blank; at most 2^53. -1 otherwise.
int64_t ParseLength(absl::string_view text) {
  if (text.empty() || text.size() > 15) return -1;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

constexpr Http1Fault Bad(absl::string_view what) { return {400, what}; }

// Host and port, or nothing (RFC 9110, 7.2): no user, no path, no blank.
bool IsAuthority(absl::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '/' || c == '@' || c == '?' || c == '#' || c == '\\') return false;
  }
  return true;
}

// "GET /path?query HTTP/1.1"
Http1Fault ParseRequestLine(absl::string_view line, Http1Head* head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || first == last) return Bad("request line");
  head->method = line.substr(0, first);
  absl::string_view target = line.substr(first + 1, last - first - 1);
  const absl::string_view version = line.substr(last + 1);
  if (!IsToken(head->method) || head->method.size() > 32) return Bad("method");
  if (version == "HTTP/1.1") {
    head->is_1_1 = true;
  } else if (version == "HTTP/1.0") {
    head->is_1_1 = false;
  } else {
    return absl::StartsWith(version, "HTTP/") && version.size() == 8 ? Http1Fault{505, "version"} : Bad("version");
  }
  for (const char c : target) {
    if (c <= 0x20 || c >= 0x7f || c == '#') return Bad("target");  // bytes above ASCII are negative
  }
  if (absl::StartsWithIgnoreCase(target, "http://")) {
    target.remove_prefix(7);
    const size_t path = target.find_first_of("/?");
    head->host = target.substr(0, path);
    target = path == absl::string_view::npos ? absl::string_view("/") : target.substr(path);
    if (head->host.empty() || !IsAuthority(head->host)) return Bad("target");
  } else if (target != "*" && !absl::StartsWith(target, "/")) {
    return Bad("target");
  }
  head->target = target;
  return {};
}

// One of a list such as "keep-alive, Upgrade".
bool Lists(absl::string_view list, absl::string_view word) {
  for (const absl::string_view item : absl::StrSplit(list, ',')) {
    if (absl::EqualsIgnoreCase(TrimBlanks(item), word)) return true;
  }
  return false;
}

// What a head's fields say about the message itself. `hosts`: how many Host fields there were before.
Http1Fault Note(const HttpHeader& field, int* hosts, absl::string_view* host, Http1Head* head) {
  const auto [name, value] = field;
  if (name == "host") {
    if (++*hosts > 1 || !IsAuthority(value)) return Bad("Host");
    *host = value;
  } else if (name == "content-length") {
    if (head->content_length >= 0) return Bad("more than one Content-Length");
    head->content_length = ParseLength(value);
    if (head->content_length < 0) return Bad("Content-Length");
  } else if (name == "transfer-encoding") {
    if (head->chunked) return Bad("more than one Transfer-Encoding");
    if (!absl::EqualsIgnoreCase(value, "chunked")) return {501, "Transfer-Encoding"};
    head->chunked = true;
  } else if (name == "connection") {
    if (Lists(value, "close")) {
      head->keep_alive = false;
    } else if (!head->is_1_1 && Lists(value, "keep-alive")) {
      head->keep_alive = true;
    }
  } else if (name == "expect") {
    if (!absl::EqualsIgnoreCase(value, "100-continue")) return {417, "Expect"};
    head->expects_continue = head->is_1_1;
  }
  return {};
}

}  // namespace

Http1Fault FindHeadEnd(absl::string_view bytes, size_t* scanned, size_t* end) {
  *end = 0;
  size_t at = *scanned;
  while (true) {
    const size_t feed = bytes.find('\n', at);
    if (feed == absl::string_view::npos) {
      *scanned = bytes.size();
      return {};
    }
    if (feed == 0 || bytes[feed - 1] != '\r') return Bad("a line that does not end in CR LF");
    at = feed + 1;
    if (feed >= 3 && bytes[feed - 2] == '\n') {
      *end = at;
      return {};
    }
  }
}

Http1Fault ParseHead(absl::Span<char> bytes, size_t fields_max, Http1Head* head) {
  head->host = {};
  head->headers.clear();
  head->content_length = -1;
  head->chunked = false;
  head->expects_continue = false;
  absl::string_view rest(bytes.data(), bytes.size());
  size_t line_end = rest.find("\r\n");
  if (const Http1Fault fault = ParseRequestLine(rest.substr(0, line_end), head); !fault.ok()) return fault;
  head->keep_alive = head->is_1_1;
  int hosts = 0;
  absl::string_view host;
  while (true) {
    rest.remove_prefix(line_end + 2);
    line_end = rest.find("\r\n");
    if (line_end == 0) break;
    const absl::string_view line = rest.substr(0, line_end);
    if (head->headers.size() >= fields_max) return {431, "too many header fields"};
    // A blank before the name, or between it and the colon, is a folded line or a trick.
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || !IsToken(line.substr(0, colon))) return Bad("header field");
    char* const name = bytes.data() + (line.data() - bytes.data());
    for (size_t i = 0; i < colon; ++i) name[i] = absl::ascii_tolower(static_cast<unsigned char>(name[i]));
    const HttpHeader field = {line.substr(0, colon), TrimBlanks(line.substr(colon + 1))};
    if (!IsFieldValue(field.value)) return Bad("header value");
    if (const Http1Fault fault = Note(field, &hosts, &host, head); !fault.ok()) return fault;
    head->headers.push_back(field);
  }
  if (hosts == 0 && head->is_1_1) return Bad("no Host");
  if (head->host.empty()) head->host = host;
  if (head->chunked && head->content_length >= 0) return Bad("Content-Length beside Transfer-Encoding");
  if (head->chunked && !head->is_1_1) return Bad("Transfer-Encoding in HTTP/1.0");
  return {};
}

bool IsField(absl::string_view line) {
  const size_t colon = line.find(':');
  return colon != absl::string_view::npos && IsToken(line.substr(0, colon)) && IsFieldValue(line.substr(colon + 1));
}

size_t ChunkedReader::ReadLine(absl::string_view bytes, absl::string_view* line) {
  const size_t feed = bytes.find('\n');
  if (feed == absl::string_view::npos) {
    if (bytes.size() > kLineBytesMax) fault_ = Bad("a line of a chunked body");
    return 0;
  }
  if (feed > kLineBytesMax || feed == 0 || bytes[feed - 1] != '\r') {
    fault_ = Bad("a line of a chunked body");
    return 0;
  }
  *line = bytes.substr(0, feed - 1);
  return feed + 1;
}

void ChunkedReader::OnSizeLine(absl::string_view line, size_t body_size) {
  size_t digits = 0;
  uint64_t size = 0;
  while (digits < line.size() && absl::ascii_isxdigit(static_cast<unsigned char>(line[digits]))) {
    const char c = absl::ascii_tolower(static_cast<unsigned char>(line[digits]));
    size = size * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (++digits > 8) break;
  }
  const absl::string_view extension = line.substr(digits);
  if (digits == 0 || digits > 8 || !(extension.empty() || extension.front() == ';') || !IsFieldValue(extension)) {
    fault_ = Bad("size of a chunk");
  } else if (size > body_bytes_max_ - body_size) {
    fault_ = {413, "body"};
  } else {
    left_ = size;
    state_ = size > 0 ? State::kData : State::kTrailer;
  }
}

size_t ChunkedReader::Read(absl::string_view bytes, std::string* body) {
  size_t at = 0;
  while (state_ != State::kDone && at < bytes.size()) {
    const absl::string_view rest = bytes.substr(at);
    if (state_ == State::kData) {
      const absl::string_view piece = rest.substr(0, left_);
      body->append(piece.data(), piece.size());
      left_ -= piece.size();
      at += piece.size();
      if (left_ == 0) state_ = State::kDataEnd;
      continue;
    }
    absl::string_view line;
    const size_t taken = ReadLine(rest, &line);
    if (taken == 0) break;
    at += taken;
    if (state_ == State::kSize) {
      OnSizeLine(line, body->size());
    } else if (state_ == State::kDataEnd) {
      if (!line.empty()) fault_ = Bad("end of a chunk");
      state_ = State::kSize;
    } else if (line.empty()) {
      state_ = State::kDone;
    } else if (++trailers_ > kTrailersMax || !IsField(line)) {
      fault_ = Bad("trailer");
    }
    if (!fault_.ok()) break;
  }
  return at;
}

absl::string_view StatusPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace sluice
