#include "enforcement/calendar.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {

absl::TimeZone ChinaStandardTime() {
  // Kept: making one formats a name and looks it up under a lock.
  static const absl::TimeZone zone = absl::FixedTimeZone(8 * 60 * 60);
  return zone;
}

namespace {

constexpr int64_t kDaySeconds = 24 * 60 * 60;
constexpr int64_t kAheadSeconds = 8 * 60 * 60;  // of UTC

}  // namespace

absl::CivilDay DayOf(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  if (seconds < 0 || seconds > int64_t{1} << 40) return absl::ToCivilDay(time, ChinaStandardTime());
  // Every check asks, nearly always for the day that the last one asked for: a division instead of a calendar.
  thread_local int64_t last_number = 0;
  thread_local absl::CivilDay last_day(1970, 1, 1);
  const int64_t number = (seconds + kAheadSeconds) / kDaySeconds;
  if (number != last_number) {
    last_day = absl::CivilDay(1970, 1, 1) + number;
    last_number = number;
  }
  return last_day;
}

absl::Time StartOfDay(absl::CivilDay day) {
  if (day.year() < 1 || day.year() > 9999) return absl::FromCivil(day, ChinaStandardTime());
  return absl::FromUnixSeconds((day - absl::CivilDay(1970, 1, 1)) * kDaySeconds - kAheadSeconds);
}

absl::StatusOr<absl::CivilDay> ParseDay(absl::string_view text) {
  absl::CivilDay day;
  // ParseCivilTime takes "2026-6-3" and " 2026-06-03" too; the round trip refuses all but the one form.
  if (!absl::ParseCivilTime(text, &day) || absl::FormatCivilTime(day) != text) {
    return absl::InvalidArgumentError(absl::StrCat("want a date like 2026-06-30, got \"", text, "\""));
  }
  return day;
}

absl::StatusOr<Holidays> ParseHolidays(absl::string_view text) {
  Holidays holidays;
  for (absl::string_view piece : absl::StrSplit(text, ',')) {
    piece = absl::StripAsciiWhitespace(piece);
    if (piece.empty()) continue;
    const std::vector<absl::string_view> ends = absl::StrSplit(piece, '/');
    if (ends.size() > 2) {
      return absl::InvalidArgumentError(absl::StrCat("want FIRST/LAST or a date, got \"", piece, "\""));
    }
    absl::StatusOr<absl::CivilDay> first = ParseDay(ends.front());
    absl::StatusOr<absl::CivilDay> last = ParseDay(ends.back());
    if (!first.ok()) return first.status();
    if (!last.ok()) return last.status();
    if (*last < *first) {
      return absl::InvalidArgumentError(absl::StrCat("the last day is before the first in \"", piece, "\""));
    }
    holidays.emplace_back(*first, *last);
  }
  std::sort(holidays.begin(), holidays.end());
  return holidays;
}

absl::Time WindowEnd(absl::Time event, int64_t days, const Holidays& holidays) {
  absl::CivilDay last = DayOf(event) + days;
  for (const auto& [first_off, last_off] : holidays) {  // in order: one pass moves over adjoining ranges too
    if (first_off <= last && last <= last_off) last = last_off + 1;
  }
  return StartOfDay(last + 1);
}

std::string ChinaTimeText(absl::Time time) {
  const bool whole = absl::ToUnixMicros(time) % 1000000 == 0;
  return absl::FormatTime(whole ? "%Y-%m-%dT%H:%M:%S%Ez" : "%Y-%m-%dT%H:%M:%E6S%Ez", time, ChinaStandardTime());
}

}  // namespace sluice
