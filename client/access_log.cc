#include "client/access_log.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/civil_time.h"
#include "client/caddy_log.h"

namespace sluice {
namespace {

bool Digits(absl::string_view text, int* value) {
  *value = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
    *value = *value * 10 + (c - '0');
  }
  return true;
}

int MonthOf(absl::string_view name) {
  static constexpr absl::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (int i = 0; i < 12; ++i) {
    if (absl::EqualsIgnoreCase(name, kMonths[i])) return i + 1;
  }
  return 0;
}

// "17/May/2015:10:05:03 +0000". Both servers print exactly this, in the C locale, whatever theirs is.
bool ParseLogTime(absl::string_view text, absl::Time* time) {
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' || text[17] != ':' ||
      text[20] != ' ' || (text[21] != '+' && text[21] != '-')) {
    return false;
  }
  int day, year, hour, minute, second, offset_hours, offset_minutes;
  const int month = MonthOf(text.substr(3, 3));
  if (month == 0 || !Digits(text.substr(0, 2), &day) || !Digits(text.substr(7, 4), &year) ||
      !Digits(text.substr(12, 2), &hour) || !Digits(text.substr(15, 2), &minute) ||
      !Digits(text.substr(18, 2), &second) || !Digits(text.substr(22, 2), &offset_hours) ||
      !Digits(text.substr(24, 2), &offset_minutes)) {
    return false;
  }
  // 60 is a leap second; absl carries it into the next minute.
  if (hour > 23 || minute > 59 || second > 60 || offset_hours > 23 || offset_minutes > 59) return false;
  const absl::CivilDay date(year, month, day);
  if (date.day() != day || date.month() != month) return false;  // 31 February would be carried over too
  absl::Duration offset = absl::Hours(offset_hours) + absl::Minutes(offset_minutes);
  if (text[21] == '-') offset = -offset;
  *time = absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), absl::UTCTimeZone()) - offset;
  return true;
}

// The length of the quoted text that starts behind a quote: up to the closing quote, which a backslash escapes.
// npos where it does not close.
size_t QuotedLength(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return absl::string_view::npos;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Undoes what nginx (\" \\ \xHH) and Apache (\n, \t and their like too) do. An unknown escape stays as it is.
void Unescape(absl::string_view text, std::string* result) {
  result->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result->push_back(text[i]);
      continue;
    }
    const char escaped = text[++i];
    switch (escaped) {
      case '"':
      case '\\':
        result->push_back(escaped);
        break;
      case 'n':
        result->push_back('\n');
        break;
      case 'r':
        result->push_back('\r');
        break;
      case 't':
        result->push_back('\t');
        break;
      case 'b':
        result->push_back('\b');
        break;
      case 'v':
        result->push_back('\v');
        break;
      case 'f':
        result->push_back('\f');
        break;
      case 'x':
        if (i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
          result->push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
          i += 2;
          break;
        }
        [[fallthrough]];
      default:
        result->push_back('\\');
        result->push_back(escaped);
    }
  }
}

bool IsToken(absl::string_view text) {
  if (text.empty()) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", absl::string_view(&c, 1));
  });
}

// Takes the target apart: origin form "/a?b", absolute form "http://host/a", authority form "host:443" (CONNECT), "*".
void ParseTarget(absl::string_view target, AccessLine* line) {
  const size_t scheme = target.find("://");
  // A scheme stands before every "/" and "?": "/go?to=http://x" is an origin form.
  if (scheme != absl::string_view::npos && scheme > 0 && target.find_first_of("/?#") == scheme + 1) {
    target.remove_prefix(scheme + 3);
    const size_t end = std::min(target.find_first_of("/?#"), target.size());
    line->host = target.substr(0, end);
    const size_t at = line->host.rfind('@');
    if (at != absl::string_view::npos) line->host.remove_prefix(at + 1);
    target.remove_prefix(end);
  }
  line->path = target.substr(0, std::min(target.find_first_of("?#"), target.size()));
  if (line->path.empty()) line->path = "/";
}

// "GET /a HTTP/1.1". Blanks inside the target are taken as part of it: some clients send them, and servers log them.
void ParseRequest(absl::string_view request, AccessLine* line) {
  line->method = line->host = line->path = line->protocol = {};
  const size_t first = request.find(' ');
  const absl::string_view method = request.substr(0, std::min(first, request.size()));
  if (first == absl::string_view::npos || !IsToken(method)) return;
  absl::string_view target = absl::StripAsciiWhitespace(request.substr(first + 1));
  const size_t last = target.rfind(' ');
  if (last != absl::string_view::npos && absl::StartsWithIgnoreCase(target.substr(last + 1), "HTTP/")) {
    line->protocol = target.substr(last + 1);
    target = absl::StripTrailingAsciiWhitespace(target.substr(0, last));
  } else if (absl::StartsWithIgnoreCase(target, "HTTP/")) {
    return;  // "GET HTTP/1.1": no target
  }
  if (target.empty()) return;
  line->method = method;
  ParseTarget(target, line);
}

absl::string_view DashIsEmpty(absl::string_view text) { return text == "-" ? absl::string_view() : text; }

// The referer and the agent, and whatever a site appends to its format. Damage here costs nothing.
void ParseTail(absl::string_view rest, AccessLine* line) {
  line->referer = line->user_agent = {};
  line->damaged_tail = false;
  absl::string_view* const fields[] = {&line->referer, &line->user_agent};
  for (absl::string_view* field : fields) {
    rest = absl::StripLeadingAsciiWhitespace(rest);
    if (rest.empty()) return;
    if (rest[0] != '"') {
      line->damaged_tail = true;
      return;
    }
    const size_t length = QuotedLength(rest.substr(1));
    if (length == absl::string_view::npos) {
      line->damaged_tail = true;
      *field = rest.substr(1);
      return;
    }
    *field = DashIsEmpty(rest.substr(1, length));
    rest.remove_prefix(length + 2);
  }
}

}  // namespace

absl::string_view Describe(AccessLineError error) {
  static constexpr absl::string_view kTexts[kAccessLineErrorCount] = {"readable",
                                                                      "blank line",
                                                                      "line over 65,536 bytes",
                                                                      "no client address before the time",
                                                                      "no [time] in brackets",
                                                                      "time is not DD/Mon/YYYY:HH:MM:SS +HHMM",
                                                                      "no \"request\" in quotes after the time",
                                                                      "quote of the request does not close",
                                                                      "status is not a number from 100 to 999",
                                                                      "size is neither a number nor \"-\""};
  return kTexts[static_cast<size_t>(error)];
}

AccessLineError ParseAccessLine(absl::string_view line, AccessLine* result) {
  if (line.size() > kAccessLineBytesMax) return AccessLineError::kTooLong;
  if (absl::StripAsciiWhitespace(line).empty()) return AccessLineError::kBlank;
  if (line[0] == '{') {
    if (const AccessLineError error = CommonOfCaddy(line, &result->rewritten); error != AccessLineError::kNone) {
      return error;
    }
    line = result->rewritten;
  }

  // client ident user [time]: a user's name may hold blanks and brackets, a time in brackets is the last "[" before "]
  // \"".
  const size_t blank = line.find(' ');
  if (blank == 0 || blank == absl::string_view::npos) {
    return line[0] == '[' || blank == 0 ? AccessLineError::kNoClient : AccessLineError::kNoTime;
  }
  if (line[0] == '[') return AccessLineError::kNoClient;
  result->client = line.substr(0, blank);
  const size_t request = line.find("] \"", blank);
  const size_t bracket = request == absl::string_view::npos ? line.find('[', blank) : line.rfind('[', request);
  if (bracket == absl::string_view::npos || bracket < blank) return AccessLineError::kNoTime;
  const size_t bracket_end = line.find(']', bracket);
  if (bracket_end == absl::string_view::npos) return AccessLineError::kNoTime;
  if (!ParseLogTime(line.substr(bracket + 1, bracket_end - bracket - 1), &result->time))
    return AccessLineError::kBadTime;
  absl::string_view names = absl::StripAsciiWhitespace(line.substr(blank, bracket - blank));
  const size_t ident = names.find(' ');
  result->user = ident == absl::string_view::npos
                     ? absl::string_view()
                     : DashIsEmpty(absl::StripLeadingAsciiWhitespace(names.substr(ident + 1)));

  absl::string_view rest = absl::StripLeadingAsciiWhitespace(line.substr(bracket_end + 1));
  if (rest.empty() || rest[0] != '"') return AccessLineError::kNoRequest;
  rest.remove_prefix(1);
  const size_t length = QuotedLength(rest);
  if (length == absl::string_view::npos) return AccessLineError::kOpenQuote;
  result->request = DashIsEmpty(rest.substr(0, length));
  rest.remove_prefix(length + 1);

  rest = absl::StripLeadingAsciiWhitespace(rest);
  const absl::string_view status = rest.substr(0, std::min(rest.find(' '), rest.size()));
  if (status.size() != 3 || !Digits(status, &result->status) || result->status < 100)
    return AccessLineError::kBadStatus;
  rest.remove_prefix(3);
  rest = absl::StripLeadingAsciiWhitespace(rest);
  const absl::string_view size = rest.substr(0, std::min(rest.find(' '), rest.size()));
  // 18 digits are the most that cannot overflow, and an exabyte.
  if (size.empty() || size.size() > 18) return AccessLineError::kBadSize;
  result->bytes = 0;
  if (size != "-") {
    for (const char c : size) {
      if (!absl::ascii_isdigit(c)) return AccessLineError::kBadSize;
      result->bytes = result->bytes * 10 + (c - '0');
    }
  }
  rest.remove_prefix(size.size());

  if (absl::StrContains(result->request, '\\')) {
    Unescape(result->request, &result->unescaped);
    result->request = result->unescaped;
  }
  ParseRequest(result->request, result);
  ParseTail(rest, result);
  return AccessLineError::kNone;
}

}  // namespace sluice
