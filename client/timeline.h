// A window of natural days, drawn in two lines.
#ifndef SLUICE_CLIENT_TIMELINE_H_
#define SLUICE_CLIENT_TIMELINE_H_

#include <string>

#include "absl/time/time.h"

namespace sluice {

// From `since` to `deadline`, with `now` on it, in China Standard Time, a line each for the bar and for what is left.
// The bar is `columns` wide. Each line ends in a newline.
//
//   2026-03-01 10:00 ●━━━━━━━━━◆┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄○ 2026-04-01 00:00
//                              now: 21 days left
//
// REQUIRES: since <= deadline, columns >= 3.
std::string DrawTimeline(absl::Time since, absl::Time deadline, absl::Time now, int columns = 40);

// "21 days left" besides today, "29 h 3 min left" on the last two days, "passed 3 days ago". Days are those of the
// calendar.
std::string TimeLeft(absl::Time deadline, absl::Time now);

}  // namespace sluice

#endif  // SLUICE_CLIENT_TIMELINE_H_
