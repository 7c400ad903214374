// Natural days (自然日) of the agreement: calendar days in China Standard Time, UTC+8 without daylight saving, counted
// without the day of the event and ending at 24:00 of the last day (Civil Code 200-204; domain.md, section 1).
#ifndef SLUICE_ENFORCEMENT_CALENDAR_H_
#define SLUICE_ENFORCEMENT_CALENDAR_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace sluice {

// UTC+8, fixed. Not "Asia/Shanghai": the zone file may be absent, and had daylight saving until 1991.
absl::TimeZone ChinaStandardTime();

absl::CivilDay DayOf(absl::Time time);
absl::Time StartOfDay(absl::CivilDay day);

// First and last days off, inclusive, in order and without overlap.
using Holidays = std::vector<std::pair<absl::CivilDay, absl::CivilDay>>;
// "2026-10-01/2026-10-07, 2027-01-01"; "" is none. INVALID_ARGUMENT names the piece that is wrong.
absl::StatusOr<Holidays> ParseHolidays(absl::string_view text);
// "2026-06-30"; nothing else.
absl::StatusOr<absl::CivilDay> ParseDay(absl::string_view text);

// The end of a window of `days` natural days that begins with an event at `event`: 00:00 of its date + days + 1. With
// `holidays`, a last day that falls on one moves to the first day after it (Civil Code 203).
absl::Time WindowEnd(absl::Time event, int64_t days, const Holidays& holidays = {});

// "2026-03-01T10:00:00+08:00", to the second, or to the microsecond where it has a fraction.
std::string ChinaTimeText(absl::Time time);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_CALENDAR_H_
