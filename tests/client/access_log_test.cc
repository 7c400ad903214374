#include "client/access_log.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Time Utc(int year, int month, int day, int hour, int minute, int second) {
  return absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), absl::UTCTimeZone());
}

// A line with `request` as its request.
std::string Line(absl::string_view request) {
  return absl::StrCat("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"", request, "\" 200 512 \"-\" \"agent\"");
}

class AccessLineTest : public testing::Test {
 protected:
  AccessLineError Parse(std::string text) {
    text_ = std::move(text);
    return ParseAccessLine(text_, &line_);
  }

  std::string text_;
  AccessLine line_;
};

TEST_F(AccessLineTest, ReadsTheCombinedFormat) {
  ASSERT_EQ(Parse(R"(83.149.9.216 - frank [17/May/2015:10:05:03 +0000] "GET /a/b.png?x=1 HTTP/1.1" 200 203023 )"
                  R"x("http://example.com/" "Mozilla/5.0 (X11)")x"),
            AccessLineError::kNone);
  EXPECT_EQ(line_.client, "83.149.9.216");
  EXPECT_EQ(line_.user, "frank");
  EXPECT_EQ(line_.time, Utc(2015, 5, 17, 10, 5, 3));
  EXPECT_EQ(line_.method, "GET");
  EXPECT_EQ(line_.path, "/a/b.png");
  EXPECT_EQ(line_.protocol, "HTTP/1.1");
  EXPECT_EQ(line_.host, "");
  EXPECT_EQ(line_.status, 200);
  EXPECT_EQ(line_.bytes, 203023);
  EXPECT_EQ(line_.referer, "http://example.com/");
  EXPECT_EQ(line_.user_agent, "Mozilla/5.0 (X11)");
  EXPECT_FALSE(line_.damaged_tail);
}

// As Caddy 2.6.2 wrote it.
constexpr char kCaddy[] =
    R"({"level":"info","ts":1767196800.25,"logger":"http.log.access.log0","msg":"handled request","request":{)"
    R"("remote_ip":"203.0.113.9","remote_port":"40123","proto":"HTTP/1.1","method":"GET","host":"www.example.cn:8080",)"
    R"("uri":"/a%20b/c.jpg?sign=x","headers":{"Accept-Encoding":["identity"]}},"user_id":"","duration":0.002,)"
    R"("size":600000,"status":200,"resp_headers":{"Server":["Caddy"]}})";

TEST_F(AccessLineTest, ReadsCaddysJson) {
  ASSERT_EQ(Parse(kCaddy), AccessLineError::kNone);
  EXPECT_EQ(line_.client, "203.0.113.9");
  EXPECT_EQ(line_.user, "");
  EXPECT_EQ(line_.time, Utc(2025, 12, 31, 16, 0, 0));
  EXPECT_EQ(line_.method, "GET");
  EXPECT_EQ(line_.host, "www.example.cn:8080");
  EXPECT_EQ(line_.path, "/a%20b/c.jpg");
  EXPECT_EQ(line_.protocol, "HTTP/1.1");
  EXPECT_EQ(line_.status, 200);
  EXPECT_EQ(line_.bytes, 600000);
}

TEST_F(AccessLineTest, CaddysJsonAsItMayBe) {
  const auto replaced = [](absl::string_view from, absl::string_view to) {
    return absl::StrReplaceAll(kCaddy, {{from, to}});
  };
  // Newer ones name the client behind a proxy too.
  ASSERT_EQ(Parse(replaced(R"("remote_port")", R"("client_ip":"2001:db8::7","remote_port")")), AccessLineError::kNone);
  EXPECT_EQ(line_.client, "2001:db8::7");
  // What would break a line of text does not.
  ASSERT_EQ(Parse(replaced("/a%20b/c.jpg?", R"(/a \"] \u000a[?)")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, "/a \"] \n[");
  EXPECT_EQ(line_.bytes, 600000);
  ASSERT_EQ(Parse(replaced(R"("user_id":"")", R"("user_id":"x] \"GET / HTTP/1.1\" 200 5")")), AccessLineError::kNone);
  EXPECT_EQ(line_.user, "");
  EXPECT_EQ(line_.bytes, 600000);
  ASSERT_EQ(Parse(replaced("www.example.cn:8080", "evil/x@")), AccessLineError::kNone);
  EXPECT_EQ(line_.host, "");
  EXPECT_EQ(line_.path, "/a%20b/c.jpg");
  EXPECT_EQ(Parse("{"), AccessLineError::kNoClient);
  EXPECT_EQ(Parse(R"({"level":"info","msg":"serving initial configuration"})"), AccessLineError::kNoClient);
  EXPECT_EQ(Parse(replaced("203.0.113.9", "a b")), AccessLineError::kNoClient);
  EXPECT_EQ(Parse(replaced("1767196800.25", "1e300")), AccessLineError::kBadTime);
  EXPECT_EQ(Parse(replaced(R"("GET")", "7")), AccessLineError::kNoRequest);
  EXPECT_EQ(Parse(replaced(R"("status":200)", R"("status":0)")), AccessLineError::kBadStatus);
  EXPECT_EQ(Parse(replaced("600000", "-1")), AccessLineError::kBadSize);
}

TEST_F(AccessLineTest, ReadsTheCommonFormatWithoutRefererAndAgent) {
  ASSERT_EQ(Parse(R"(192.0.2.1 - - [01/Jan/2026:00:00:00 +0800] "HEAD / HTTP/1.0" 304 -)"), AccessLineError::kNone);
  EXPECT_EQ(line_.bytes, 0);
  EXPECT_EQ(line_.status, 304);
  EXPECT_EQ(line_.time, Utc(2025, 12, 31, 16, 0, 0));
  EXPECT_EQ(line_.referer, "");
  EXPECT_FALSE(line_.damaged_tail);
}

TEST_F(AccessLineTest, TakesOffsetsOnBothSidesOfUtc) {
  ASSERT_EQ(Parse(R"(192.0.2.1 - - [01/Mar/2026:00:30:00 -0330] "GET / HTTP/1.1" 200 1)"), AccessLineError::kNone);
  EXPECT_EQ(line_.time, Utc(2026, 3, 1, 4, 0, 0));
}

TEST_F(AccessLineTest, AcceptsALeapSecond) {
  ASSERT_EQ(Parse(R"(192.0.2.1 - - [31/Dec/2016:23:59:60 +0000] "GET / HTTP/1.1" 200 1)"), AccessLineError::kNone);
  EXPECT_EQ(line_.time, Utc(2017, 1, 1, 0, 0, 0));
}

TEST_F(AccessLineTest, UndoesEscapesInTheRequest) {
  ASSERT_EQ(Parse(Line(R"(GET /a\"b\\c\x41\xe4\t HTTP/1.1)")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, "/a\"b\\cA\xe4");
  EXPECT_EQ(line_.protocol, "HTTP/1.1");
}

TEST_F(AccessLineTest, KeepsAnEscapeThatIsNone) {
  ASSERT_EQ(Parse(Line(R"(GET /\q\xZZ\x4 HTTP/1.1)")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, R"(/\q\xZZ\x4)");
}

TEST_F(AccessLineTest, ReadsQuotesInRefererAndAgent) {
  ASSERT_EQ(Parse(R"(192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "a\"b" "c\\")"),
            AccessLineError::kNone);
  EXPECT_EQ(line_.referer, R"(a\"b)");
  EXPECT_EQ(line_.user_agent, R"(c\\)");
  EXPECT_FALSE(line_.damaged_tail);
}

TEST_F(AccessLineTest, ReadsIPv6Addresses) {
  ASSERT_EQ(Parse(R"(2001:db8::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1)"), AccessLineError::kNone);
  EXPECT_EQ(line_.client, "2001:db8::1");
}

TEST_F(AccessLineTest, ReadsUsersWithBlanksAndBrackets) {
  ASSERT_EQ(Parse(R"(192.0.2.1 - Jo [x] Doe [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1)"),
            AccessLineError::kNone);
  EXPECT_EQ(line_.user, "Jo [x] Doe");
}

TEST_F(AccessLineTest, TakesAbsoluteFormTargetsApart) {
  ASSERT_EQ(Parse(Line("GET http://user@CDN.example.cn:8080/a?b HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.host, "CDN.example.cn:8080");
  EXPECT_EQ(line_.path, "/a");
  ASSERT_EQ(Parse(Line("GET http://example.cn HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.host, "example.cn");
  EXPECT_EQ(line_.path, "/");
  ASSERT_EQ(Parse(Line("GET /go?to=http://example.com/x HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.host, "") << "a URL in the query is no target";
  EXPECT_EQ(line_.path, "/go");
}

TEST_F(AccessLineTest, ReadsOddMethodsAndTargets) {
  ASSERT_EQ(Parse(Line("OPTIONS * HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.method, "OPTIONS");
  EXPECT_EQ(line_.path, "*");
  ASSERT_EQ(Parse(Line("CONNECT example.com:443 HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, "example.com:443");
  ASSERT_EQ(Parse(Line("M-SEARCH /x HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.method, "M-SEARCH");
  ASSERT_EQ(Parse(Line("GET /with blank in it HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, "/with blank in it");
  ASSERT_EQ(Parse(Line("GET /old")), AccessLineError::kNone) << "HTTP/0.9 names no version";
  EXPECT_EQ(line_.path, "/old");
  EXPECT_EQ(line_.protocol, "");
  ASSERT_EQ(Parse(Line("GET /a#b HTTP/1.1")), AccessLineError::kNone);
  EXPECT_EQ(line_.path, "/a");
}

TEST_F(AccessLineTest, ALineWithoutARequestIsReadableAndHasNoMethod) {
  for (const char* request :
       {"-", "", R"(\x16\x03\x01\x02)", "GET", "GET HTTP/1.1", R"(\x00\x01 \x02)", "{bad} / HTTP/1.1"}) {
    ASSERT_EQ(Parse(Line(request)), AccessLineError::kNone) << request;
    EXPECT_EQ(line_.method, "") << request;
  }
}

TEST_F(AccessLineTest, ForgetsTheLineBefore) {
  ASSERT_EQ(Parse(Line("GET http://example.cn/x HTTP/1.1")), AccessLineError::kNone);
  ASSERT_EQ(Parse(Line("-")), AccessLineError::kNone);
  EXPECT_EQ(line_.method, "");
  EXPECT_EQ(line_.host, "");
  EXPECT_EQ(line_.path, "");
}

TEST_F(AccessLineTest, ReadsALineThatWasCutBehindItsSize) {
  ASSERT_EQ(
      Parse(R"(46.118.127.106 - - [20/May/2015:12:05:17 +0000] "GET /a HTTP/1.1" 200 235 "-" "Mozilla/5.0 (comp)"),
      AccessLineError::kNone);
  EXPECT_TRUE(line_.damaged_tail);
  EXPECT_EQ(line_.bytes, 235);
  ASSERT_EQ(Parse(R"(192.0.2.1 - - [20/May/2015:12:05:17 +0000] "GET /a HTTP/1.1" 200 235 garbage)"),
            AccessLineError::kNone);
  EXPECT_TRUE(line_.damaged_tail);
}

TEST_F(AccessLineTest, IgnoresFieldsThatASiteAppends) {
  ASSERT_EQ(Parse(Line("GET / HTTP/1.1") + " rt=0.003 \"x\""), AccessLineError::kNone);
  EXPECT_FALSE(line_.damaged_tail);
}

TEST_F(AccessLineTest, NamesWhatIsWrong) {
  EXPECT_EQ(Parse(""), AccessLineError::kBlank);
  EXPECT_EQ(Parse(" \t "), AccessLineError::kBlank);
  EXPECT_EQ(Parse(std::string(kAccessLineBytesMax + 1, 'x')), AccessLineError::kTooLong);
  EXPECT_EQ(Parse(R"([17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1)"), AccessLineError::kNoClient);
  EXPECT_EQ(Parse(" - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1"), AccessLineError::kNoClient);
  EXPECT_EQ(Parse("word"), AccessLineError::kNoTime);
  EXPECT_EQ(Parse("some words without any time"), AccessLineError::kNoTime);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000"), AccessLineError::kNoTime);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000]"), AccessLineError::kNoRequest);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000] GET / HTTP/1.1 200 1"), AccessLineError::kNoRequest);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1"), AccessLineError::kOpenQuote);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET /\\\" 200 1"), AccessLineError::kOpenQuote);
  EXPECT_EQ(Parse("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\""), AccessLineError::kBadStatus);
  for (const char* status : {"20", "2000", "abc", "099", "-", "-20", "2 0"}) {
    EXPECT_EQ(Parse(absl::StrCat("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" ", status, " 1")),
              AccessLineError::kBadStatus)
        << status;
  }
  for (const char* size : {"", "x", "-1", "1.5", "9999999999999999999999"}) {
    EXPECT_EQ(Parse(absl::StrCat("192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 ", size)),
              AccessLineError::kBadSize)
        << size;
  }
}

TEST_F(AccessLineTest, RefusesTimesThatAreNone) {
  for (const char* time : {"17/Mai/2015:10:05:03 +0000", "32/May/2015:10:05:03 +0000", "31/Feb/2015:10:05:03 +0000",
                           "00/May/2015:10:05:03 +0000", "17/May/2015:24:05:03 +0000", "17/May/2015:10:60:03 +0000",
                           "17/May/2015:10:05:61 +0000", "17/May/2015:10:05:03 0000", "17/May/2015:10:05:03 +00:00",
                           "17/May/2015:10:05:03", "2015-05-17T10:05:03+00:00", "17/May/2015:10:05:03 +2460", ""}) {
    EXPECT_EQ(Parse(absl::StrCat("192.0.2.1 - - [", time, "] \"GET / HTTP/1.1\" 200 1")), AccessLineError::kBadTime)
        << time;
  }
}

TEST_F(AccessLineTest, SurvivesEveryPrefixAndEveryFlippedByte) {
  const std::string whole =
      R"(192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET http://a/\x41\" HTTP/1.1" 200 1 "r\\" "a")";
  for (size_t length = 0; length <= whole.size(); ++length) Parse(whole.substr(0, length));
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char byte : {'\0', '"', '\\', '[', ']', ' ', '\xff', '/', ':'}) {
      std::string text = whole;
      text[i] = byte;
      if (Parse(text) != AccessLineError::kNone) continue;
      EXPECT_GE(line_.status, 100);
      EXPECT_GE(line_.bytes, 0);
      EXPECT_TRUE(line_.method.empty() || !line_.path.empty()) << text;
    }
  }
}

class LineReaderTest : public testing::Test {
 protected:
  LineReaderTest() {
    path_ = absl::StrCat(testing::TempDir(), "/line_reader_", getpid(), "_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  ~LineReaderTest() override { std::remove(path_.c_str()); }

  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::vector<std::string> Lines() {
    std::vector<std::string> lines;
    auto reader = LineReader::Open(path_);
    EXPECT_TRUE(reader.ok()) << reader.status();
    if (!reader.ok()) return lines;
    absl::string_view line;
    for (;;) {
      const absl::StatusOr<bool> more = (*reader)->Next(&line);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return lines;
      lines.emplace_back(line);
    }
  }

  std::string path_;
};

TEST_F(LineReaderTest, ReadsLinesWithBothEndsAndALastOneWithout) {
  Write("a\nb\r\n\nlast");
  EXPECT_THAT(Lines(), ElementsAre("a", "b", "", "last"));
}

TEST_F(LineReaderTest, ReadsAnEmptyFileAsNoLine) {
  Write("");
  EXPECT_TRUE(Lines().empty());
}

TEST_F(LineReaderTest, DropsAByteOrderMark) {
  Write(
      "\xef\xbb\xbf"
      "first\n");
  EXPECT_THAT(Lines(), ElementsAre("first"));
}

TEST_F(LineReaderTest, CutsALineThatIsTooLongAndGoesOnBehindIt) {
  Write(
      absl::StrCat("a\n", std::string(3 * 1024 * 1024, 'x'), "\nb\n", std::string(kAccessLineBytesMax, 'y'), "\nc\n"));
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[1].size(), kAccessLineBytesMax + 1);
  EXPECT_EQ(lines[2], "b");
  EXPECT_EQ(lines[3].size(), kAccessLineBytesMax);
  EXPECT_EQ(lines[4], "c");
}

TEST_F(LineReaderTest, CutsALastLineThatIsTooLong) {
  Write(std::string(2 * 1024 * 1024, 'x'));
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), kAccessLineBytesMax + 1);
}

TEST_F(LineReaderTest, KeepsLinesWholeAcrossItsBuffer) {
  std::string text;
  for (int i = 0; i < 50000; ++i) absl::StrAppend(&text, "line number ", i, "\n");
  Write(text);
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 50000u);
  for (int i = 0; i < 50000; ++i) ASSERT_EQ(lines[static_cast<size_t>(i)], absl::StrCat("line number ", i));
}

TEST_F(LineReaderTest, SaysWhatCannotBeRead) {
  EXPECT_EQ(LineReader::Open(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(LineReader::Open(testing::TempDir()).status().message()), HasSubstr("folder"));
  Write("\x1f\x8b\x08 compressed");
  EXPECT_THAT(std::string(LineReader::Open(path_).status().message()), HasSubstr("zcat"));
}

}  // namespace
}  // namespace sluice
