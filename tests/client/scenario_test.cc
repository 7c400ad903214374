#include "client/scenario.h"

#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agreement/loader.h"
#include "client/scenario_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kTestData[] = SLUICE_SOURCE_DIR "/tests/client/testdata/";

const Pack& DefaultPack() {
  static const auto* const kPack = new std::unique_ptr<const Pack>(*LoadDefaultPack());
  return **kPack;
}

// Runs one case of `steps`, each line of which is indented by four. `head` goes before `steps:`.
CaseResult RunSteps(absl::string_view steps, absl::string_view head = "") {
  const std::string text = absl::StrCat("- id: T1\n  title: a test\n", head, "  steps:\n", steps);
  absl::StatusOr<std::vector<CaseResult>> results = RunScenarioText(text, "t.yaml", DefaultPack());
  if (!results.ok()) return {"T1", "", false, absl::StrCat("error: ", results.status().message())};
  return results->at(0);
}

std::string ReadError(absl::string_view text) { return std::string(ReadScenarios(text, "t.yaml").status().message()); }

// The error of a step, which stands in lines 3 and on.
std::string StepError(absl::string_view step) { return ReadError(absl::StrCat("- id: T1\n  steps:\n", step)); }

constexpr char kFreeze[] = R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - freeze: {account: u1}
)";

// ---- Running --------------------------------------------------------------------------------------------------------

TEST(Scenario, PassesWhereTheAnswerIsTheOneExpected) {
  const CaseResult result = RunSteps(absl::StrCat(kFreeze, R"(
    - at: 2026-03-01T10:00:01+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: DENY, reason: ACCOUNT_FROZEN, clause: "7.2.1", http: {status: 403}}
      http: {kodo: 419, s3: 403 AccountProblem, generic: 403}
      present: [http.message, revision]
      absent: [warnings, rule_id, lease_id]
      at_most: {cache_for_ms: 5000}
      at_least: {revision: 1, http.status: 400}
      lacks: {http.message: [u1, B1, frozen]}
)"));
  EXPECT_TRUE(result.passed) << result.diff;
  EXPECT_EQ(result.id, "T1");
  EXPECT_EQ(result.title, "a test");
  EXPECT_EQ(result.diff, "");
}

TEST(Scenario, AWrongExpectationFailsWithLineFieldWantedGotAndRule) {
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - raise_flag: {flag_id: f1, subject: {bucket: b1}, category: "3.1.3.5.3", severity: BLOCK}
    - at: 2026-03-01T10:00:01+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW, reason: ACCOUNT_FROZEN, warnings: [SANDBOXED]}
)");
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.diff, HasSubstr("t.yaml:8: check at 2026-03-01T10:00:01+08:00\n"));
  EXPECT_THAT(result.diff, HasSubstr("verdict: wanted ALLOW, got DENY\n"));
  EXPECT_THAT(result.diff, HasSubstr("reason: wanted ACCOUNT_FROZEN, got CONTENT_PROHIBITED\n"));
  EXPECT_THAT(result.diff, HasSubstr("warnings: wanted [SANDBOXED], got []\n"));
  EXPECT_THAT(result.diff, HasSubstr("clause 3.1.3.5.3, rule f1"));
}

TEST(Scenario, EachCompanionOfExpectCanFail) {
  const CaseResult result = RunSteps(absl::StrCat(kFreeze, R"(
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      http: {kodo: 420, s3: 403 AccessDenied, generic: 403}
      present: [lease_id]
      absent: [http, reason]
      at_most: {http.status: 402}
      at_least: {http.status: 500}
      lacks: {reason: [frozen], clause: ["7.2"]}
      keep: {lease: lease_id}
)"));
  EXPECT_FALSE(result.passed);
  for (const char* line :
       {"http.kodo: wanted 420, got 419", "http.s3: wanted 403 AccessDenied, got 403 AccountProblem",
        "lease_id: wanted something, got nothing", "reason: wanted nothing, got ACCOUNT_FROZEN",
        "http: wanted nothing, got {", "http.status: wanted at most 402, got 403",
        "http.status: wanted at least 500, got 403", "reason: wanted no \"frozen\" in it, got \"ACCOUNT_FROZEN\"",
        "clause: wanted no \"7.2\" in it, got \"7.2.1\"", "keep lease_id: wanted something, got nothing"}) {
    EXPECT_THAT(result.diff, HasSubstr(line));
  }
  EXPECT_THAT(result.diff, Not(HasSubstr("http.generic")));
}

TEST(Scenario, ReadsAScalarByTheTypeOfItsField) {
  const CaseResult result = RunSteps(R"(
    - at: "2026-03-01 02:00:00Z"
      apply:
        - raise_flag: {flag_id: 0x10, subject: {bucket: b1, key: null}, category: 3.1.3.5.3, severity: 2}
    - check: {operation: OPERATION_PUBLIC_READ, bucket: b1, key: null}
      expect: {verdict: 3, reason: REASON_CONTENT_PROHIBITED, rule_id: 0x10, clause: 3.1.3.5.3}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
)");
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, TheOutcomeOfAnEventIsComparedAndItsDefaultIsApplied) {
  EXPECT_TRUE(RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - freeze: {account: u1}
          role: MODERATION
          outcome: REJECTED
        - freeze: {account: u1}
          source: billing
          event_id: e1
        - freeze: {account: u1}
          source: billing
          event_id: e1
          outcome: DUPLICATE
)")
                  .passed);
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - freeze: {account: u1}
          outcome: STALE
        - freeze: {account: u1}
          role: MODERATION
)");
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.diff, HasSubstr("[0] freeze: wanted STALE, got APPLIED"));
  EXPECT_THAT(result.diff, HasSubstr("[1] freeze: wanted APPLIED, got REJECTED: "));
}

TEST(Scenario, RepeatCountsVerdictsAndComparesTheEnds) {
  const char* steps = R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_limit: {limit_id: l1, level: WEB_PAGE, scope: BUCKET, subject: {bucket: b1}, dimension: REQUESTS, rate: 10, burst: 10}
    - at: 2026-03-01T10:00:05+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      repeat: 12
      expect: {ALLOW: ALLOWED, THROTTLE: 2, first: {verdict: ALLOW}, last: {verdict: LAST, reason: RATE_LIMITED}}
)";
  EXPECT_TRUE(RunSteps(absl::StrReplaceAll(steps, {{"ALLOWED", "10"}, {"LAST", "THROTTLE"}})).passed);
  const CaseResult result = RunSteps(absl::StrReplaceAll(steps, {{"ALLOWED", "11"}, {"LAST", "DENY"}}));
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.diff, HasSubstr("ALLOW: wanted 11, got 10\n"));
  EXPECT_THAT(result.diff, HasSubstr("verdict: wanted DENY, got THROTTLE\n"));
  EXPECT_THAT(result.diff, Not(HasSubstr("first.")));
}

TEST(Scenario, EveryMovesBothClocksAndTheyStayThere) {
  // Ten a second: after the burst of one, a token every 100 ms.
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_limit: {limit_id: l1, level: WEB_PAGE, scope: BUCKET, subject: {bucket: b1}, dimension: REQUESTS, rate: 10, burst: 1}
    - at: 2026-03-01T10:00:05+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      repeat: 11
      every: 50ms
      expect: {ALLOW: 6, THROTTLE: 5}
    - check: {operation: LIST, requester: u1, bucket: b2}
    - audit: {bucket: b2}
      expect: {at: 2026-03-01T10:00:05.5+08:00}
)");
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, HttpAndExplainSpendNothingAndAreNotLogged) {
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_limit: {limit_id: l1, level: WEB_PAGE, scope: OBJECT, subject: {bucket: b1, key: k1}, dimension: REQUESTS, rate: 1, burst: 1}
    - explain: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
    - explain: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: THROTTLE}
      http: {kodo: 573, s3: 503 SlowDown, generic: 429}
    - audit: {bucket: b1}
      expect: {records: 2, response: {verdict: THROTTLE, reason: RATE_LIMITED}}
)");
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, KeptValuesStandForThemselvesInLaterSteps) {
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_limit: {limit_id: l1, level: WEB_PAGE, scope: BUCKET, subject: {bucket: b1}, dimension: CONNECTIONS, rate: 1}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1, take_lease: true}
      expect: {verdict: ALLOW}
      keep: {lease: lease_id, seen: revision}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1, take_lease: true}
      expect: {verdict: THROTTLE, revision: $seen}
      http: {generic: 429}
    - report: [{lease_id: $lease}]
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1, take_lease: true, min_revision: $seen}
      expect: {verdict: ALLOW}
      present: [lease_id]
      at_most: {revision: $seen}
)");
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, WhatFallsDueOnTheWayHasHappened) {
  const char* steps = R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - freeze: {account: u1}
        - freeze: {account: u2}
          effective_at: 2026-03-02T09:00:00+08:00
    - announced: []
    - at: 2026-04-05T00:00:00+08:00
      announced: [{kind: RECLAIMABLE, account: u1}, {kind: RECLAIMABLE, account: SECOND}]
    - announced: []
    - describe: {account: u1}
      expect: {state: RECLAIMABLE, cause: ARREARS, deadline: 2026-03-31T16:00:00Z}
      at_most: {deadline: 2026-04-01T00:00:00+08:00}
      absent: [in_force]
)";
  const CaseResult passed = RunSteps(absl::StrReplaceAll(steps, {{"SECOND", "u2"}}));
  EXPECT_TRUE(passed.passed) << passed.diff;
  const CaseResult failed = RunSteps(absl::StrReplaceAll(steps, {{"SECOND", "u3"}}));
  EXPECT_FALSE(failed.passed);
  EXPECT_THAT(failed.diff, HasSubstr("announced: wanted ["));
  EXPECT_THAT(failed.diff, HasSubstr("announced at 2026-04-01T00:10:00+08:00"));
  EXPECT_THAT(failed.diff, HasSubstr("announced at 2026-04-02T00:10:00+08:00"));
}

TEST(Scenario, RejectedEventsAreAnnouncedAndNumberAndOrderAreCompared) {
  const char* steps = R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - issue_order: {order_id: o1}
          outcome: REJECTED
        - order_deletion: {subject: {bucket: b1, key: k1}}
    - announced: LIST
)";
  const auto with = [&](absl::string_view list) { return RunSteps(absl::StrReplaceAll(steps, {{"LIST", list}})); };
  const CaseResult right = with("[{kind: EVENT_REJECTED}, {kind: DELETE_REQUESTED, bucket: b1, key: k1}]");
  EXPECT_TRUE(right.passed) << right.diff;
  EXPECT_TRUE(with("[{kind: EVENT_REJECTED}, {kind: DELETE_REQUESTED}]").passed);
  EXPECT_FALSE(with("[{kind: DELETE_REQUESTED, bucket: b1, key: k1}, {kind: EVENT_REJECTED}]").passed);
  EXPECT_FALSE(with("[{kind: EVENT_REJECTED}]").passed);
  EXPECT_FALSE(with("[]").passed);
  EXPECT_FALSE(with("[{kind: EVENT_REJECTED}, {kind: DELETE_REQUESTED, bucket: b1, key: k2}]").passed);
}

TEST(Scenario, WallStepMovesTheWallAloneAndALaterAtMovesBoth) {
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_limit: {limit_id: l1, level: WEB_PAGE, scope: BUCKET, subject: {bucket: b1}, dimension: REQUESTS, rate: 0.001, burst: 1}
        - freeze: {account: u2}
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
    - wall_step: -1h
    # Policy time stands still: the freeze of 10:00 has not un-happened.
    - check: {operation: PUBLIC_READ, bucket: b9, key: k1}
      expect: {verdict: DENY}
    # 1,000 s bring one token, and from 09:00 to 09:20 are 1,200 s on both clocks.
    - at: 2026-03-01T09:20:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
)");
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, AnUnknownClockErrorHoldsAnnouncementsBack) {
  const CaseResult result = RunSteps(absl::StrCat(kFreeze, R"(
    - clock_error: unknown
    - at: 2026-04-02T00:00:00+08:00
      announced: []
    - clock_error: 1s
    - announced: [{kind: RECLAIMABLE, account: u1}]
)"));
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, RestartKeepsThePolicyTheLogAndWhatWasAnnounced) {
  const CaseResult result = RunSteps(absl::StrCat(kFreeze, R"(
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: DENY}
    - at: 2026-04-01T01:00:00+08:00
      announced: [{kind: RECLAIMABLE, account: u1}]
    - restart: true
    - announced: []
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: DENY, reason: AGREEMENT_ENDED}
    - audit: {bucket: b1}
      expect: {records: 2}
    - replay: true
)"));
  EXPECT_TRUE(result.passed) << result.diff;
}

TEST(Scenario, AuditComparesTheLastRecordAndFailsWhereThereIsNone) {
  const char* steps = R"(
    - at: 2026-03-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1, request_id: r1}
    - audit: {bucket: BUCKET}
      expect: {request: {operation: PUBLIC_READ}, response: {verdict: ALLOW, request_id: r1}}
      present: [at]
    - audit: {bucket: b2}
      expect: {records: 0}
)";
  const CaseResult passed = RunSteps(absl::StrReplaceAll(steps, {{"BUCKET", "b1"}}));
  EXPECT_TRUE(passed.passed) << passed.diff;
  const CaseResult failed = RunSteps(absl::StrReplaceAll(steps, {{"BUCKET", "b2"}}));
  EXPECT_FALSE(failed.passed);
  EXPECT_THAT(failed.diff, HasSubstr("records: wanted at least one, got none"));
}

TEST(Scenario, MetricsAreComparedAsPlainText) {
  const char* steps = R"(
    - at: 2026-03-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
    - metrics: {has: [HAS], lacks: ['"b1"', LACKS]}
)";
  EXPECT_TRUE(
      RunSteps(absl::StrReplaceAll(steps, {{"HAS", "sluice_decision_log_dropped_total"}, {"LACKS", "b404"}})).passed);
  const CaseResult failed =
      RunSteps(absl::StrReplaceAll(steps, {{"HAS", "sluice_nonsense"}, {"LACKS", "PUBLIC_READ"}}));
  EXPECT_FALSE(failed.passed);
  EXPECT_THAT(failed.diff, HasSubstr("has: wanted sluice_nonsense, got no such text"));
  EXPECT_THAT(failed.diff, HasSubstr("lacks: wanted no PUBLIC_READ, got "));
}

TEST(Scenario, NodeOptionsReachTheNode) {
  const CaseResult full = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      repeat: 3
    - audit: {bucket: b1}
      expect: {records: 1}
    - metrics: {has: ['sluice_decision_log_dropped_total{class="sample"} 2']}
)",
                                   "  node: {audit_capacity: 1}\n");
  EXPECT_TRUE(full.passed) << full.diff;
  const CaseResult dialect = RunSteps(absl::StrCat(kFreeze, R"(
    - check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {http: {status: 419}}
)"),
                                      "  node: {dialect: kodo}\n");
  EXPECT_TRUE(dialect.passed) << dialect.diff;
  const CaseResult abroad = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - set_permit: {host: example.cn, kind: icp-filing, status: NONE}
    - check: {operation: PUBLIC_READ, host: cdn.example.cn, path: /k1}
      expect: {verdict: ALLOW}
)",
                                     "  node: {region: sg}\n");
  EXPECT_TRUE(abroad.passed) << abroad.diff;
}

TEST(Scenario, WithoutAFixtureTheStoreIsEmptyAndTheFailurePolicyDecides) {
  const char* steps = R"(
    - at: 2020-03-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: EXPECT
)";
  const CaseResult deny =
      RunSteps(absl::StrReplaceAll(steps, {{"EXPECT", "{verdict: DENY, reason: NOT_READY, fault: PROVIDER}"}}),
               "  fixture: none\n");
  EXPECT_TRUE(deny.passed) << deny.diff;
  const CaseResult allow = RunSteps(absl::StrReplaceAll(steps, {{"EXPECT", "{verdict: ALLOW, warnings: [NOT_READY]}"}}),
                                    "  fixture: none\n  node: {failure_policy: allow}\n");
  EXPECT_TRUE(allow.passed) << allow.diff;
}

TEST(Scenario, AnAtBeforeTheClockEndsTheCase) {
  const CaseResult result = RunSteps(absl::StrCat(kFreeze, R"(
    - at: 2026-02-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1}
      expect: {verdict: ALLOW}
)"));
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.diff, HasSubstr("wanted a moment from 2026-03-01T10:00:00+08:00 on, got 2026-02-01"));
  EXPECT_THAT(result.diff, Not(HasSubstr("verdict")));
}

TEST(Scenario, ACheckThatNoDoorWouldTakeFailsTheCase) {
  const CaseResult result = RunSteps(R"(
    - at: 2026-03-01T10:00:00+08:00
      check: {operation: PUBLIC_READ, bucket: b1, key: k1, client_ip: nowhere}
      expect: {verdict: ALLOW}
)");
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.diff, HasSubstr("nowhere"));
}

// ---- Reading --------------------------------------------------------------------------------------------------------

TEST(ScenarioFile, UnknownKeysAreErrorsWithTheirLine) {
  EXPECT_THAT(ReadError("- id: T1\n  tittle: x\n  steps: []\n"),
              StartsWith("t.yaml:2: case: unknown field \"tittle\"; known: title"));
  EXPECT_THAT(StepError("  - check: {operation: LIST}\n    expects: {verdict: ALLOW}\n"),
              StartsWith("t.yaml:4: step: unknown field \"expects\"; known: expect"));
  EXPECT_THAT(StepError("  - check: {opertion: LIST}\n"), StartsWith("t.yaml:3: unknown field \"opertion\""));
  EXPECT_THAT(StepError("  - check: {operation: LIST}\n    expect: {verdcit: ALLOW}\n"),
              StartsWith("t.yaml:4: unknown field \"verdcit\""));
  EXPECT_THAT(StepError("  - check: {operation: LIST}\n    absent: [http.mesage]\n"),
              StartsWith("t.yaml:4: absent: http.mesage: unknown field \"mesage\"; known: message"));
  EXPECT_THAT(StepError("  - check: {operation: LIST}\n    http: {gcs: 403}\n"),
              HasSubstr("t.yaml:4: http: unknown field"));
  EXPECT_THAT(StepError("  - apply:\n    - freeze: {acount: u1}\n"),
              StartsWith("t.yaml:4: freeze: unknown field \"acount\""));
  EXPECT_THAT(StepError("  - announced: [{kind: RECLAIMABLE, acount: u1}]\n"), HasSubstr("unknown field \"acount\""));
  EXPECT_THAT(StepError("  - audit: {bukket: b1}\n"), HasSubstr("unknown field \"bukket\""));
  EXPECT_THAT(StepError("  - metrics: {hass: [x]}\n"), HasSubstr("t.yaml:3: metrics: unknown field \"hass\""));
  EXPECT_THAT(ReadError("- id: T1\n  node: {reigon: cn}\n  steps:\n  - replay: true\n"),
              HasSubstr("t.yaml:2: node: unknown field \"reigon\""));
}

TEST(ScenarioFile, RefusesMalformedCases) {
  EXPECT_EQ(ReadError("- title: x\n  steps:\n  - replay: true\n"), "t.yaml:1: case: wanted id");
  EXPECT_EQ(ReadError("- id: T1\n"), "t.yaml:1: case: wanted steps");
  EXPECT_EQ(ReadError("- id: T1\n  steps: []\n"), "t.yaml:2: steps: wanted a list of steps, got a list");
  EXPECT_EQ(ReadError("id: T1\n"), "t.yaml:1: wanted a list of cases, got a mapping");
  EXPECT_EQ(ReadError("# none\n"), "t.yaml: wanted a list of cases, got nothing");
  EXPECT_EQ(ReadError("- id: T1\n  id: T2\n  steps:\n  - replay: true\n"), "t.yaml:2: case: id is there twice");
  EXPECT_EQ(ReadError("- id: T1\n  fixture: big\n  steps:\n  - replay: true\n"),
            "t.yaml:2: fixture: wanted standard or none, got \"big\"");
  EXPECT_EQ(ReadError("- id: T1\n  choice: maybe\n  steps:\n  - replay: true\n"),
            "t.yaml:2: choice: wanted true or false, got \"maybe\"");
  EXPECT_EQ(ReadError("- id: T1\n  node: {fleet_size: 0}\n  steps:\n  - replay: true\n"),
            "t.yaml:2: node.fleet_size: wanted a whole number from 1 on, got \"0\"");
  EXPECT_EQ(ReadError("- id: T1\n  node: {failure_policy: open}\n  steps:\n  - replay: true\n"),
            "t.yaml:2: node.failure_policy: wanted deny, allow or operations, got \"open\"");
}

TEST(ScenarioFile, RefusesMalformedSteps) {
  EXPECT_EQ(StepError("  - at: 2026-03-01T10:00:00+08:00\n"), "t.yaml:3: step: wanted one action, got none");
  EXPECT_EQ(StepError("  - {replay: true, restart: true}\n"),
            "t.yaml:3: step: wanted one action, got restart and replay");
  EXPECT_EQ(StepError("  - at: yesterday\n    replay: true\n"),
            "t.yaml:3: at: wanted a time like 2026-03-01T10:00:00+08:00, got \"yesterday\"");
  EXPECT_EQ(StepError("  - replay: yes\n"), "t.yaml:3: replay: wanted true, got \"yes\"");
  EXPECT_EQ(StepError("  - apply: {freeze: {account: u1}}\n"),
            "t.yaml:3: apply: wanted a list of events, got a mapping");
  EXPECT_EQ(StepError("  - apply:\n    - freeze: {account: u1}\n      outcome: MAYBE\n"),
            "t.yaml:5: outcome: wanted APPLIED, DUPLICATE, STALE or REJECTED, got \"MAYBE\"");
  EXPECT_EQ(StepError("  - apply:\n    - freeze: {account: u1}\n    expect: {outcome: APPLIED}\n"),
            "t.yaml:5: step: expect does not go with apply");
  EXPECT_EQ(StepError("  - describe: {account: u1}\n    repeat: 2\n"),
            "t.yaml:4: step: repeat does not go with describe");
  EXPECT_EQ(StepError("  - check: {operation: LIST}\n    every: 1s\n"), "t.yaml:4: every: wanted repeat beside it");
  EXPECT_EQ(StepError("  - check: {operation: LIST}\n    repeat: 0\n"),
            "t.yaml:4: repeat: wanted a whole number from 1 on, got \"0\"");
  EXPECT_THAT(StepError("  - check: {operation: LIST}\n    repeat: 2\n    expect: {verdict: ALLOW}\n"),
              HasSubstr("t.yaml:5: expect with repeat: unknown field \"verdict\""));
  EXPECT_EQ(StepError("  - check: {operation: LIST}\n    http: {s3: Forbidden}\n"),
            "t.yaml:4: http.s3: wanted a status, and perhaps an error name, like 503 SlowDown, got \"Forbidden\"");
  EXPECT_EQ(StepError("  - check: {operation: LIST}\n    at_most: {reason: 3}\n"),
            "t.yaml:4: at_most: reason is no number or time");
  EXPECT_EQ(StepError("  - wall_step: 1 hour\n"),
            "t.yaml:3: wall_step: wanted a duration like 1s, 10m or -1h, got \"1 hour\"");
  EXPECT_EQ(StepError("  - clock_error: -1s\n"),
            "t.yaml:3: clock_error: wanted unknown, or a duration like 1s, got \"-1s\"");
  EXPECT_EQ(StepError("  - announced: [{account: u1}]\n"), "t.yaml:3: announced: wanted a kind such as RECLAIMABLE");
}

// ---- The command ----------------------------------------------------------------------------------------------------

struct Output {
  int code;
  std::string text;
};
Output Command(const std::vector<std::string>& files, const std::string& filter = "", bool verbose = false) {
  std::ostringstream out;
  const int code = RunTestCommand(files, "", filter, verbose, out);
  return {code, out.str()};
}

TEST(TestCommand, PrintsALineACaseADiffAndTheTotal) {
  const std::string file = absl::StrCat(kTestData, "mixed.yaml");
  const Output output = Command({file});
  EXPECT_EQ(output.code, 1);
  EXPECT_THAT(output.text, StartsWith("ok M01 a frozen account is refused\nFAILED M02 an expectation that is wrong\n"));
  EXPECT_THAT(output.text, HasSubstr(absl::StrCat(file, ":15: check at ")));
  EXPECT_THAT(output.text, HasSubstr("verdict: wanted DENY, got ALLOW\n"));
  EXPECT_THAT(output.text, testing::EndsWith("\n1 passed, 1 failed\n"));
}

TEST(TestCommand, FiltersByIdOrTitle) {
  const std::string file = absl::StrCat(kTestData, "mixed.yaml");
  EXPECT_EQ(Command({file}, "m01").text, "ok M01 a frozen account is refused\n1 passed, 0 failed\n");
  EXPECT_EQ(Command({file}, "m01").code, 0);
  EXPECT_THAT(Command({file}, "frozen account", true).text, StartsWith(absl::StrCat(file, "\nok M01")));
  EXPECT_EQ(Command({file}, "no such case").code, 2);
}

TEST(TestCommand, ExitsWithTwoWhereAFileCannotBeRead) {
  const std::string malformed = absl::StrCat(kTestData, "malformed.yaml");
  const Output output =
      Command({malformed, absl::StrCat(kTestData, "mixed.yaml"), absl::StrCat(kTestData, "absent.yaml")});
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.text,
              HasSubstr(absl::StrCat("cannot run ", malformed, ":5: step: unknown field \"chekc\"; known: check")));
  EXPECT_THAT(output.text, HasSubstr("absent.yaml: cannot read: "));
  EXPECT_THAT(output.text, testing::EndsWith("1 passed, 1 failed\n"));
  std::ostringstream out;
  EXPECT_EQ(RunTestCommand({malformed}, absl::StrCat(kTestData, "no-pack.yaml"), "", false, out), 2);
  EXPECT_THAT(out.str(), HasSubstr("agreement pack: "));
}

}  // namespace
}  // namespace sluice
