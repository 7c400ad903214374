#include "server/doors/url.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "enforcement/names.h"

namespace sluice {

absl::optional<UrlParts> SplitTarget(absl::string_view target) {
  UrlParts result;
  if (absl::StrContains(target, '#')) return absl::nullopt;
  if (absl::StartsWithIgnoreCase(target, "http://") || absl::StartsWithIgnoreCase(target, "https://")) {
    target.remove_prefix(target.find("//") + 2);
    const size_t end = target.find_first_of("/?");
    result.host = target.substr(0, end);
    if (const size_t at = result.host.rfind('@'); at != absl::string_view::npos) result.host.remove_prefix(at + 1);
    if (result.host.empty()) return absl::nullopt;
    target = end == absl::string_view::npos ? absl::string_view() : target.substr(end);
    if (target.empty() || target.front() == '?') {
      result.path = "/";
      result.query = absl::StripPrefix(target, "?");
      return result;
    }
  }
  if (target.empty() || target.front() != '/') return absl::nullopt;
  const size_t question = target.find('?');
  result.path = target.substr(0, question);
  if (question != absl::string_view::npos) result.query = target.substr(question + 1);
  return result;
}

bool NextParameter(absl::string_view* query, absl::string_view* name, absl::string_view* value) {
  while (!query->empty()) {
    const size_t end = query->find('&');
    const absl::string_view pair = query->substr(0, end);
    query->remove_prefix(end == absl::string_view::npos ? query->size() : end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    *name = pair.substr(0, equals);
    *value = equals == absl::string_view::npos ? absl::string_view() : pair.substr(equals + 1);
    return true;
  }
  return false;
}

absl::string_view FormDecode(absl::string_view text, std::string* buffer) {
  if (text.find('+') == absl::string_view::npos) return PercentDecode(text, buffer);
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  const absl::string_view decoded = PercentDecode(spaced, buffer);
  if (decoded.data() == spaced.data()) *buffer = std::move(spaced);
  return *buffer;
}

absl::optional<absl::string_view> FindParameter(absl::string_view query, absl::string_view name, std::string* buffer) {
  absl::string_view each, value;
  while (NextParameter(&query, &each, &value)) {
    if (FormDecode(each, buffer) == name) return FormDecode(value, buffer);
  }
  return absl::nullopt;
}

bool HasDotSegment(absl::string_view path) {
  const auto is_dots = [](absl::string_view segment) {
    int dots = 0;
    while (!segment.empty()) {
      if (!absl::ConsumePrefix(&segment, ".") && !absl::ConsumePrefix(&segment, "%2e") &&
          !absl::ConsumePrefix(&segment, "%2E")) {
        return false;
      }
      ++dots;
    }
    return dots == 1 || dots == 2;
  };
  // Nearly always: in a path in which nothing is encoded such a segment begins behind a slash, or the path with it.
  if (!absl::StrContains(path, '%') && !absl::StrContains(path, "/.") && !absl::StartsWith(path, ".")) return false;
  while (!path.empty()) {
    // "%2F" parts segments too, for whoever decodes before resolving.
    size_t end = path.find_first_of("/%");
    while (end != absl::string_view::npos && path[end] == '%' && !absl::StartsWithIgnoreCase(path.substr(end), "%2f")) {
      end = path.find_first_of("/%", end + 1);
    }
    if (is_dots(path.substr(0, end))) return true;
    if (end == absl::string_view::npos) return false;
    path.remove_prefix(path[end] == '/' ? end + 1 : end + 3);
  }
  return false;
}

absl::string_view MergeSlashes(absl::string_view path, std::string* buffer) {
  const auto is_encoded = [&](size_t at) { return absl::StartsWithIgnoreCase(path.substr(at, 3), "%2f"); };
  if (!absl::StrContains(path, "//") && !absl::StrContains(path, "%2F") && !absl::StrContains(path, "%2f")) return path;
  buffer->clear();
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%' && is_encoded(i)) {
      c = '/';
      i += 2;
    }
    if (c != '/' || buffer->empty() || buffer->back() != '/') buffer->push_back(c);
  }
  return *buffer;
}

absl::string_view ForwardedAddress(absl::string_view list, int n) {
  absl::string_view address;
  for (;;) {
    const size_t comma = list.rfind(',');
    address = absl::StripAsciiWhitespace(comma == absl::string_view::npos ? list : list.substr(comma + 1));
    if (comma == absl::string_view::npos || --n == 0) break;
    list = list.substr(0, comma);
  }
  if (absl::ConsumePrefix(&address, "[")) return address.substr(0, address.find(']'));
  const size_t colon = address.find(':');
  // One colon: IPv4 and a port. More: IPv6.
  if (colon != absl::string_view::npos && address.find(':', colon + 1) == absl::string_view::npos) {
    return address.substr(0, colon);
  }
  return address;
}

}  // namespace sluice
