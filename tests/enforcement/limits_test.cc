// Limits as the engine applies them: all or none, pace, trial, abuse, heavy names.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/top.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

SetLimit Limit(std::string id, LimitScope scope, Subject subject, Dimension dimension, double rate, double burst = 0) {
  SetLimit limit;
  limit.limit_id = std::move(id);
  limit.level = Level::kWebPage;
  limit.scope = scope;
  limit.subject = std::move(subject);
  limit.dimension = dimension;
  limit.rate = rate;
  limit.burst = burst;
  return limit;
}

Subject OfAccount(std::string account) {
  Subject subject;
  subject.account = std::move(account);
  return subject;
}
Subject OfBucket(std::string bucket) {
  Subject subject;
  subject.bucket = std::move(bucket);
  return subject;
}

CheckInput Read(absl::string_view key, absl::string_view address = "") {
  CheckInput input = Ask(Operation::kPublicRead, "", "b1", key);
  input.client_ip = address;
  return input;
}

class LimitsTest : public testing::Test {
 protected:
  LimitsTest() {
    node_.StandardFixture();
    node_.MoveTo("2026-03-01T10:00:00+08:00");
  }
  Decision Check(const CheckInput& input) { return node_.Check(input); }
  int Allowed(const CheckInput& input, int times) {
    int allowed = 0;
    for (int i = 0; i < times; ++i) allowed += Check(input).verdict == Verdict::kAllow;
    return allowed;
  }
  Node node_;
};

TEST_F(LimitsTest, ARefusalTakesNothingFromTheOthersAndWaitsForTheLast) {
  node_.Send(Limit("a", LimitScope::kAccount, OfAccount("u1"), Dimension::kRequests, 10, 10));
  node_.Send(Limit("b", LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 1, 2));
  node_.Send(Limit("c", LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 0.5, 2));
  EXPECT_EQ(Allowed(Read("k"), 20), 2);
  const Decision refused = Check(Read("k"));
  EXPECT_EQ(refused.verdict, Verdict::kThrottle);
  EXPECT_EQ(refused.retry_after_ms, 2000);
  // The account has given two tokens, and none for what was refused.
  CheckInput other = Ask(Operation::kPublicRead, "", "b2", "k");
  EXPECT_EQ(Allowed(other, 20), 8);
  node_.MoveTo(node_.now().wall + absl::Milliseconds(1999));
  EXPECT_EQ(Check(Read("k")).verdict, Verdict::kThrottle);
  node_.MoveTo(node_.now().wall + absl::Milliseconds(1));
  EXPECT_EQ(Check(Read("k")).verdict, Verdict::kAllow);
}

TEST_F(LimitsTest, ThreadsTakeAllOrNoneToTheToken) {
  for (int round = 0; round < 20; ++round) {
    const std::string id = absl::StrCat(round);
    node_.Send(Limit("a" + id, LimitScope::kAccount, OfAccount("u1"), Dimension::kRequests, 0.001, 100));
    node_.Send(Limit("b" + id, LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 0.001, 60));
    node_.Send(Limit("c" + id, LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 0.001, 80));
    std::atomic<int> allowed{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 300; ++i) allowed += Check(Read("k")).verdict == Verdict::kAllow;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(allowed.load(), 60);
    // What the bucket's limit refused was not taken from the account's.
    EXPECT_EQ(Allowed(Ask(Operation::kPublicRead, "", "b2", "k"), 100), 40);
    for (const char* limit : {"a", "b", "c"}) node_.Send(ClearLimit{limit + id});
  }
}

TEST_F(LimitsTest, WhatIsLeftIsToldOfTheLimitThatHasLeast) {
  node_.Send(Limit("a", LimitScope::kAccount, OfAccount("u1"), Dimension::kRequests, 10, 100));
  node_.Send(Limit("b", LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 2, 4));
  CheckInput input = Read("k1");
  EXPECT_FALSE(Check(input).rate);  // nobody asked
  input.tell_rate = true;
  const Decision second = Check(input);
  ASSERT_TRUE(second.rate);
  EXPECT_EQ(second.rate->burst, 4);
  EXPECT_EQ(second.rate->remaining, 2);
  EXPECT_EQ(second.rate->full_after_ms, 1000);
  EXPECT_EQ(second.rate->requests_per_second, 2);
  Check(input);
  EXPECT_EQ(Check(input).rate->remaining, 0);
  const Decision refused = Check(input);
  EXPECT_EQ(refused.verdict, Verdict::kThrottle);
  EXPECT_EQ(refused.rate->remaining, 0);
  input.bucket = "b2";
  EXPECT_EQ(Check(input).rate->burst, 100);
}

TEST_F(LimitsTest, APaceIsSharedEquallyByWhoHoldsALease) {
  SetLimit limit = Limit("s", LimitScope::kBucket, OfBucket("b1"), Dimension::kBytesOut, 1'000'000);
  limit.shape = true;
  node_.Send(limit);
  CheckInput input = Read("k");
  EXPECT_EQ(Check(input).shape_bytes_per_second, 1'000'000);
  input.take_lease = true;
  std::vector<std::string> leases;
  for (int i = 1; i <= 4; ++i) {
    const Decision decision = Check(input);
    EXPECT_EQ(decision.shape_bytes_per_second, 1'000'000 / i);
    EXPECT_EQ(decision.recheck_after_ms, 5000);  // until then the earlier ones are as fast as they were told to be
    leases.push_back(decision.lease_id);
  }
  // Once each has been told, their paces add up to the limit.
  int64_t sum = 0;
  for (const std::string& lease : leases) {
    input.lease_id = lease;
    sum += Check(input).shape_bytes_per_second;
  }
  EXPECT_EQ(sum, 1'000'000);
  // One without a lease comes on top.
  EXPECT_EQ(Check(Read("k")).shape_bytes_per_second, 200'000);
  UsageInput end;
  end.lease_id = leases[0];
  ASSERT_TRUE(node_.engine().Report("", {end}, node_.now()).ok());
  input.lease_id = leases[1];
  EXPECT_EQ(Check(input).shape_bytes_per_second, 333'333);
}

TEST_F(LimitsTest, ALimitOnTrialChangesNoAnswerAndSaysWhatItWouldHaveBeen) {
  const Decision before = Check(Read("k"));
  SetLimit limit = Limit("t", LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 1, 3);
  limit.trial = true;
  limit.level = Level::kContract;  // would outrank what is in force, and must not
  node_.Send(limit);
  node_.Send(Limit("real", LimitScope::kBucket, OfBucket("b1"), Dimension::kRequests, 100, 100));
  int would_throttle = 0;
  for (int i = 0; i < 100; ++i) {
    const Decision decision = Check(Read("k"));
    ASSERT_EQ(decision.verdict, Verdict::kAllow);
    ASSERT_EQ(decision.retry_after_ms, 0);
    if (decision.trial_verdict == Verdict::kThrottle) {
      EXPECT_EQ(decision.trial_reason, Reason::kRateLimited);
      EXPECT_EQ(decision.trial_rule_id, "t");
      ++would_throttle;
    }
  }
  EXPECT_EQ(would_throttle, 97);
  const Decision refused = Check(Read("k"));
  EXPECT_EQ(refused.verdict, Verdict::kThrottle);
  EXPECT_EQ(refused.rule_id, "real");
  // An answer without a limit in force is as good for caching as before.
  node_.Send(ClearLimit{"real"});
  EXPECT_EQ(Check(Read("k")).cache_for_ms, before.cache_for_ms);

  std::vector<ExplainStep> steps;
  const Decision explained = node_.engine().Explain(Read("k"), node_.now(), &steps);
  EXPECT_EQ(explained.verdict, Verdict::kAllow);
  EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [](const ExplainStep& step) {
    return step.rule == "trial limit t" && step.matched && step.text.find("on trial") != std::string::npos;
  }));
}

TEST_F(LimitsTest, AFlagAndARestrictionOnTrialDenyNothing) {
  RaiseFlag flag;
  flag.flag_id = "f";
  flag.subject = OfBucket("b1");
  flag.category = "3.1.3.5.3";
  flag.severity = Severity::kCritical;
  flag.trial = true;
  node_.Send(flag);
  Decision decision = Check(Read("k"));
  EXPECT_EQ(decision.verdict, Verdict::kAllow);
  EXPECT_EQ(decision.trial_verdict, Verdict::kDeny);
  EXPECT_EQ(decision.trial_reason, Reason::kContentProhibited);
  EXPECT_EQ(decision.trial_rule_id, "f");
  // Nor does it keep anything as evidence.
  decision = Check(Ask(Operation::kDelete, "u1", "b1", "k"));
  EXPECT_EQ(decision.verdict, Verdict::kAllow);
  EXPECT_EQ(decision.trial_reason, Reason::kEvidenceHold);
  node_.Send(OrderDeletion{OfBucket("b1")});
  node_.Send(ClearFlag{"f"});
  EXPECT_EQ(Check(Read("k")).trial_verdict, Verdict::kUnspecified);

  Restrict restriction;
  restriction.restriction_id = "r";
  restriction.subject = OfBucket("b1");
  restriction.kind = RestrictionKind::kSandbox;
  restriction.requests_per_second = 2;
  restriction.clause = "7.3.3";
  restriction.trial = true;
  node_.Send(restriction);
  int would_throttle = 0;
  for (int i = 0; i < 10; ++i) {
    decision = Check(Read("k"));
    EXPECT_EQ(decision.verdict, Verdict::kAllow);
    EXPECT_TRUE(decision.warnings.empty());
    would_throttle += decision.trial_verdict == Verdict::kThrottle;
  }
  EXPECT_EQ(would_throttle, 8);
  // What denies anyway is no trial's doing.
  node_.Send(Freeze{"u1"});
  decision = Check(Read("k"));
  EXPECT_EQ(decision.verdict, Verdict::kDeny);
  EXPECT_EQ(decision.trial_verdict, Verdict::kUnspecified);
}

TEST_F(LimitsTest, AQuotaOnTrialDeniesNothing) {
  SetLimit limit = Limit("q", LimitScope::kAccount, OfAccount("u1"), Dimension::kStoredBytes, 10);
  limit.trial = true;
  node_.Send(limit);
  CheckInput upload = Ask(Operation::kUpload, "u1", "b1", "k");
  upload.bytes = 11;
  const Decision decision = Check(upload);
  EXPECT_EQ(decision.verdict, Verdict::kAllow);
  EXPECT_EQ(decision.trial_verdict, Verdict::kDeny);
  EXPECT_EQ(decision.trial_reason, Reason::kQuotaExceeded);
}

class AbuseTest : public LimitsTest {
 protected:
  AbuseTest() : guard_(node_.pack(), &node_.limiter()) {
    node_.engine().SetAbuseObserver(&guard_);
    node_.Send(Limit("ip", LimitScope::kClientIp, {}, Dimension::kRequests, 10, 10));
  }
  // Asks `rate` times a second for `seconds`, the guard looking once a second. Returns what it did.
  std::vector<PolicyEvent> Press(double rate, int seconds, absl::string_view address = "203.0.113.7") {
    std::vector<PolicyEvent> done;
    const absl::Duration step = absl::Seconds(1) / rate;
    absl::Time look = node_.now().wall + absl::Seconds(1);
    const absl::Time end = node_.now().wall + absl::Seconds(seconds);
    while (node_.now().wall < end) {
      Check(Read("k", address));
      node_.MoveTo(node_.now().wall + step);
      if (node_.now().wall < look) continue;
      look += absl::Seconds(1);
      for (PolicyEvent& event : Look()) done.push_back(std::move(event));
    }
    return done;
  }
  std::vector<PolicyEvent> Look() {
    std::vector<PolicyEvent> due = guard_.Due(node_.index().working(), node_.now());
    for (const PolicyEvent& event : due) {
      last_ = node_.SendEvent(event);
      EXPECT_EQ(last_.outcome, Outcome::kApplied) << last_.error;
    }
    return due;
  }
  AbuseGuard guard_;
  Reduction last_;
};

TEST_F(AbuseTest, WhoPressesOnAtTenTimesItsLimitForAMinuteIsSandboxedAndAnnounced) {
  EXPECT_TRUE(Press(100, 55).empty());
  const std::vector<PolicyEvent> done = Press(100, 10);
  ASSERT_EQ(done.size(), 1u);
  const auto& restriction = std::get<Restrict>(done[0].change);
  EXPECT_EQ(restriction.subject.client_ip, "203.0.113.7");
  EXPECT_EQ(restriction.kind, RestrictionKind::kSandbox);
  EXPECT_EQ(restriction.clause, "3.1.3.6");
  EXPECT_DOUBLE_EQ(restriction.requests_per_second, 1);
  ASSERT_EQ(last_.announcements.size(), 1u);
  EXPECT_EQ(last_.announcements[0].kind, AnnouncementKind::kAutoSandboxed);
  EXPECT_EQ(last_.announcements[0].subject.client_ip, "203.0.113.7");
  // Sandboxed once, however long it goes on; and nobody else is.
  EXPECT_TRUE(Press(100, 120).empty());
  node_.MoveTo(node_.now().wall + absl::Seconds(2));
  const Decision decision = Check(Read("k", "203.0.113.7"));
  EXPECT_EQ(decision.verdict, Verdict::kAllow);
  EXPECT_EQ(decision.warnings.front(), Reason::kSandboxed);
  EXPECT_EQ(Check(Read("k", "203.0.113.7")).reason, Reason::kSandboxed);
  EXPECT_TRUE(Check(Read("k", "203.0.113.8")).warnings.empty());
}

TEST_F(AbuseTest, WhoPressesHarderIsSandboxedSooner) { EXPECT_FALSE(Press(1000, 5).empty()); }

TEST_F(AbuseTest, WhoIsFourTimesOverItsLimitIsThrottledOnly) { EXPECT_TRUE(Press(40, 600).empty()); }

TEST_F(AbuseTest, IsReleasedOnceItsRequestsHaveStayedWithinTheLimit) {
  ASSERT_EQ(Press(100, 65).size(), 1u);
  // Half as much again as its limit allowed: not calm.
  EXPECT_TRUE(Press(15, 1200).empty());
  // Within the limit, though above the sandbox: calm.
  std::vector<PolicyEvent> done = Press(8, 590);
  EXPECT_TRUE(done.empty());
  done = Press(8, 30);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Unrestrict>(done[0].change));
  EXPECT_EQ(Press(8, 5).size(), 0u);
  EXPECT_TRUE(Check(Read("k", "203.0.113.7")).warnings.empty());
}

TEST_F(AbuseTest, AfterARestartItHasAsLongToPressAgain) {
  ASSERT_EQ(Press(100, 65).size(), 1u);
  AbuseGuard fresh(node_.pack(), &node_.limiter());
  node_.engine().SetAbuseObserver(&fresh);
  node_.MoveTo(node_.now().wall + absl::Hours(1));
  EXPECT_TRUE(fresh.Due(node_.index().working(), node_.now()).empty());
  node_.MoveTo(node_.now().wall + absl::Minutes(10));
  EXPECT_EQ(fresh.Due(node_.index().working(), node_.now()).size(), 1u);
}

TEST_F(AbuseTest, AnObjectThatTurnsHotIsAnsweredAsSuchAndNotSandboxed) {
  node_.Send(Limit("object", LimitScope::kObject, {}, Dimension::kRequests, 10, 10));
  CheckInput input = Read("hot");
  input.dialect = Dialect::kKodo;
  std::vector<PolicyEvent> done;
  for (int i = 0; i < 100'000; ++i) Check(input);
  EXPECT_TRUE(Look().empty());
  const Decision decision = Check(input);
  EXPECT_EQ(decision.reason, Reason::kRateLimited);
  EXPECT_EQ(decision.http.status, 573);
}

// Names come from whoever asks; a sandbox of such a name could not be read back from the store.
TEST_F(AbuseTest, WhatNoEventCanNameIsMetByItsLimitAlone) {
  node_.Send(Limit("bucket", LimitScope::kBucket, {}, Dimension::kRequests, 10, 10));
  for (const std::string& bucket : {std::string("\xff"), std::string("a\0b", 3)}) {
    CheckInput input = Read("k");
    input.bucket = bucket;
    for (int i = 0; i < 100'000; ++i) Check(input);
    EXPECT_EQ(Check(input).reason, Reason::kRateLimited);
    EXPECT_TRUE(Look().empty());
  }
  CheckInput named = Read("k");
  named.bucket = "nobody-bound";
  for (int i = 0; i < 100'000; ++i) Check(named);
  EXPECT_EQ(Look().size(), 1u);
}

TEST(TopTest, FindsTheHeaviestOfTheLastMinute) {
  Top top({.names = 64, .samples_per_second = 2000});
  Moment now{absl::UnixEpoch(), MonotonicTime{1'000'000'000'000}};
  Decision decision;
  CheckInput input;
  // A thousand others ask once each, one asks for a tenth of all.
  for (int i = 0; i < 10'000; ++i) {
    now.mono.ns += 1'000'000;
    const std::string owner = i % 10 == 0 ? "heavy" : absl::StrCat("u", i % 1000);
    decision.owner = owner;
    decision.verdict = i % 10 == 0 ? Verdict::kThrottle : Verdict::kAllow;
    top.OnDecision(input, decision, now);
  }
  Top::List list = top.Heaviest(TopKind::kAccount, HeavyHitters::Weight::kRequests, 3, now.mono);
  ASSERT_EQ(list.entries.size(), 3u);
  EXPECT_EQ(list.entries[0].name, "heavy");
  EXPECT_NEAR(list.entries[0].per_second, 100, 10);
  EXPECT_DOUBLE_EQ(list.entries[0].throttled, 1);
  EXPECT_NEAR(list.per_second, 1000, 1);
  EXPECT_TRUE(top.Heaviest(TopKind::kBucket, HeavyHitters::Weight::kRequests, 3, now.mono).entries.empty());
  // A minute later it is nobody.
  now.mono.ns += 80'000'000'000;
  list = top.Heaviest(TopKind::kAccount, HeavyHitters::Weight::kRequests, 3, now.mono);
  EXPECT_TRUE(list.entries.empty());
  EXPECT_EQ(list.per_second, 0);
}

TEST(TopTest, CountsOnAFractionOfMuchTrafficWithAsMuchWeight) {
  Top top({.names = 64, .samples_per_second = 100});
  Moment now{absl::UnixEpoch(), MonotonicTime{1'000'000'000'000}};
  UsageInput usage;
  // A gigabyte a second, a quarter of it by one bucket.
  for (int i = 0; i < 100'000; ++i) {
    now.mono.ns += 100'000;
    usage.bytes_out = 50'000 + i % 100'000;
    const std::string bucket = i % 4 == 0 ? "big" : absl::StrCat("b", i % 50);
    top.OnUsage(usage, {bucket, "", "", true}, "", "", now);
  }
  const Top::List list = top.Heaviest(TopKind::kBucket, HeavyHitters::Weight::kBytes, 2, now.mono);
  EXPECT_NEAR(list.per_second, 1e9, 0.1e9);
  ASSERT_FALSE(list.entries.empty());
  EXPECT_EQ(list.entries[0].name, "big");
  EXPECT_NEAR(list.entries[0].per_second, 0.25e9, 0.06e9);
}

}  // namespace
}  // namespace sluice
