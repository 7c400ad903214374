#include "enforcement/calendar.h"

#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

absl::Time China(int year, int month, int day, int hour = 0, int minute = 0, int second = 0) {
  return absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), ChinaStandardTime());
}

TEST(WindowEnd, ExcludesTheDayOfTheEventAndEndsAtTheEndOfTheLastDay) {
  EXPECT_EQ(WindowEnd(China(2026, 3, 1, 10), 30), China(2026, 4, 1));
  EXPECT_EQ(WindowEnd(China(2026, 3, 1), 30), China(2026, 4, 1));
  EXPECT_EQ(WindowEnd(China(2026, 3, 1, 23, 59, 59), 30), China(2026, 4, 1));
}

TEST(WindowEnd, CountsDaysOfChinaWhateverTheZoneOfTheEvent) {
  EXPECT_EQ(WindowEnd(absl::FromCivil(absl::CivilSecond(2026, 3, 1, 16, 0, 0), absl::UTCTimeZone()), 30),
            China(2026, 4, 2));
}

TEST(WindowEnd, CountsLeapDays) {
  EXPECT_EQ(WindowEnd(China(2028, 1, 30, 12), 30), China(2028, 3, 1));
  EXPECT_EQ(WindowEnd(China(2027, 1, 31, 12), 30), China(2027, 3, 3));
  EXPECT_EQ(WindowEnd(China(2026, 12, 15, 9), 30), China(2027, 1, 15));
}

// One day at a time, by counting: the slow way round.
TEST(WindowEnd, AgreesWithCountingDaysOneByOne) {
  for (absl::CivilDay start(2026, 1, 1); start < absl::CivilDay(2030, 1, 1); start += 1) {
    absl::CivilDay last = start;
    for (int i = 0; i < 30; ++i) ++last;
    EXPECT_EQ(WindowEnd(StartOfDay(start) + absl::Hours(13), 30), StartOfDay(last) + absl::Hours(24));
  }
}

TEST(WindowEnd, MovesALastDayOnAHolidayToTheFirstDayAfterIt) {
  const Holidays holidays = ParseHolidays("2026-10-01/2026-10-07").value();
  EXPECT_EQ(WindowEnd(China(2026, 9, 1, 9), 30, holidays), China(2026, 10, 9));
  EXPECT_EQ(WindowEnd(China(2026, 9, 8, 9), 30, holidays), China(2026, 10, 9));
}

TEST(WindowEnd, MovesOverHolidaysThatFollowEachOther) {
  const Holidays holidays = ParseHolidays("2026-10-03, 2026-10-01/2026-10-02").value();
  EXPECT_EQ(WindowEnd(China(2026, 9, 1, 9), 30, holidays), China(2026, 10, 5));
}

TEST(ParseHolidays, SaysWhichPieceIsWrong) {
  EXPECT_THAT(std::string(ParseHolidays("2026-10-01/2026-09-01").status().message()),
              HasSubstr("2026-10-01/2026-09-01"));
  EXPECT_THAT(std::string(ParseHolidays("2026-13-01").status().message()), HasSubstr("2026-13-01"));
  EXPECT_FALSE(ParseHolidays("2026-1-1").ok());
  EXPECT_FALSE(ParseHolidays("2026-01-01/2026-01-02/2026-01-03").ok());
  EXPECT_TRUE(ParseHolidays("").value().empty());
}

TEST(ChinaTimeText, IsRfc3339InUtcPlusEight) {
  EXPECT_EQ(ChinaTimeText(China(2026, 3, 1, 10)), "2026-03-01T10:00:00+08:00");
  EXPECT_EQ(ChinaTimeText(China(2026, 3, 1, 10) + absl::Milliseconds(250)), "2026-03-01T10:00:00.250000+08:00");
}

TEST(Days, BeginWhenTheTimeZoneSays) {
  const absl::TimeZone zone = ChinaStandardTime();
  for (int64_t seconds = -80000000000; seconds < 260000000000; seconds += 9999991) {
    const absl::Time time = absl::FromUnixSeconds(seconds) + absl::Nanoseconds(seconds % 2 == 0 ? 0 : 999999999);
    const absl::CivilDay day = absl::ToCivilDay(time, zone);
    ASSERT_EQ(DayOf(time), day) << time;
    ASSERT_EQ(StartOfDay(day), absl::FromCivil(day, zone)) << time;
    ASSERT_EQ(DayOf(StartOfDay(day)), day) << time;
    ASSERT_EQ(DayOf(StartOfDay(day) - absl::Nanoseconds(1)), day - 1) << time;
  }
  EXPECT_EQ(DayOf(absl::InfiniteFuture()), absl::ToCivilDay(absl::InfiniteFuture(), zone));
  EXPECT_EQ(DayOf(absl::InfinitePast()), absl::ToCivilDay(absl::InfinitePast(), zone));
}

}  // namespace
}  // namespace sluice
