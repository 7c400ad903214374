#include "metrics/metrics.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Decision Answer(Verdict verdict, Reason reason) {
  Decision decision;
  decision.verdict = verdict;
  decision.reason = reason;
  return decision;
}

CheckInput Of(Operation operation) {
  CheckInput input;
  input.operation = operation;
  return input;
}

const Metrics::Build kBuild = {"0.1.0", "default", "abc123"};

TEST(MetricsTest, HasEveryFamilyWithHelpBeforeAnythingHappened) {
  const std::string text = Metrics(kBuild).Text();
  for (const char* name : {"sluice_checks_total",
                           "sluice_checks_malformed_total",
                           "sluice_events_total",
                           "sluice_commit_seconds",
                           "sluice_commit_failures_total",
                           "sluice_build_info",
                           "sluice_decision_log_dropped_total",
                           "sluice_policy_revision",
                           "sluice_policy_age_seconds",
                           "sluice_store_bytes",
                           "sluice_store_bound_bytes",
                           "sluice_limiter_cells",
                           "sluice_limiter_evicted_live_total",
                           "sluice_limiter_evicted_spent_total",
                           "sluice_limiter_leases",
                           "sluice_limiter_leases_untracked_total",
                           "sluice_ledger_amounts",
                           "sluice_ledger_turned_away_total",
                           "sluice_trial_checks_total",
                           "sluice_ready"}) {
    EXPECT_THAT(text, HasSubstr("# HELP " + std::string(name) + " ")) << name;
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(name) + " ")) << name;
  }
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_dropped_total 0"));
  EXPECT_THAT(text, HasSubstr("sluice_events_total{outcome=\"REJECTED\"} 0"));
  EXPECT_THAT(text, HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",operation=\"UPLOAD\"} 0"));
  EXPECT_THAT(text, HasSubstr("sluice_build_info{version=\"0.1.0\",pack=\"default\",pack_digest=\"abc123\"} 1"));
}

TEST(MetricsTest, CountsDecisionsOfAllThreads) {
  Metrics metrics(kBuild);
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {  // more than there are slots
    threads.emplace_back([&metrics] {
      for (int n = 0; n < 100; ++n) {
        metrics.OnDecision(Of(Operation::kDownload), Answer(Verdict::kDeny, Reason::kAccountFrozen), Moment{});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.Text(),
              HasSubstr("sluice_checks_total{verdict=\"DENY\",reason=\"ACCOUNT_FROZEN\",operation=\"DOWNLOAD\"} 4000"));
}

TEST(MetricsTest, CountsAnOperationThatTheContractLacksAsUnspecified) {
  Metrics metrics(kBuild);
  metrics.OnDecision(Of(static_cast<Operation>(200)), Answer(Verdict::kAllow, Reason::kUnspecified), Moment{});
  EXPECT_THAT(metrics.Text(),
              HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",operation=\"UNSPECIFIED\"} 1"));
}

TEST(MetricsTest, NamesNobody) {
  Metrics metrics(kBuild);
  CheckInput input = Of(Operation::kUpload);
  input.owner = "secret-account";
  input.bucket = "secret-bucket";
  input.key = "secret-key";
  input.client_ip = "203.0.113.7";
  Decision decision = Answer(Verdict::kDeny, Reason::kLegalOrder);
  decision.owner = "secret-account";
  decision.rule_id = "secret-order";
  metrics.OnDecision(input, decision, Moment{});
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("secret")));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("203.0.113")));
}

TEST(MetricsTest, SumsCommitsIntoCumulativeBuckets) {
  Metrics metrics(kBuild);
  metrics.OnCommit(1, absl::Microseconds(400), true);
  metrics.OnCommit(1, absl::Milliseconds(3), true);
  metrics.OnCommit(1, absl::Seconds(60), true);
  metrics.OnCommit(1, absl::Seconds(1), false);
  metrics.OnEvent(Outcome::kApplied, PolicyEvent{});
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_commit_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_commit_seconds_bucket{le=\"0.005\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_commit_seconds_bucket{le=\"5\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_commit_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_commit_seconds_count 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_commit_failures_total 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_events_total{outcome=\"APPLIED\"} 1\n"));
}

TEST(MetricsTest, ReadsSourcesAtTheScrape) {
  Metrics metrics(kBuild);
  double revision = 1;
  metrics.SetSource(Metrics::Source::kPolicyRevision, [&revision] { return revision; });
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_policy_revision 1\n"));
  revision = 42;
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_policy_revision 42\n"));
  metrics.SetSource(Metrics::Source::kPolicyRevision, nullptr);
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_policy_revision 0\n"));
}

}  // namespace
}  // namespace sluice
