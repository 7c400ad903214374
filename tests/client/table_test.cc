#include "client/table.h"

#include "client/progress.h"
#include "client/timeline.h"
#include "enforcement/calendar.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(DisplayWidthTest, CountsColumnsRatherThanBytes) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("é"), 1u);
  EXPECT_EQ(DisplayWidth("冻结"), 4u);
  EXPECT_EQ(DisplayWidth("カナ"), 4u);
  EXPECT_EQ(DisplayWidth("한글"), 4u);
  EXPECT_EQ(DisplayWidth("Ａ"), 2u) << "fullwidth letters take two columns";
  EXPECT_EQ(DisplayWidth("ｶﾅ"), 2u) << "halfwidth kana take one";
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u) << "a combining accent takes none";
  EXPECT_EQ(DisplayWidth("━━"), 2u);
  EXPECT_EQ(DisplayWidth("𠀀"), 2u) << "beyond the basic plane";
}

TEST(DisplayWidthTest, CountsBrokenUtf8AsOneColumnAByte) {
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2u);
  EXPECT_EQ(DisplayWidth("\xe5\x86"), 2u) << "a character cut short";
  EXPECT_EQ(DisplayWidth("\xed\xa0\x80"), 3u) << "a surrogate";
  EXPECT_EQ(DisplayWidth("\xc0\xaf"), 2u) << "an overlong form";
}

TEST(PrintableTest, EscapesWhatCouldMoveTheCursor) {
  EXPECT_EQ(Printable("plain 冻结"), "plain 冻结");
  EXPECT_EQ(Printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(Printable("a\nb\tc\r"), "a\\x0ab\\x09c\\x0d");
  EXPECT_EQ(Printable("\x7f"), "\\x7f");
  EXPECT_EQ(Printable("\xff"), "\\xff");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b") << "the one-byte CSI of C1";
  EXPECT_EQ(Printable("\u202e"), "\\xe2\\x80\\xae") << "right-to-left override";
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a\\x00b");
}

TEST(ShortenedTest, CutsAtACharacterAndKeepsTheWidth) {
  EXPECT_EQ(Shortened("short", 5), "short");
  EXPECT_EQ(Shortened("longer", 5), "long…");
  EXPECT_EQ(Shortened("冻结账户", 5), "冻结…");
  EXPECT_EQ(Shortened("冻结账户", 4), "冻…") << "no half of a wide character";
  EXPECT_EQ(Shortened("abc", 1), "…");
}

TEST(NumbersTest, ReadWell) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(-1234567), "-1,234,567");
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB") << "never 1024.0 KiB";
  EXPECT_EQ(HumanBytes(2747282740), "2.6 GiB");
}

TEST(TableTest, AlignsWideCharacters) {
  Table table({{"NAME"}, {"COUNT", Table::Align::kRight}});
  table.AddRow({"冻结", "1"});
  table.AddRow({"ok", "1,000"});
  EXPECT_EQ(table.Render(false),
            "NAME  COUNT\n"
            "冻结      1\n"
            "ok    1,000\n");
}

TEST(TableTest, LeavesNoBlanksAtTheEndOfALineAndFillsMissingCells) {
  Table table({{"A"}, {"LONG HEADER"}, {"C"}});
  table.AddRow({"x"});
  table.AddRow({"y", "z"});
  EXPECT_EQ(table.Render(false, "  "), "  A  LONG HEADER  C\n  x\n  y  z\n");
}

TEST(TableTest, WithoutHeadersPrintsRowsAlone) {
  Table table(std::vector<Table::Column>{{""}, {""}});
  table.AddRow({"verdict", "DENY"});
  EXPECT_EQ(table.Render(false), "verdict  DENY\n");
}

TEST(TableTest, ColoursDoNotShiftColumnsAndTextCannotBringItsOwn) {
  Table table({{"V"}, {"W"}});
  table.AddRow({Cell("DENY", Color::kRed), "x"});
  table.AddRow({Cell("\x1b[2J"), "y"});
  const std::string text = table.Render(true);
  EXPECT_THAT(text, HasSubstr("\x1b[31mDENY\x1b[0m     x\n"));
  EXPECT_THAT(text, HasSubstr("\\x1b[2J  y\n"));
}

TEST(TableTest, ShortensAColumnThatHasABound) {
  Table table(std::vector<Table::Column>{{"PATH", Table::Align::kLeft, 6}});
  table.AddRow({"/a/very/long/path"});
  EXPECT_EQ(table.Render(false), "PATH\n/a/ve…\n");
}

TEST(ProgressTest, ShowsShareAmountAndSpeed) {
  const std::string bar = Progress::Draw("replaying", 512 << 10, 1 << 20, Progress::Unit::kBytes, absl::Seconds(2));
  EXPECT_THAT(bar, StartsWith("replaying  ━━━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄┄┄  50%"));
  EXPECT_THAT(bar, HasSubstr("512.0 KiB of 1.0 MiB"));
  EXPECT_THAT(bar, HasSubstr("256.0 KiB/s"));
  EXPECT_THAT(bar, EndsWith("2s left"));
}

TEST(ProgressTest, WithoutATotalShowsWhatIsDone) {
  EXPECT_EQ(Progress::Draw("reading", 3000, 0, Progress::Unit::kCount, absl::Seconds(1)), "reading  3,000  3,000/s");
}

TEST(ProgressTest, WritesNothingWhereThereIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    Progress progress(file, "working", 10, Progress::Unit::kCount);
    progress.Update(5);
  }
  EXPECT_EQ(std::ftell(file), 0);
  std::fclose(file);
}

absl::Time At(int month, int day, int hour) {
  return absl::FromCivil(absl::CivilHour(2026, month, day, hour), ChinaStandardTime());
}

TEST(TimelineTest, MarksNowAndWhatIsLeft) {
  EXPECT_EQ(DrawTimeline(At(3, 1, 10), At(4, 1, 0), At(3, 16, 17), 11),
            "2026-03-01 10:00 ●━━━━◆┄┄┄┄○ 2026-04-01 00:00\n"
            "                      now: 15 days left\n");
}

TEST(TimelineTest, KeepsTheMarkInsideUntilTheDeadline) {
  EXPECT_THAT(DrawTimeline(At(3, 1, 10), At(4, 1, 0), At(3, 1, 10), 5), HasSubstr("●◆┄┄○"));
  EXPECT_THAT(DrawTimeline(At(3, 1, 10), At(4, 1, 0), At(3, 31, 23), 5), HasSubstr("●━━◆○"));
  EXPECT_THAT(DrawTimeline(At(3, 1, 10), At(4, 1, 0), At(4, 3, 0), 5), HasSubstr("●━━━◆"));
}

TEST(TimelineTest, CountsDaysOfTheCalendarAndHoursOnTheLast) {
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(3, 1, 10)), "30 days left") << "on the day of the freeze";
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(3, 29, 23)), "2 days left");
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(3, 30, 23)), "25 h 0 min left");
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(3, 31, 19)), "5 h 0 min left");
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(4, 1, 0)), "passed today");
  EXPECT_EQ(TimeLeft(At(4, 1, 0), At(4, 2, 1)), "passed 1 day ago");
}

}  // namespace
}  // namespace sluice
