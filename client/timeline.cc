#include "client/timeline.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/table.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

std::string Days(int64_t days) { return absl::StrCat(days, days == 1 ? " day" : " days"); }

}  // namespace

std::string TimeLeft(absl::Time deadline, absl::Time now) {
  const int64_t days = DayOf(deadline) - DayOf(now);
  if (now >= deadline) return days == 0 ? "passed today" : absl::StrCat("passed ", Days(-days), " ago");
  // A deadline is 00:00 of the day after the last one, and today does not count: 30 on the day of a freeze (7.2.2).
  if (days > 2) return absl::StrCat(Days(days - 1), " left");
  const int64_t minutes = std::max<int64_t>(1, absl::ToInt64Minutes(absl::Ceil(deadline - now, absl::Minutes(1))));
  if (minutes < 60) return absl::StrCat(minutes, " min left");
  return absl::StrCat(minutes / 60, " h ", minutes % 60, " min left");
}

std::string DrawTimeline(absl::Time since, absl::Time deadline, absl::Time now, int columns) {
  const double whole = std::max(absl::ToDoubleSeconds(deadline - since), 1.0);
  const double share = std::clamp(absl::ToDoubleSeconds(now - since) / whole, 0.0, 1.0);
  const int last = columns - 1;
  int mark = static_cast<int>(std::lround(share * last));
  // The ends belong to the window's own marks while now is inside it.
  if (now < deadline) mark = std::clamp(mark, 1, last - 1);
  std::string bar;
  for (int i = 0; i < columns; ++i) {
    if (i == mark) {
      absl::StrAppend(&bar, "◆");
    } else if (i == 0) {
      absl::StrAppend(&bar, "●");
    } else if (i == last) {
      absl::StrAppend(&bar, "○");
    } else {
      absl::StrAppend(&bar, i < mark ? "━" : "┄");
    }
  }
  const auto moment = [](absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M", time, ChinaStandardTime()); };
  const std::string begin = moment(since);
  std::string line = absl::StrCat(begin, " ", bar, " ", moment(deadline), "\n");
  line.append(begin.size() + 1 + static_cast<size_t>(mark), ' ');
  return absl::StrCat(line, "now: ", TimeLeft(deadline, now), "\n");
}

}  // namespace sluice
