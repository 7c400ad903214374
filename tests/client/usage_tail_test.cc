// A log followed over growth, rotation and restarts; each line reported once.
#include "client/usage_tail.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "enforcement/check.h"
#include "enforcement/engine.h"
#include "enforcement/names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// Counts as sluiced does: a report seen before is accepted and not counted again, one with a usage that it cannot read
// is refused as a whole.
class Ledger {
 public:
  absl::Status Take(const v1::ReportRequest& report) {
    if (fail_before > 0 && fail_before-- > 0) return absl::UnavailableError("away");
    for (const v1::Usage& usage : report.usages()) {
      if (!IsUtf8(usage.host()) || !IsUtf8(usage.key())) return absl::InvalidArgumentError("wanted UTF-8");
      CheckInput names;
      names.host = usage.host();
      names.key = usage.key();
      names.client_ip = usage.client_ip();
      if (absl::Status status = Engine::Validate(names); !status.ok()) return status;
      if (usage.bytes_out() < 0) return absl::InvalidArgumentError("bytes_out: wanted 0 or more");
    }
    if (ids.insert(report.report_id()).second) {
      for (const v1::Usage& usage : report.usages()) {
        bytes += usage.bytes_out();
        last = usage;
      }
    }
    if (fail_after > 0 && fail_after-- > 0) return absl::DeadlineExceededError("the answer was lost");
    return absl::OkStatus();
  }
  int fail_before = 0, fail_after = 0;
  int64_t bytes = 0;
  std::set<std::string> ids;
  v1::Usage last;
};

class UsageTailTest : public testing::Test {
 protected:
  UsageTailTest() {
    std::string pattern = testing::TempDir() + "/tail.XXXXXX";
    folder_ = mkdtemp(pattern.data());
    log_ = folder_ + "/access.log";
    options_.state_path = folder_ + "/state";
    options_.host = "www.example.cn";
  }
  ~UsageTailTest() override { std::filesystem::remove_all(folder_); }

  void Write(int lines, int bytes, const std::string& file = "") {
    std::ofstream out(file.empty() ? log_ : file, std::ios::app);
    for (int i = 0; i < lines; ++i) {
      out << "203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /k" << i % 7 << " HTTP/1.1\" 200 " << bytes << "\n";
    }
  }
  // A process: opens, resumes, reports until nothing is left or an error comes.
  absl::Status Process(bool from_start = true) {
    LogFollower::Options follow;
    follow.path = log_;
    follow.from_start = from_start;
    follow.rotation_patience = absl::ZeroDuration();
    absl::StatusOr<TailState> state = LoadTailState(options_.state_path);
    if (state.ok()) follow.from = state->position;
    auto follower = LogFollower::Open(follow);
    if (!follower.ok()) return follower.status();
    lost_ = (*follower)->lost();
    UsageTail tail(options_, follower->get(), [this](const v1::ReportRequest& report) { return ledger_.Take(report); });
    if (state.ok()) {
      if (absl::Status status = tail.Resume(*state, absl::Now()); !status.ok()) return status;
    }
    for (;;) {
      absl::StatusOr<bool> more = tail.Step(absl::Now());
      counts_ = tail.counts();
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
    }
  }

  std::string folder_, log_;
  UsageTail::Options options_;
  Ledger ledger_;
  UsageTail::Counts counts_;
  bool lost_ = false;
};

TEST_F(UsageTailTest, ReportsWhatWasServedByHostAndKey) {
  Write(10, 100);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1000);
  EXPECT_EQ(ledger_.last.host(), "www.example.cn");
  EXPECT_EQ(ledger_.last.key().substr(0, 1), "k");
  EXPECT_EQ(ledger_.last.client_ip(), "203.0.113.9");
  EXPECT_EQ(ledger_.last.operation(), v1::OPERATION_PUBLIC_READ);
  Write(5, 10);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1050);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1050);
}

TEST_F(UsageTailTest, BeginsAtTheEndUnlessToldOtherwise) {
  Write(10, 100);
  ASSERT_TRUE(Process(/*from_start=*/false).ok());
  EXPECT_EQ(ledger_.bytes, 0);
}

TEST_F(UsageTailTest, WaitsForTheRestOfALine) {
  std::ofstream(log_) << "203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /k HT";
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 0);
  std::ofstream(log_, std::ios::app) << "TP/1.1\" 200 77\n";
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 77);
}

TEST_F(UsageTailTest, FollowsARotationAndLosesNothing) {
  Write(3, 100);
  ASSERT_TRUE(Process().ok());
  Write(2, 100);  // not yet reported when the file is renamed away
  std::filesystem::rename(log_, log_ + ".1");
  Write(1, 100, log_ + ".1");  // by a writer that still has it open
  Write(4, 1);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 604);
  EXPECT_FALSE(lost_);
}

TEST_F(UsageTailTest, FollowsARotationWithinOneProcess) {
  Write(3, 100);
  LogFollower::Options follow;
  follow.path = log_;
  follow.from_start = true;
  auto follower = LogFollower::Open(follow);
  ASSERT_TRUE(follower.ok());
  UsageTail tail(options_, follower->get(), [this](const v1::ReportRequest& report) { return ledger_.Take(report); });
  absl::Time now = absl::UnixEpoch();
  EXPECT_TRUE(*tail.Step(now));
  std::filesystem::rename(log_, log_ + ".1");
  EXPECT_FALSE(*tail.Step(now));  // the new file is not there yet
  Write(2, 1);
  EXPECT_FALSE(*tail.Step(now));  // the old one may still grow
  Write(1, 100, log_ + ".1");
  EXPECT_TRUE(*tail.Step(now));
  EXPECT_EQ(ledger_.bytes, 400);
  now += absl::Seconds(3);
  EXPECT_TRUE(*tail.Step(now));
  EXPECT_EQ(ledger_.bytes, 402);
}

TEST_F(UsageTailTest, StartsAgainWhereTheFileWasCutInPlace) {
  Write(50, 100);
  LogFollower::Options follow;
  follow.path = log_;
  follow.from_start = true;
  auto follower = LogFollower::Open(follow);
  UsageTail tail(options_, follower->get(), [this](const v1::ReportRequest& report) { return ledger_.Take(report); });
  EXPECT_TRUE(*tail.Step(absl::Now()));
  std::filesystem::resize_file(log_, 0);
  Write(1, 7);
  EXPECT_TRUE(*tail.Step(absl::Now()));
  EXPECT_EQ(ledger_.bytes, 5007);
}

TEST_F(UsageTailTest, ALostAnswerIsNotCountedTwice) {
  Write(10, 100);
  ledger_.fail_after = 1;  // counted, but nobody hears of it; the process ends
  EXPECT_FALSE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1000);
  Write(5, 100);  // must not join the batch that is sent again
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1500);
}

TEST_F(UsageTailTest, AnUnreachableServerLosesNothing) {
  Write(10, 100);
  ledger_.fail_before = 2;
  EXPECT_FALSE(Process().ok());
  EXPECT_FALSE(Process().ok());
  Write(1, 1);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1001);
}

TEST_F(UsageTailTest, ManyBatches) {
  options_.lines_max = 7;
  Write(100, 3);
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 300);
  EXPECT_EQ(counts_.reports, 15);
}

TEST_F(UsageTailTest, HostFirstAndUnreadableLines) {
  options_.host_first = true;
  std::ofstream(log_) << "img.example.cn 203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5\n"
                      << "nonsense\n";
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.last.host(), "img.example.cn");
  EXPECT_EQ(ledger_.bytes, 5);
  EXPECT_EQ(counts_.unreadable, 1);
}

TEST_F(UsageTailTest, AHostThatNoMessageCarriesDoesNotStopIt) {
  options_.host_first = true;
  const std::string rest = " 203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5\n";
  std::ofstream(log_) << std::string(kHostBytesMax + 1, 'h') << rest << "h\xff" << rest << "img.example.cn" << rest;
  const absl::Status status = Process();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ledger_.bytes, 15);
  EXPECT_EQ(ledger_.last.host(), "img.example.cn");
  EXPECT_EQ(counts_.reports, 1);
}

TEST_F(UsageTailTest, AHostThatLooksLikeJsonHidesNothing) {
  options_.host_first = true;
  const std::string rest = " 203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 5\n";
  const std::string json =
      R"({"ts":1779012303,"request":{"remote_ip":"203.0.113.9","host":"json.example.cn","method":"GET","uri":"/k"},)"
      R"("size":1000,"status":200})";
  std::ofstream(log_) << "{" << rest << "{x" << rest << json << rest;
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 15) << "what stands before a line is not the line";
  std::ofstream(log_, std::ios::app) << json << "\n";
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, 1015);
  EXPECT_EQ(ledger_.last.host(), "json.example.cn");
}

TEST_F(UsageTailTest, AmountsBeyondAllBoundsStayAmounts) {
  for (int i = 0; i < 20; ++i) {
    std::ofstream(log_, std::ios::app) << "203.0.113.9 - - [17/May/2026:10:05:03 +0000] \"GET /k HTTP/1.1\" 200 "
                                       << std::string(18, '9') << "\n";
  }
  ASSERT_TRUE(Process().ok());
  EXPECT_EQ(ledger_.bytes, std::numeric_limits<int64_t>::max());
}

TEST_F(UsageTailTest, SaysWhenTheFileIsGone) {
  Write(1, 1);
  ASSERT_TRUE(Process().ok());
  // Its inode must not come back with the new file.
  std::filesystem::rename(log_, folder_ + "/elsewhere");
  Write(2, 1);
  ASSERT_TRUE(Process(/*from_start=*/false).ok());
  EXPECT_TRUE(lost_);
  EXPECT_EQ(ledger_.bytes, 3);
}

TEST_F(UsageTailTest, AStateOfSomethingElseIsNotGuessedAt) {
  std::ofstream(options_.state_path) << "rubbish\n";
  EXPECT_TRUE(absl::IsDataLoss(LoadTailState(options_.state_path).status()));
}

}  // namespace
}  // namespace sluice
