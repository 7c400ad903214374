#include "client/simulation.h"

#include <memory>
#include <string>

#include "agreement/loader.h"
#include "client/yaml_message.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Pack& DefaultPack() {
  static const auto* const kPack = new std::unique_ptr<const Pack>(*LoadDefaultPack());
  return **kPack;
}

absl::Time At(absl::string_view text) { return *ParseRfc3339(text); }

std::unique_ptr<Simulation> Make(absl::string_view start, Simulation::Options options = {}) {
  options.start = At(start);
  absl::StatusOr<std::unique_ptr<Simulation>> simulation = Simulation::Create(&DefaultPack(), options);
  EXPECT_TRUE(simulation.ok()) << simulation.status();
  return *std::move(simulation);
}

// Events as in a policy file, with roles.
ApplyResult Apply(Simulation* simulation, absl::string_view yaml) {
  absl::StatusOr<std::vector<v1::PolicyEvent>> messages = ReadPolicyText(yaml, "test");
  EXPECT_TRUE(messages.ok()) << messages.status();
  std::vector<PolicyEvent> events;
  for (const v1::PolicyEvent& message : *messages) events.push_back(FromProto(message));
  absl::StatusOr<ApplyResult> result = simulation->Apply(std::move(events));
  EXPECT_TRUE(result.ok()) << result.status();
  return *result;
}

constexpr char kAccount[] = R"(
- {open_account: {account: u1}, role: BILLING}
- {paid: {account: u1}, role: BILLING}
- {bind_bucket: {bucket: b1, account: u1}, role: STORAGE}
)";

CheckInput PublicRead(absl::string_view bucket) {
  CheckInput input;
  input.operation = Operation::kPublicRead;
  input.bucket = bucket;
  input.key = "k1";
  return input;
}

TEST(SimulatedClock, MovesBothClocksTogetherAndTheWallAlone) {
  SimulatedClock clock(At("2026-03-01T10:00:00+08:00"));
  const Moment start = clock.Now();
  clock.Advance(absl::Seconds(5));
  clock.StepWall(-absl::Hours(1));
  clock.SetClockError(absl::nullopt);
  const Moment end = clock.Now();
  EXPECT_EQ(end.wall, start.wall + absl::Seconds(5) - absl::Hours(1));
  EXPECT_EQ(end.mono.ns - start.mono.ns, 5'000'000'000);
  EXPECT_FALSE(end.clock_error.has_value());
}

TEST(Simulation, AnswersFromWhatWasApplied) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->reason, Reason::kNotReady);
  Apply(simulation.get(), kAccount);
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->verdict, Verdict::kAllow);
  const ApplyResult result = Apply(simulation.get(), "- {freeze: {account: u1}, role: BILLING}");
  EXPECT_EQ(result.results[0].outcome, Outcome::kApplied);
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->reason, Reason::kAccountFrozen);
}

TEST(Simulation, PolicyTimeNeverGoesBackAndALaterMomentMovesBothClocks) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  ASSERT_TRUE(simulation->Advance(absl::Seconds(1)).ok());
  const Moment before = simulation->Now();
  ASSERT_TRUE(simulation->StepWall(-absl::Hours(1)).ok());
  EXPECT_EQ(simulation->Now().wall, before.wall);
  EXPECT_EQ(simulation->Now().mono, before.mono);
  ASSERT_TRUE(simulation->AdvanceTo(At("2026-03-01T09:30:00+08:00")).ok());
  EXPECT_EQ(simulation->wall(), At("2026-03-01T09:30:00+08:00"));
  EXPECT_EQ(simulation->Now().wall, before.wall);
  EXPECT_EQ(simulation->Now().mono.ns - before.mono.ns, absl::ToInt64Nanoseconds(absl::Seconds(29 * 60 + 59)));
  EXPECT_EQ(simulation->AdvanceTo(At("2026-03-01T09:29:00+08:00")).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Simulation, AnnouncesWhatFallsDueAtItsMomentAndOnce) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  Apply(simulation.get(), kAccount);
  Apply(simulation.get(), "- {freeze: {account: u1}, role: BILLING}");
  EXPECT_THAT(*simulation->NewAnnouncements(), IsEmpty());
  ASSERT_TRUE(simulation->AdvanceTo(At("2026-06-01T00:00:00+08:00")).ok());
  const auto announcements = simulation->NewAnnouncements();
  ASSERT_TRUE(announcements.ok()) << announcements.status();
  ASSERT_THAT(*announcements, SizeIs(1));
  EXPECT_EQ(announcements->at(0).kind, AnnouncementKind::kReclaimable);
  EXPECT_EQ(announcements->at(0).at, At("2026-04-01T00:10:00+08:00"));
  EXPECT_THAT(*simulation->NewAnnouncements(), IsEmpty());
}

TEST(Simulation, ManyAnnouncementsBetweenLooksAreEachSeenOnce) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  Apply(simulation.get(), kAccount);
  const char* rejected = "[{issue_order: {order_id: o1}, role: LEGAL}, {issue_order: {order_id: o2}, role: LEGAL}]";
  Apply(simulation.get(), rejected);
  EXPECT_THAT(*simulation->NewAnnouncements(), SizeIs(2));
  Apply(simulation.get(), rejected);
  Apply(simulation.get(), rejected);
  EXPECT_THAT(*simulation->NewAnnouncements(), SizeIs(4));
  EXPECT_THAT(*simulation->NewAnnouncements(), IsEmpty());
}

TEST(Simulation, ARestartKeepsPolicyAndLogAndFillsRates) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  Apply(simulation.get(), kAccount);
  Apply(simulation.get(), R"(
- role: BILLING
  set_limit: {limit_id: l1, level: WEB_PAGE, scope: BUCKET, subject: {bucket: b1}, dimension: REQUESTS, rate: 1, burst: 1}
)");
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->verdict, Verdict::kAllow);
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->verdict, Verdict::kThrottle);
  const Moment before = simulation->Now();
  ASSERT_TRUE(simulation->Restart().ok());
  EXPECT_EQ(simulation->Now().wall, before.wall);
  EXPECT_EQ(simulation->Now().mono, before.mono);
  EXPECT_EQ(simulation->Check(PublicRead("b1"))->verdict, Verdict::kAllow);
  int records = 0;
  simulation->QueryLog(v1::LogQuery(), [&](const v1::DecisionRecord&) { return ++records > 0; }).IgnoreError();
  EXPECT_EQ(records, 3);
  EXPECT_THAT(simulation->MetricsText(), HasSubstr("sluice_"));
}

TEST(Simulation, AnExportRebuildsTheSamePolicy) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  EXPECT_EQ(*simulation->Replay(), "");
  Apply(simulation.get(), kAccount);
  Apply(simulation.get(), R"(
- {freeze: {account: u1}, role: BILLING, source: billing, event_id: e1, sequence: 4}
- {issue_order: {order_id: o1}, role: LEGAL}
)");
  const auto difference = simulation->Replay();
  ASSERT_TRUE(difference.ok()) << difference.status();
  EXPECT_EQ(*difference, "");
  const auto chunk = simulation->Export();
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_THAT(chunk->seen(), SizeIs(1));
  EXPECT_THAT(chunk->sequences(), SizeIs(1));
  EXPECT_THAT(chunk->announcements(), SizeIs(1));
}

TEST(Simulation, ExplainSpendsNothingAndIsNotLogged) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  Apply(simulation.get(), kAccount);
  Apply(simulation.get(), "- {freeze: {account: u1}, role: BILLING}");
  std::vector<ExplainStep> steps;
  EXPECT_EQ(simulation->Explain(PublicRead("b1"), &steps)->reason, Reason::kAccountFrozen);
  EXPECT_THAT(steps, Not(IsEmpty()));
  int records = 0;
  simulation->QueryLog(v1::LogQuery(), [&](const v1::DecisionRecord&) { return ++records > 0; }).IgnoreError();
  EXPECT_EQ(records, 0);
}

TEST(Simulation, DescribesAnAccountAndWhatBearsOnIt) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  Apply(simulation.get(), kAccount);
  Apply(simulation.get(), R"(
- {freeze: {account: u1}, role: BILLING}
- {raise_flag: {flag_id: f1, subject: {account: u1}, category: "3.1.3.5.3", severity: BLOCK}, role: MODERATION}
)");
  v1::Subject subject;
  subject.set_account("u1");
  const auto response = simulation->Describe(subject);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->state(), v1::ACCOUNT_STATE_FROZEN);
  EXPECT_EQ(FromProto(response->deadline()), At("2026-04-01T00:00:00+08:00"));
  bool flagged = false;
  for (const v1::PolicyEvent& event : response->in_force()) flagged |= event.raise_flag().flag_id() == "f1";
  EXPECT_TRUE(flagged) << response->DebugString();
  EXPECT_EQ(simulation->Describe(v1::Subject()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Simulation, RefusesWhatADoorWouldRefuse) {
  auto simulation = Make("2026-03-01T10:00:00+08:00");
  CheckInput input = PublicRead("b1");
  input.client_ip = "not an address";
  EXPECT_EQ(simulation->Check(input).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(simulation->Explain(input, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Simulation, AFailurePolicyOfAllowLetsThroughWhatCannotBeDecidedWithAWarning) {
  Simulation::Options options;
  options.node.failure.of(Reason::kNotReady) = *ParseFailureChoice("allow");
  auto simulation = Make("2026-03-01T10:00:00+08:00", options);
  const auto decision = simulation->Check(PublicRead("b1"));
  ASSERT_TRUE(decision.ok());
  EXPECT_EQ(decision->verdict, Verdict::kAllow);
  EXPECT_THAT(decision->warnings, testing::ElementsAre(Reason::kNotReady));
  EXPECT_EQ(decision->http.status, 0);
}

TEST(Simulation, AFullDecisionLogKeepsTheOldestAndCounts) {
  Simulation::Options options;
  options.audit_capacity = 2;
  auto simulation = Make("2026-03-01T10:00:00+08:00", options);
  Apply(simulation.get(), kAccount);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(simulation->Check(PublicRead("b1")).ok());
  EXPECT_THAT(simulation->MetricsText(), HasSubstr("sluice_decision_log_dropped_total{class=\"sample\"} 3"));
}

}  // namespace
}  // namespace sluice
