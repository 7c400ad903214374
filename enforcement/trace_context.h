// W3C Trace Context, as far as Sluice repeats it: who asks may name a trace, and finds its id again in the decision log
// and in the texts of refusals and errors. What came from a stranger goes into logs and bodies, so nothing but the
// digits of the format gets this far.
// Source: https://www.w3.org/TR/trace-context/, 3.2 and 4.3
#ifndef SLUICE_ENFORCEMENT_TRACE_CONTEXT_H_
#define SLUICE_ENFORCEMENT_TRACE_CONTEXT_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace sluice {

inline constexpr size_t kTraceParentBytes = 55;
inline constexpr size_t kTraceIdBytes = 32;

// The "00-TRACE-SPAN-FLAGS" at the front of a traceparent header, of this version of the format or a later one. Empty
// for whatever is none, which a receiver takes for absent: wrong in length, in a digit (they are in lower case), or
// with a trace or span of zeros. A view into `header`.
inline absl::string_view ParseTraceParent(absl::string_view header) {
  if (header.size() < kTraceParentBytes) return {};
  const absl::string_view version = header.substr(0, 2), trace = header.substr(3, kTraceIdBytes),
                          span = header.substr(36, 16), flags = header.substr(53, 2);
  const auto is_hex = [](absl::string_view digits) {
    return digits.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
  };
  const auto is_zero = [](absl::string_view digits) {
    return digits.find_first_not_of('0') == absl::string_view::npos;
  };
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return {};
  if (!is_hex(version) || !is_hex(trace) || !is_hex(span) || !is_hex(flags)) return {};
  if (version == "ff" || is_zero(trace) || is_zero(span)) return {};
  // Later versions may go on behind another dash; version 00 ends here.
  if (header.size() > kTraceParentBytes && (version == "00" || header[kTraceParentBytes] != '-')) return {};
  return header.substr(0, kTraceParentBytes);
}

// Its trace, 32 hex digits; empty for an empty one. REQUIRES: `trace_parent` is a result of ParseTraceParent.
inline absl::string_view TraceIdOf(absl::string_view trace_parent) {
  return trace_parent.empty() ? absl::string_view() : trace_parent.substr(3, kTraceIdBytes);
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_TRACE_CONTEXT_H_
