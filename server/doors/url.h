// Targets of HTTP requests, taken apart without copying.
#ifndef SLUICE_SERVER_DOORS_URL_H_
#define SLUICE_SERVER_DOORS_URL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

struct UrlParts {
  absl::string_view host;   // of an absolute-form target, without user information; empty otherwise
  absl::string_view path;   // percent-encoded, with its leading "/"
  absl::string_view query;  // without "?"; percent-encoded
};

// Of "/path?query" or "http://host/path?query". Nothing for any other text ("*", "host:443"), nor for one with a "#":
// it has no place in a request, and some servers cut there while others take it for a piece of the key.
absl::optional<UrlParts> SplitTarget(absl::string_view target);

// Takes the first "name=value" off `*query`, both as they stand; a name without "=" has no value. False at the end.
bool NextParameter(absl::string_view* query, absl::string_view* name, absl::string_view* value);

// As forms and queries write it: "+" is a space, then percent-decoded once. Views `*buffer`, or `text` where nothing is
// escaped.
absl::string_view FormDecode(absl::string_view text, std::string* buffer);

// The value of the first parameter of that name, decoded; nothing where there is none.
absl::optional<absl::string_view> FindParameter(absl::string_view query, absl::string_view name, std::string* buffer);

// True where a segment of `path` is "." or "..", also percent-encoded: gateways resolve it, each in its own way, so the
// object that is served would not be the one that was judged.
bool HasDotSegment(absl::string_view path);

// The path with each run of "/" as one, of which any may be written "%2F": servers of files decode before they merge.
// Views `*buffer`, or `path` where nothing changes.
absl::string_view MergeSlashes(absl::string_view path, std::string* buffer);

// The nth address from the right (1 = the last) of a list as X-Forwarded-For has it, or the leftmost where there are
// fewer; a port and brackets are dropped. Views `list`. REQUIRES: n >= 1.
absl::string_view ForwardedAddress(absl::string_view list, int n);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_URL_H_
