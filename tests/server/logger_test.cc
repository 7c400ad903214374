#include "server/log/logger.h"

#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class LoggerTest : public testing::Test {
 protected:
  LoggerTest() { EXPECT_EQ(pipe(fds_), 0); }
  ~LoggerTest() override { close(fds_[0]); }
  // All that was written. Closes the writing end.
  std::string Written() {
    close(fds_[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fds_[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(n));
    return text;
  }
  int fds_[2];
};

TEST_F(LoggerTest, WritesJsonALine) {
  Logger(LogLevel::kInfo, LogFormat::kJson, fds_[1])
      .Info("started", {{"address", "unix:/s"}, {"port", 80}, {"ready", false}});
  const std::string line = Written();
  EXPECT_THAT(line, StartsWith("{\"time\":\""));
  EXPECT_THAT(
      line,
      EndsWith("\"level\":\"info\",\"event\":\"started\",\"address\":\"unix:/s\",\"port\":80,\"ready\":false}\n"));
}

TEST_F(LoggerTest, WritesTextForPeople) {
  Logger(LogLevel::kInfo, LogFormat::kText, fds_[1]).Warning("disk", {{"error", "no space left"}, {"path", "/a"}});
  EXPECT_THAT(Written(), EndsWith(" warning disk error=\"no space left\" path=/a\n"));
}

TEST_F(LoggerTest, KeepsBelowItsLevelQuiet) {
  const Logger logger(LogLevel::kWarning, LogFormat::kText, fds_[1]);
  logger.Debug("a");
  logger.Info("b");
  EXPECT_THAT(Written(), IsEmpty());
}

TEST(JsonQuoteTest, EscapesWhatJsonCannotHold) {
  EXPECT_EQ(JsonQuote("a\"b\\c\nd\x01"), "\"a\\\"b\\\\c\\nd\\u0001\"");
  EXPECT_EQ(JsonQuote("冻结"), "\"冻结\"");
  EXPECT_EQ(JsonQuote("x\xff\xc3y"), "\"x\\ufffd\\ufffdy\"");
}

}  // namespace
}  // namespace sluice
