#include "client/replay.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agreement/loader.h"
#include "client/policy_judge.h"
#include "client/replay_report.h"
#include "client/yaml_message.h"
#include "enforcement/calendar.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "yaml-cpp/yaml.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// 2015-05-17 10:05:00 UTC, and `seconds` later.
absl::Time At(int seconds) {
  return absl::FromCivil(absl::CivilSecond(2015, 5, 17, 10, 5, 0), absl::UTCTimeZone()) + absl::Seconds(seconds);
}

std::string Line(int second, absl::string_view request = "GET /a HTTP/1.1", absl::string_view client = "192.0.2.1",
                 int bytes = 100) {
  return absl::StrCat(client, " - - [", absl::FormatTime("%d/%b/%Y:%H:%M:%S %z", At(second), absl::UTCTimeZone()),
                      "] \"", request, "\" 200 ", bytes, "\n");
}

// Remembers what it was asked, and denies what `denied` names.
class FakeJudge : public ReplayJudge {
 public:
  struct Asked {
    Operation operation;
    std::string host, bucket, key, path, client_ip;
    absl::Time at;
  };

  absl::Status Begin(absl::Time first) override {
    begun.push_back(first);
    return begin_status;
  }
  Decision Check(const CheckInput& input, absl::Time at) override {
    asked.push_back({input.operation, std::string(input.host), std::string(input.bucket), std::string(input.key),
                     std::string(input.path), std::string(input.client_ip), at});
    Decision decision;
    decision.verdict = input.path == denied ? Verdict::kDeny : Verdict::kAllow;
    if (decision.verdict == Verdict::kDeny) {
      decision.reason = Reason::kContentProhibited;
      decision.clause = "3.1.3.5.4";
      decision.rule_id = "f1";
    } else if (warn) {
      decision.warnings.push_back(Reason::kTerminationNotice);
    }
    if (input.path == tried) {
      decision.trial_verdict = Verdict::kThrottle;
      decision.trial_reason = Reason::kRateLimited;
      decision.trial_rule_id = "on-trial";
    }
    return decision;
  }
  void Report(const UsageInput& usage, absl::Time at) override { reported += usage.bytes_out; }

  std::vector<absl::Time> begun;
  absl::Status begin_status;
  std::vector<Asked> asked;
  int64_t reported = 0;
  std::string denied = "-";
  std::string tried = "-";
  bool warn = false;
};

class ReplayTest : public testing::Test {
 protected:
  ReplayTest() {
    path_ = absl::StrCat(testing::TempDir(), "/replay_", getpid(), "_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  ~ReplayTest() override { std::remove(path_.c_str()); }

  absl::Status Run(const std::string& log, ReplayOptions options = {}) {
    std::ofstream(path_, std::ios::binary) << log;
    auto reader = LineReader::Open(path_);
    if (!reader.ok()) return reader.status();
    replay_ = std::make_unique<Replay>(std::move(options), &judge_);
    return replay_->Run(reader->get(), [](int64_t) {});
  }
  const ReplaySummary& summary() const { return replay_->summary(); }

  std::string path_;
  FakeJudge judge_;
  std::unique_ptr<Replay> replay_;
};

TEST_F(ReplayTest, AsksByMethodAtTheTimeOfTheLine) {
  ASSERT_TRUE(Run(Line(0) + Line(1, "HEAD /b HTTP/1.1") + Line(2, "PUT /c HTTP/1.1") + Line(3, "POST /d HTTP/1.1") +
                  Line(4, "DELETE /e HTTP/1.1") + Line(5, "PROPFIND /f HTTP/1.1") + Line(6, "BREW /pot HTTP/1.1"))
                  .ok());
  std::vector<Operation> operations;
  for (const auto& asked : judge_.asked) operations.push_back(asked.operation);
  EXPECT_THAT(operations,
              ElementsAre(Operation::kPublicRead, Operation::kPublicRead, Operation::kUpload, Operation::kUpload,
                          Operation::kDelete, Operation::kList, Operation::kUnspecified));
  EXPECT_THAT(judge_.begun, ElementsAre(At(0)));
  EXPECT_EQ(judge_.asked[4].at, At(4));
  EXPECT_EQ(summary().unknown_methods, 1);
  EXPECT_EQ(summary().first, At(0));
  EXPECT_EQ(summary().last, At(6));
}

TEST_F(ReplayTest, FillsInWhatTheLogDoesNotSay) {
  ReplayOptions options;
  options.host = "www.example.cn";
  options.operation = Operation::kDownload;
  ASSERT_TRUE(
      Run(Line(0, "GET /a%20b?q HTTP/1.1") + Line(1, "GET http://other.example.cn/x HTTP/1.1", "2001:db8::7"), options)
          .ok());
  ASSERT_EQ(judge_.asked.size(), 2u);
  EXPECT_EQ(judge_.asked[0].host, "www.example.cn");
  EXPECT_EQ(judge_.asked[0].path, "/a%20b") << "as received: the engine decodes it";
  EXPECT_EQ(judge_.asked[0].operation, Operation::kDownload);
  EXPECT_EQ(judge_.asked[1].host, "other.example.cn") << "an absolute target outranks the flag";
  EXPECT_EQ(judge_.asked[1].client_ip, "2001:db8::7");
}

TEST_F(ReplayTest, TakesTheKeyFromThePathWhereABucketIsGiven) {
  ReplayOptions options;
  options.bucket = "photos";
  ASSERT_TRUE(Run(Line(0, "GET /a%20b/c HTTP/1.1"), options).ok());
  EXPECT_EQ(judge_.asked[0].bucket, "photos");
  EXPECT_EQ(judge_.asked[0].key, "a b/c");
}

TEST_F(ReplayTest, JudgesLinesInOrderOfTimeAndNeverGoesBack) {
  ReplayOptions options;
  options.reorder = absl::Seconds(10);
  ASSERT_TRUE(Run(Line(5) + Line(3) + Line(9) + Line(7) + Line(30) + Line(4), options).ok());
  std::vector<absl::Time> times;
  for (const auto& asked : judge_.asked) times.push_back(asked.at);
  // The last line is 26 s late: by then the clock stood at 9.
  EXPECT_THAT(times, ElementsAre(At(3), At(5), At(7), At(9), At(9), At(30)));
  EXPECT_EQ(summary().late, 1);
  EXPECT_THAT(judge_.begun, ElementsAre(At(3)));
}

TEST_F(ReplayTest, KeepsTheOrderOfTheLogWithinASecond) {
  ASSERT_TRUE(Run(Line(1, "GET /1 HTTP/1.1") + Line(1, "GET /2 HTTP/1.1") + Line(1, "GET /3 HTTP/1.1")).ok());
  EXPECT_EQ(judge_.asked[0].path, "/1");
  EXPECT_EQ(judge_.asked[1].path, "/2");
  EXPECT_EQ(judge_.asked[2].path, "/3");
}

TEST_F(ReplayTest, HoldsNoMoreLinesThanItsBound) {
  ReplayOptions options;
  options.reorder_lines_max = 2;
  ASSERT_TRUE(Run(Line(9) + Line(8) + Line(7) + Line(1), options).ok());
  EXPECT_EQ(summary().asked, 4);
  EXPECT_EQ(summary().late, 1) << "the bound of two lines came before the stretch of time";
}

TEST_F(ReplayTest, CountsEveryLineItCannotReadAndShowsTheFirst) {
  ReplayOptions options;
  options.examples_max = 2;
  ASSERT_TRUE(Run(Line(0) + "garbage\n\nmore garbage\n" + Line(1, "-") + Line(2), options).ok());
  EXPECT_EQ(summary().lines, 6);
  EXPECT_EQ(summary().asked, 2);
  EXPECT_EQ(summary().no_request, 1);
  EXPECT_EQ(summary().unreadable, 3);
  EXPECT_EQ(summary().by_error[static_cast<size_t>(AccessLineError::kNoTime)], 2);
  EXPECT_EQ(summary().by_error[static_cast<size_t>(AccessLineError::kBlank)], 1);
  ASSERT_EQ(summary().examples.size(), 2u);
  EXPECT_EQ(summary().examples[0].line, 2);
  EXPECT_EQ(summary().examples[0].text, "garbage");
  const std::string tables = ReplayTables(summary(), {}, 3, false);
  EXPECT_THAT(tables, HasSubstr("6 read, 2 asked, 3 unreadable"));
  EXPECT_THAT(tables, HasSubstr("garbage"));
  EXPECT_THAT(tables, HasSubstr("1 without a request"));
}

TEST_F(ReplayTest, AsksWithoutAnAddressWhereTheLogHasAName) {
  ASSERT_TRUE(Run(Line(0, "GET / HTTP/1.1", "crawler.example.com")).ok());
  EXPECT_EQ(judge_.asked[0].client_ip, "");
  EXPECT_EQ(summary().names_for_clients, 1);
}

TEST_F(ReplayTest, CountsWhatNoGatewayCouldAsk) {
  ASSERT_TRUE(Run(Line(0, absl::StrCat("GET /", std::string(20000, 'x'), " HTTP/1.1")) + Line(1)).ok());
  EXPECT_EQ(summary().asked, 1);
  EXPECT_EQ(summary().refused_input, 1);
  EXPECT_THAT(summary().first_refusal, HasSubstr("line 1"));
}

TEST_F(ReplayTest, ReportsBytesOfAllowedLinesAlone) {
  judge_.denied = "/no";
  ASSERT_TRUE(Run(Line(0, "GET /yes HTTP/1.1", "192.0.2.1", 70) + Line(1, "GET /no HTTP/1.1", "192.0.2.2", 5)).ok());
  EXPECT_EQ(judge_.reported, 70);
  EXPECT_EQ(summary().by_verdict[static_cast<size_t>(Verdict::kDeny)].bytes, 5);
  const auto found = summary().answers.find({Verdict::kDeny, Reason::kContentProhibited, "3.1.3.5.4", "f1"});
  ASSERT_NE(found, summary().answers.end());
  EXPECT_EQ(found->second.requests, 1);
  EXPECT_EQ(summary().paths_by_requests.Top(9).size(), 2u);
  EXPECT_EQ(summary().addresses_by_bytes.Top(1)[0].name, "192.0.2.1");
}

TEST_F(ReplayTest, CountsWarnings) {
  judge_.warn = true;
  ASSERT_TRUE(Run(Line(0) + Line(1)).ok());
  EXPECT_EQ(summary().warnings[static_cast<size_t>(Reason::kTerminationNotice)], 2);
}

TEST_F(ReplayTest, EndsWhereThePolicyCannotBeLoaded) {
  judge_.begin_status = absl::InvalidArgumentError("rejected");
  EXPECT_EQ(Run(Line(0)).message(), "rejected");
}

TEST_F(ReplayTest, JsonSurvivesHostileNames) {
  ASSERT_TRUE(Run(Line(0, R"(GET /\"\\\x01\xff冻 HTTP/1.1)")).ok());
  const std::string json = ReplayJson(summary(), {.log = "a\"b"}, 5);
  const YAML::Node node = YAML::Load(json);  // JSON is YAML
  EXPECT_EQ(node["access_log"].as<std::string>(), "a\"b");
  EXPECT_EQ(node["paths_by_requests"]["top"][0]["path"].as<std::string>(), "/\"\\\x01\ufffd冻");
}

TEST_F(ReplayTest, ShowsWhatRulesOnTrialWouldHaveDone) {
  judge_.tried = "/b";
  ASSERT_TRUE(Run(Line(0) + Line(1, "GET /b HTTP/1.1") + Line(2, "GET /b HTTP/1.1")).ok());
  EXPECT_EQ(summary().by_verdict[static_cast<size_t>(Verdict::kAllow)].requests, 3);
  ASSERT_EQ(summary().SortedTrials().size(), 1u);
  EXPECT_EQ(summary().SortedTrials()[0].second.requests, 2);
  const std::string tables = ReplayTables(summary(), {}, 5, false);
  EXPECT_THAT(tables, HasSubstr("By rules on trial"));
  EXPECT_THAT(tables, HasSubstr("on-trial"));
  EXPECT_THAT(ReplayJson(summary(), {}, 5), HasSubstr("on-trial"));
}

TEST_F(ReplayTest, TablesShowNoControlCharacters) {
  ASSERT_TRUE(Run(Line(0, R"(GET /\x1b[2J HTTP/1.1)")).ok());
  EXPECT_THAT(ReplayTables(summary(), {}, 5, false), Not(HasSubstr("\x1b")));
}

// ---- With the real engine -------------------------------------------------------------------------------------------

class PolicyReplayTest : public ReplayTest {
 protected:
  PolicyReplayTest() {
    auto pack = LoadDefaultPack();
    EXPECT_TRUE(pack.ok()) << pack.status();
    if (pack.ok()) pack_ = *std::move(pack);
  }

  PolicyJudge::Options WithPolicy(const std::string& yaml) {
    PolicyJudge::Options options;
    options.pack = pack_.get();
    options.node.region = "cn";
    auto events = ReadPolicyText(yaml, "policy.yaml");
    EXPECT_TRUE(events.ok()) << events.status();
    if (events.ok()) options.events = *std::move(events);
    for (v1::PolicyEvent& event : options.events) {
      if (event.role() != v1::ROLE_UNSPECIFIED) continue;
      // The first role that the pack names, as the command line fills it in.
      event.set_role(static_cast<v1::Role>(pack_->roles[FromProto(event).change.index()].front()));
    }
    return options;
  }

  absl::Status RunLog(const std::string& path, ReplayOptions options) {
    auto reader = LineReader::Open(path);
    if (!reader.ok()) return reader.status();
    replay_ = std::make_unique<Replay>(std::move(options), judge());
    return replay_->Run(reader->get(), [](int64_t) {});
  }
  absl::Status RunText(const std::string& log, ReplayOptions options = {}) {
    std::ofstream(path_, std::ios::binary) << log;
    return RunLog(path_, std::move(options));
  }
  PolicyJudge* judge() { return policy_judge_.get(); }
  void Judge(PolicyJudge::Options options) { policy_judge_ = std::make_unique<PolicyJudge>(std::move(options)); }
  int64_t Answered(Verdict verdict, Reason reason, const std::string& clause, const std::string& rule) const {
    const auto found = summary().answers.find({verdict, reason, clause, rule});
    return found == summary().answers.end() ? 0 : found->second.requests;
  }

  std::unique_ptr<const Pack> pack_;
  std::unique_ptr<PolicyJudge> policy_judge_;
};

constexpr char kSite[] = R"(
- open_account: {account: u1}
- paid: {account: u1}
- bind_bucket: {bucket: site, account: u1}
- bind_domain: {host: www.example.cn, account: u1, bucket: site, geo: CHINA}
- set_permit: {host: example.cn, kind: icp-filing, status: VALID}
)";

ReplayOptions OnSite() {
  ReplayOptions options;
  options.host = "www.example.cn";
  return options;
}

// The totals were counted apart from this code, over examples/data/combined.log:
//   lines                     wc -l                                                             10,000
//   under /files/             awk 'index($7,"/files/")==1' | wc -l                                 547
//   from 46.105.14.53         awk '$1=="46.105.14.53"' | wc -l    (none of them under /files/)     364
//   addresses                 awk '{print $1}' | sort -u | wc -l                                 1,753
//   paths                     awk '{sub(/[?#].*/,"",$7);print $7}' | sort -u | wc -l             1,368
//   bytes                     awk '{s+=$10} END {printf "%.0f", s}'                      2,747,282,740
//   bytes of 68.180.224.225   awk '$1=="68.180.224.225" {s+=$10} END {printf "%.0f", s}'   168,132,893
// and the 133 throttled ones, 72 of them from 75.97.9.59, by a token bucket in whole seconds (one a second, three at
// most) over the other 9,089 lines, sorted by time.
TEST_F(PolicyReplayTest, AnswersTenThousandRealLinesAsCountedIndependently) {
  Judge(WithPolicy(absl::StrCat(kSite, R"(
- raise_flag: {flag_id: f-files, subject: {bucket: site, prefix: files/}, category: 3.1.3.5.4, severity: BLOCK}
- raise_flag: {flag_id: f-address, subject: {client_ip: 46.105.14.53}, category: 3.1.3.7, severity: BLOCK}
  role: SECURITY
- set_limit: {limit_id: l-address, level: WEB_PAGE, scope: CLIENT_IP, dimension: REQUESTS, rate: 1, burst: 3}
)")));
  const absl::Status status = RunLog(absl::StrCat(SLUICE_SOURCE_DIR, "/examples/data/combined.log"), OnSite());
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(judge()->status().ok()) << judge()->status();
  const ReplaySummary& found = summary();
  EXPECT_EQ(found.lines, 10000);
  EXPECT_EQ(found.asked, 10000);
  EXPECT_EQ(found.unreadable, 0);
  EXPECT_EQ(found.damaged_tails, 1) << "the user agent of one line has no closing quote";
  EXPECT_EQ(found.late, 0);

  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kContentProhibited, "3.1.3.5.4", "f-files"), 547);
  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kSecurityThreat, "3.1.3.7", "f-address"), 364);
  EXPECT_EQ(Answered(Verdict::kThrottle, Reason::kRateLimited, "3.1.3.6", "l-address"), 133);
  EXPECT_EQ(Answered(Verdict::kAllow, Reason::kUnspecified, "", ""), 8956);
  EXPECT_EQ(found.by_verdict[static_cast<size_t>(Verdict::kAllow)].bytes, 1718159413);
  EXPECT_EQ(found.by_verdict[static_cast<size_t>(Verdict::kThrottle)].bytes, 19020330);
  EXPECT_EQ(found.by_verdict[static_cast<size_t>(Verdict::kDeny)].bytes, 1004689589 + 5413408);

  EXPECT_TRUE(found.addresses_by_requests.exact());
  EXPECT_EQ(found.addresses_by_requests.names(), 1753u);
  EXPECT_EQ(found.paths_by_requests.names(), 1368u);
  const auto addresses = found.addresses_by_requests.Top(4);
  EXPECT_EQ(addresses[0].name, "66.249.73.135");
  EXPECT_EQ(addresses[0].requests, 482);
  EXPECT_EQ(addresses[1].name, "46.105.14.53");
  EXPECT_EQ(addresses[1].denied, 364);
  EXPECT_EQ(addresses[3].name, "75.97.9.59");
  EXPECT_EQ(addresses[3].requests, 273);
  EXPECT_EQ(addresses[3].throttled, 72);
  EXPECT_EQ(found.addresses_by_bytes.Top(1)[0].name, "68.180.224.225");
  EXPECT_EQ(found.addresses_by_bytes.Top(1)[0].bytes, 168132893);
  EXPECT_EQ(found.paths_by_requests.Top(1)[0].name, "/favicon.ico");
  EXPECT_EQ(found.paths_by_requests.Top(1)[0].requests, 807);
}

TEST_F(PolicyReplayTest, TheDemoPolicyAppliesWholeAndAnswersEveryKind) {
  auto text = ReadTextFile(absl::StrCat(SLUICE_SOURCE_DIR, "/examples/demo/policy.yaml"));
  ASSERT_TRUE(text.ok()) << text.status();
  Judge(WithPolicy(*text));
  const absl::Status status = RunLog(absl::StrCat(SLUICE_SOURCE_DIR, "/examples/data/combined.log"), OnSite());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(summary().asked, 10000);
  // awk '{sub(/[?#].*/,"",$7)} $7=="/projects/xdotool/xdotool.xhtml"' | wc -l; none of them from the flagged address.
  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kContentProhibited, "3.1.3.5.4", "flag-gambling"), 154);
  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kSecurityThreat, "3.1.3.7", "flag-scanner"), 364);
  EXPECT_GT(Answered(Verdict::kDeny, Reason::kContentUnderReview, "3.1.3.5.7", "flag-review"), 0);
  EXPECT_GT(Answered(Verdict::kThrottle, Reason::kRateLimited, "3.1.3.6", "address-default"), 0);
  EXPECT_GT(Answered(Verdict::kThrottle, Reason::kRateLimited, "3.1.3.6", "address-heavy"), 0);
}

TEST_F(PolicyReplayTest, AnEventDatedInsideTheLogHoldsFromItsTimeOn) {
  Judge(WithPolicy(absl::StrCat(kSite, R"(
- freeze: {account: u1}
  effective_at: 2015-05-17T10:05:10Z
)")));
  ASSERT_TRUE(RunText(Line(0) + Line(9) + Line(10) + Line(11), OnSite()).ok());
  EXPECT_EQ(Answered(Verdict::kAllow, Reason::kUnspecified, "", ""), 2);
  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kAccountFrozen, "7.2.1", ""), 2);
}

TEST_F(PolicyReplayTest, AnEventDatedAfterTheLogIsNotReached) {
  Judge(WithPolicy(absl::StrCat(kSite, R"(
- freeze: {account: u1}
  effective_at: 2030-01-01T00:00:00Z
)")));
  ASSERT_TRUE(RunText(Line(0), OnSite()).ok());
  EXPECT_EQ(judge()->not_reached(), 1u);
  EXPECT_EQ(Answered(Verdict::kAllow, Reason::kUnspecified, "", ""), 1);
}

TEST_F(PolicyReplayTest, APolicyThatWouldBeRejectedIsNotTried) {
  Judge(WithPolicy(absl::StrCat(kSite, "- raise_flag: {flag_id: f1, subject: {bucket: site}, category: \"9.9\"}\n")));
  const absl::Status status = RunText(Line(0), OnSite());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("event 6, raise_flag"));
}

TEST_F(PolicyReplayTest, BytesThatWereServedFillAByteLimit) {
  Judge(WithPolicy(absl::StrCat(kSite, R"(
- set_limit: {limit_id: l1, level: WEB_PAGE, scope: ACCOUNT, subject: {account: u1}, dimension: BYTES_OUT, rate: 100}
)")));
  // 150 bytes of a burst of 100 leave a debt: the next line of that second has to wait, one five seconds later has not.
  ASSERT_TRUE(RunText(Line(0, "GET /a HTTP/1.1", "192.0.2.1", 150) + Line(0) + Line(5), OnSite()).ok());
  EXPECT_EQ(Answered(Verdict::kThrottle, Reason::kRateLimited, "3.1.3.6", "l1"), 1);
  EXPECT_EQ(Answered(Verdict::kAllow, Reason::kUnspecified, "", ""), 2);
}

TEST_F(PolicyReplayTest, TodaysExportAnswersYesterdaysTrafficAtTheSameHours) {
  // A node of 2026 with a frozen account.
  Simulation::Options options;
  options.start = absl::FromCivil(absl::CivilHour(2026, 3, 1, 20), ChinaStandardTime());
  auto node = Simulation::Create(pack_.get(), options);
  ASSERT_TRUE(node.ok()) << node.status();
  std::vector<PolicyEvent> events;
  for (const v1::PolicyEvent& event : WithPolicy(absl::StrCat(kSite, "- freeze: {account: u1}\n")).events) {
    events.push_back(FromProto(event));
  }
  ASSERT_TRUE((*node)->Apply(std::move(events)).ok());
  auto snapshot = (*node)->Export();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();

  PolicyJudge::Options judged = WithPolicy("- unfreeze: {account: u1}\n  effective_at: 2026-03-02T18:05:10+08:00\n");
  judged.snapshot = *snapshot;
  Judge(std::move(judged));
  const absl::Status status = RunText(Line(0) + Line(9) + Line(10) + Line(11), OnSite());
  ASSERT_TRUE(status.ok()) << status;
  // 2015-05-17 18:05 of China comes to 2026-03-02 18:05, the first such hour after the export.
  EXPECT_EQ(judge()->shift(), absl::Hours(24) * 3942);
  EXPECT_EQ(Answered(Verdict::kDeny, Reason::kAccountFrozen, "7.2.1", ""), 2);
  EXPECT_EQ(Answered(Verdict::kAllow, Reason::kUnspecified, "", ""), 2);
}

}  // namespace
}  // namespace sluice
