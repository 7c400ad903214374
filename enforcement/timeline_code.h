// A timeline as a few bytes: what an account's record refers to where its standing does not fit in the record.
#ifndef SLUICE_ENFORCEMENT_TIMELINE_CODE_H_
#define SLUICE_ENFORCEMENT_TIMELINE_CODE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "enforcement/lifecycle.h"

namespace sluice {

// About 20 bytes a segment. Times to the nanosecond.
std::string EncodeTimeline(const Timeline& timeline);
// Of what EncodeTimeline made.
Timeline DecodeTimeline(absl::string_view bytes);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_TIMELINE_CODE_H_
