#include "decision_log/decision_log.h"

#include <signal.h>
#include <sys/resource.h>

#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "proto/translate.h"
#include "tests/decision_log/log_fixture.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(DiskLogTest, KeepsTheResolvedNamesAndTheWholeAnswer) {
  Open();
  CheckInput input = Asked("r1", "", "", "");
  input.host = "CDN.example.cn.:443";
  input.path = "/k1";
  input.requester = "u2";
  input.client_ip = "203.0.113.9";
  input.hashes.push_back({"sha256", "ab"});
  input.door = Door::kNginx;
  input.trace_parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  input.copy_source = {"b7", "k7", "v7", true};
  Decision decision = Denied();
  decision.fault = Fault::kCustomer;
  decision.owner = "u1";
  decision.bucket = "b1";
  decision.key = "k1";
  decision.host = "cdn.example.cn";
  decision.all_reasons = {Reason::kAccountFrozen, Reason::kPermitInvalid};
  decision.clause = "7.2.1";
  decision.rule_id = "f1";
  decision.set_by = Role::kLegal;
  decision.lease_id = "l1";
  decision.revision = 41;
  decision.trial_verdict = Verdict::kDeny;
  decision.trial_reason = Reason::kSpam;
  decision.trial_rule_id = "f2";
  decision.http = {403, "AllAccessDisabled", "This resource is not available."};
  Log(input, decision);
  Close();
  int records = 0;
  LogCursor cursor;
  const absl::Status status = LogReader(options_.folder).Query({}, &cursor, [&](const v1::DecisionRecord& record) {
    ++records;
    EXPECT_EQ(FromProto(record.at()), clock_.Now().wall);
    EXPECT_EQ(record.node(), "n1");
    EXPECT_EQ(record.number(), 1);
    EXPECT_EQ(record.door(), "NGINX");
    EXPECT_EQ(record.trial_verdict(), v1::VERDICT_DENY);
    EXPECT_EQ(record.trial_reason(), v1::REASON_SPAM);
    EXPECT_EQ(record.trial_rule_id(), "f2");
    EXPECT_EQ(record.trace_parent(), input.trace_parent);
    const v1::CheckRequest& request = record.request();
    EXPECT_EQ(request.request_id(), "r1");
    EXPECT_EQ(request.requester(), "u2");
    EXPECT_EQ(request.owner(), "u1");
    EXPECT_EQ(request.bucket(), "b1");
    EXPECT_EQ(request.key(), "k1");
    EXPECT_EQ(request.host(), "cdn.example.cn");
    EXPECT_EQ(request.path(), "/k1");
    EXPECT_EQ(request.client_ip(), "203.0.113.9");
    EXPECT_EQ(request.hashes(0).digest(), "ab");
    EXPECT_EQ(request.copy_source().version_id(), "v7");
    const v1::CheckResponse& response = record.response();
    EXPECT_EQ(response.reason(), v1::REASON_ACCOUNT_FROZEN);
    EXPECT_EQ(response.clause(), "7.2.1");
    EXPECT_EQ(response.fault(), v1::FAULT_CUSTOMER);
    EXPECT_THAT(response.all_reasons(), ElementsAre(v1::REASON_ACCOUNT_FROZEN, v1::REASON_PERMIT_INVALID));
    EXPECT_EQ(response.rule_id(), "f1");
    EXPECT_EQ(response.set_by(), v1::ROLE_LEGAL);
    EXPECT_EQ(response.lease_id(), "l1");
    EXPECT_EQ(response.revision(), 41);
    EXPECT_EQ(response.http().code(), "AllAccessDisabled");
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(records, 1);
}

TEST_F(DiskLogTest, SamplesPlainAllowsAndNothingElse) {
  options_.sample = 10;
  Open();
  for (int i = 0; i < 100; ++i) Log(Asked("plain"), Allowed());
  for (int i = 0; i < 20; ++i) {
    Log(Asked("denied"), Denied());
    Log(Asked("throttled"), Answered(Verdict::kThrottle, Reason::kRateLimited));
    Decision warned = Allowed();
    warned.warnings = {Reason::kTermsChanged};
    Log(Asked("warned"), warned);
    Decision tried = Allowed();
    tried.trial_verdict = Verdict::kThrottle;
    Log(Asked("tried"), tried);
    CheckInput reader = Asked("evidence");
    reader.principal = Principal::kEvidenceReader;
    Log(reader, Allowed());
    CheckInput scanner = Asked("scanner");
    scanner.principal = Principal::kModeration;
    Log(scanner, Allowed());
  }
  Close();
  std::map<std::string, int> counts;
  for (const std::string& id : FindAll()) ++counts[id];
  const std::map<std::string, int> wanted = {{"plain", 10},    {"denied", 20},  {"throttled", 20}, {"warned", 20},
                                             {"evidence", 20}, {"scanner", 20}, {"tried", 20}};
  EXPECT_EQ(counts, wanted);
}

TEST_F(DiskLogTest, WritesAHundredOverloadsASecondAndCountsTheOthers) {
  Open();
  Decision let_through = Answered(Verdict::kAllow, Reason::kOverloaded);
  let_through.warnings = {Reason::kOverloaded};
  for (int second = 0; second < 2; ++second) {
    for (int i = 0; i < 400; ++i) {
      Log(Asked("refused"), Denied(Reason::kOverloaded));
      Log(Asked("let through"), let_through);
      Log(Asked("denied"), Denied());
    }
    clock_.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(log_->figures().dropped[static_cast<size_t>(LogClass::kOverload)], 2 * 700);
  Close();
  std::map<std::string, int> counts;
  for (const std::string& id : FindAll()) ++counts[id];
  const std::map<std::string, int> wanted = {{"refused", 100}, {"let through", 100}, {"denied", 800}};
  EXPECT_EQ(counts, wanted);
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_EQ(report.by_class[static_cast<size_t>(LogClass::kOverload)], 200);
  EXPECT_EQ(report.by_class[static_cast<size_t>(LogClass::kDenial)], 800);
  EXPECT_THAT(report.remarks, Contains("dropped overload=1400"));
}

TEST_F(DiskLogTest, AnswersOfWhatWasDecidedBeforeTheQuery) {
  DecisionLog& log = Open();
  for (int i = 0; i < 50; ++i) {
    Log(Asked(absl::StrCat(i)), Denied());
    int found = 0;
    LogCursor cursor;
    EXPECT_TRUE(log.Query({}, &cursor, [&](const v1::DecisionRecord&) { return ++found > 0; }).ok());
    EXPECT_EQ(found, i + 1);
  }
}

TEST_F(DiskLogTest, ACursorGoesOnWhereItStopped) {
  DecisionLog& log = Open();
  LogCursor cursor;
  std::vector<std::string> ids;
  const auto follow = [&] {
    ids.clear();
    EXPECT_TRUE(log.Query({}, &cursor,
                          [&](const v1::DecisionRecord& record) {
                            ids.push_back(record.request().request_id());
                            return true;
                          })
                    .ok());
    return ids;
  };
  EXPECT_THAT(follow(), IsEmpty());
  Log(Asked("a"), Denied());
  EXPECT_THAT(follow(), ElementsAre("a"));
  EXPECT_THAT(follow(), IsEmpty());
  Log(Asked("b"), Denied());
  Log(Asked("c"), Denied());
  EXPECT_THAT(follow(), ElementsAre("b", "c"));
}

TEST_F(DiskLogTest, ThreadsLoseNothingAndRecordsAreNumberedWithoutAGap) {
  options_.segment_bytes = size_t{8} << 10;  // a segment a block, or nearly
  Open();
  constexpr int kThreads = 6;
  constexpr int kEach = 3000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string id = absl::StrCat(t, "-", i);
        while (true) {  // a full ring would drop, which is not what is asked here
          const int64_t dropped = log_->dropped();
          Log(Asked(id, absl::StrCat("u", i % 100), "b1", id), Denied());
          if (log_->dropped() == dropped) break;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const int64_t dropped = log_->dropped();
  Close();
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_GE(report.records, kThreads * kEach);  // another thread's drop makes one log twice
  EXPECT_LE(report.records, kThreads * kEach + dropped);
  EXPECT_EQ(report.first_number, 1);
  EXPECT_EQ(report.last_number, report.records);
  EXPECT_EQ(report.by_class[static_cast<size_t>(LogClass::kDenial)], report.records);
  EXPECT_GT(report.segments, 3);
  const std::vector<std::string> ids = FindAll();
  EXPECT_THAT(std::set<std::string>(ids.begin(), ids.end()), SizeIs(kThreads * kEach));
}

TEST_F(DiskLogTest, ARestartGoesOnWithNumbersAndChain) {
  Open();
  Log(Asked("a"), Denied());
  Open();
  Log(Asked("b"), Denied());
  Close();
  EXPECT_THAT(FindAll(), ElementsAre("a", "b"));
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_EQ(report.last_number, 2);
  EXPECT_EQ(report.segments, 2);
}

TEST_F(DiskLogTest, KeepsTwoWritersApart) {
  Open();
  const auto second = DecisionLog::Open(options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process writes this decision log"));
}

TEST_F(DiskLogTest, ATornEndIsCutOffAndSaid) {
  Open();
  Log(Asked("whole"), Denied());
  EXPECT_TRUE(log_->Flush().ok());
  // As a crash leaves it: not closed, and the last write cut short.
  const std::string path = Segments().back().path;
  std::string bytes = ReadFile(path);
  Log(Asked("torn"), Denied());
  EXPECT_TRUE(log_->Flush().ok());
  const std::string more = ReadFile(path);
  Close();
  ASSERT_GT(more.size(), bytes.size() + 20);
  for (const size_t kept : {bytes.size() + 1, bytes.size() + 60, more.size() - 1}) {
    WriteFile(path, more.substr(0, kept));
    for (const SegmentFile& segment : Segments()) {
      if (segment.path != path) std::filesystem::remove(segment.path);
    }
    told_.clear();
    EXPECT_THAT(Verify().faults, IsEmpty());
    EXPECT_THAT(FindAll(), ElementsAre("whole"));
    Open();
    ASSERT_THAT(told_, SizeIs(1));
    EXPECT_THAT(told_[0], HasSubstr(absl::StrCat("its torn end of ", kept - bytes.size(), " bytes, behind record 1")));
    Log(Asked("after"), Denied());
    Close();
    EXPECT_EQ(ReadFile(path), bytes);
    EXPECT_THAT(FindAll(), ElementsAre("whole", "after"));
    const LogReport report = Verify();
    EXPECT_THAT(report.faults, IsEmpty());
    EXPECT_THAT(report.remarks, Contains(HasSubstr("torn segment=1")));
    EXPECT_EQ(report.last_number, 2);
  }
}

TEST_F(DiskLogTest, ASegmentThatDiedAsItBeganIsForgotten) {
  Open();
  Log(Asked("a"), Denied());
  Close();
  WriteFile(SegmentPath(options_.folder, 2), "SLUICE");
  Open();
  EXPECT_THAT(told_, Contains(HasSubstr("a segment without a whole header")));
  Log(Asked("b"), Denied());
  Close();
  EXPECT_THAT(FindAll(), ElementsAre("a", "b"));
  EXPECT_THAT(Verify().faults, IsEmpty());
}

// A file over the size that a process may write is what a full disk is: the write fails, half done.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_ = {};
};

TEST_F(DiskLogTest, AFullDiskStopsNoDecisionLosesDenialsLastAndSaysHowMany) {
  options_.rings = 1;
  Open();
  EXPECT_TRUE(log_->Flush().ok());
  constexpr int kRounds = 12000;
  {
    const FullDisk full(Segments().back().bytes + 100);
    Log(Asked("first"), Denied());
    EXPECT_EQ(log_->Flush().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(log_->figures().failing);
    EXPECT_THAT(told_, Contains(HasSubstr("cannot be written")));
    for (int i = 0; i < kRounds; ++i) {
      Log(Asked("allowed"), Allowed());
      Log(Asked("denied"), Denied());
    }
  }
  const auto dropped = log_->figures().dropped;
  const int64_t samples = dropped[static_cast<size_t>(LogClass::kSample)];
  const int64_t denials = dropped[static_cast<size_t>(LogClass::kDenial)];
  EXPECT_GT(denials, 0);
  EXPECT_LT(denials, samples);
  EXPECT_TRUE(log_->Flush().ok());
  EXPECT_FALSE(log_->figures().failing);
  EXPECT_THAT(told_, Contains("the decision log is written again"));
  Close();
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_EQ(report.by_class[static_cast<size_t>(LogClass::kSample)], kRounds - samples);
  EXPECT_EQ(report.by_class[static_cast<size_t>(LogClass::kDenial)], 1 + kRounds - denials);
  EXPECT_THAT(report.remarks, Contains(absl::StrCat("dropped denial=", denials, " sample=", samples)));
}

}  // namespace
}  // namespace sluice
