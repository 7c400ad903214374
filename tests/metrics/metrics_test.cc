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
  if (verdict != Verdict::kAllow) decision.fault = Fault::kCustomer;
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
                           "sluice_check_seconds",
                           "sluice_throttled_total",
                           "sluice_events_total",
                           "sluice_event_lag_seconds",
                           "sluice_commit_seconds",
                           "sluice_commit_failures_total",
                           "sluice_build_info",
                           "sluice_config_info",
                           "sluice_decision_log_dropped_total",
                           "sluice_policy_revision",
                           "sluice_policy_age_seconds",
                           "sluice_policy_stale",
                           "sluice_store_bytes",
                           "sluice_store_bound_bytes",
                           "sluice_limiter_cells",
                           "sluice_limiter_live_cells",
                           "sluice_limiter_evicted_live_total",
                           "sluice_limiter_evicted_spent_total",
                           "sluice_limiter_leases",
                           "sluice_limiter_leases_untracked_total",
                           "sluice_ledger_amounts",
                           "sluice_ledger_turned_away_total",
                           "sluice_trial_checks_total",
                           "sluice_ready",
                           "sluice_admin_calls_total",
                           "sluice_events_refused_total",
                           "sluice_failure_policy_total",
                           "sluice_access_in_step",
                           "sluice_check_tls_in_step",
                           "sluice_tls_expiry_timestamp_seconds",
                           "sluice_access_refused_total",
                           "sluice_accounts",
                           "sluice_rules",
                           "sluice_reviews_overdue",
                           "sluice_connections",
                           "sluice_protocol_errors_total",
                           "process_cpu_seconds_total",
                           "process_resident_memory_bytes"}) {
    EXPECT_THAT(text, HasSubstr("# HELP " + std::string(name) + " ")) << name;
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(name) + " ")) << name;
  }
  EXPECT_THAT(text, HasSubstr("sluice_events_total{outcome=\"REJECTED\",role=\"BILLING\"} 0"));
  EXPECT_THAT(text, HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",fault=\"UNSPECIFIED\","
                              "operation=\"UPLOAD\",door=\"GRPC\"} 0"));
  EXPECT_THAT(text, HasSubstr("sluice_build_info{version=\"0.1.0\",pack=\"default\",pack_digest=\"abc123\"} 1"));
}

TEST(MetricsTest, CountsDecisionsOfAllThreads) {
  Metrics metrics(kBuild);
  std::vector<std::thread> threads;
  for (int i = 0; i < 120; ++i) {  // more than there are slots, so that some share one
    threads.emplace_back([&metrics] {
      for (int n = 0; n < 100; ++n) {
        metrics.OnDecision(Of(Operation::kDownload), Answer(Verdict::kDeny, Reason::kAccountFrozen), Moment{});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_checks_total{verdict=\"DENY\",reason=\"ACCOUNT_FROZEN\",fault="
                                        "\"CUSTOMER\",operation=\"DOWNLOAD\",door=\"GRPC\"} 12000"));
}

TEST(MetricsTest, CountsAnOperationThatTheContractLacksAsUnspecified) {
  Metrics metrics(kBuild);
  metrics.OnDecision(Of(static_cast<Operation>(200)), Answer(Verdict::kAllow, Reason::kUnspecified), Moment{});
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",fault="
                                        "\"UNSPECIFIED\",operation=\"UNSPECIFIED\",door=\"GRPC\"} 1"));
}

TEST(MetricsTest, CountsEachVerdictReasonFaultOperationAndDoorApart) {
  Metrics metrics(kBuild);
  Decision throttled = Answer(Verdict::kThrottle, Reason::kSandboxed);
  throttled.fault = Fault::kThirdParty;
  CheckInput input = Of(Operation::kStreamPlay);
  input.door = Door::kSrs;
  metrics.OnDecision(input, throttled, Moment{});
  Decision unspecified;
  unspecified.fault = Fault::kProvider;
  unspecified.reason = Reason::kTermsChanged;
  metrics.OnDecision(input, unspecified, Moment{});
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_checks_total{verdict=\"THROTTLE\",reason=\"SANDBOXED\",fault=\"THIRD_PARTY\","
                              "operation=\"STREAM_PLAY\",door=\"SRS\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_checks_total{verdict=\"UNSPECIFIED\",reason=\"TERMS_CHANGED\",fault=\"PROVIDER\","
                              "operation=\"STREAM_PLAY\",door=\"SRS\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_throttled_total{dimension=\"UNSPECIFIED\"} 1\n"));
}

TEST(MetricsTest, SaysWhatWasUsedTooMuchOf) {
  Metrics metrics(kBuild);
  Decision throttled = Answer(Verdict::kThrottle, Reason::kRateLimited);
  throttled.dimension = Dimension::kBytesOut;
  metrics.OnDecision(Of(Operation::kDownload), throttled, Moment{});
  EXPECT_THAT(metrics.Text(), HasSubstr("sluice_throttled_total{dimension=\"BYTES_OUT\"} 1\n"));
}

TEST(MetricsTest, TimesChecksByDoorWhereThereIsAStopwatch) {
  Metrics metrics(
      kBuild, +[] { return int64_t{1'000'003'000}; });
  Moment began;
  began.mono.ns = 1'000'000'000;
  CheckInput input = Of(Operation::kDownload);
  input.door = Door::kNginx;
  metrics.OnDecision(input, Answer(Verdict::kAllow, Reason::kUnspecified), began);
  metrics.OnDecided(Door::kNginx, 1, began);
  metrics.OnDecided(Door::kGrpc, 16, began);  // as many as came together
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_check_seconds_bucket{door=\"NGINX\",le=\"2.5e-06\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("sluice_check_seconds_bucket{door=\"NGINX\",le=\"5e-06\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_check_seconds_count{door=\"NGINX\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_check_seconds_count{door=\"GRPC\"} 16\n"));
  EXPECT_THAT(text, HasSubstr("sluice_check_seconds_sum{door=\"GRPC\"} 4.8e-05\n"));
}

TEST(MetricsTest, CountsTheWire) {
  Metrics metrics(kBuild);
  WireCounts* const one = metrics.wire().AddThread();
  WireCounts* const other = metrics.wire().AddThread();
  one->OnOpened(WireProtocol::kHttp2);
  other->OnOpened(WireProtocol::kHttp2);
  one->OnClosed(WireProtocol::kHttp2);
  other->OnStreamOpened();
  one->OnError(WireProtocol::kHttp1, WireError::kSlow);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_connections{protocol=\"http2\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_connections_total{protocol=\"http2\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_streams 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_protocol_errors_total{protocol=\"http1\",error=\"slow\"} 1\n"));
}

TEST(MetricsTest, ShowsTheLastCensusAndTheLog) {
  Metrics metrics(kBuild);
  Census census;
  census.accounts[static_cast<size_t>(AccountState::kFrozen)] = 7;
  census.deadlines_soon[static_cast<size_t>(AccountState::kFrozen)] = 2;
  census.reviews_overdue = 3;
  census.at = absl::FromUnixSeconds(1000);
  metrics.SetCensus(census, absl::Milliseconds(5));
  metrics.SetLog([] {
    Metrics::LogFigures figures;
    figures.classes = {{"denial", 5, 1}};
    figures.failing = true;
    figures.removed_for_age = 4;
    figures.removed_for_size = 6;
    return figures;
  });
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_accounts{state=\"FROZEN\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_accounts_deadline_soon{state=\"FROZEN\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_reviews_overdue 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_census_timestamp_seconds 1000\n"));
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_written_total{class=\"denial\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_dropped_total{class=\"denial\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_failing 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_removed_segments_total{why=\"age\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("sluice_decision_log_removed_segments_total{why=\"size\"} 6\n"));
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
  EXPECT_THAT(text, HasSubstr("sluice_events_total{outcome=\"APPLIED\",role=\"UNSPECIFIED\"} 1\n"));
}

TEST(MetricsTest, CountsCallsOfAdministrationAndWhatCouldNotBeDecided) {
  Metrics metrics(kBuild);
  metrics.trust().OnAdminCall(AdminMethod::kExport, AdminOutcome::kDenied);
  metrics.trust().OnEventsRefused(3);
  metrics.trust().OnFailurePolicy(Reason::kOverloaded, FailureOutcome::kAllowed);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("sluice_admin_calls_total{method=\"Export\",outcome=\"DENIED\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_admin_calls_total{method=\"Apply\",outcome=\"DONE\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("sluice_events_refused_total 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_failure_policy_total{reason=\"OVERLOADED\",outcome=\"ALLOWED\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_failure_policy_total{reason=\"STALE_POLICY\",outcome=\"DECIDED\"} 0\n"));
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
