// The corners of the lifecycle that the scenarios leave out (domain.md, sections 2 and 7).
#include "enforcement/lifecycle.h"

#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class LifecycleTest : public ::testing::Test {
 protected:
  LifecycleTest() {
    node_.StandardFixture();
    node_.MoveTo("2026-03-01T10:00:00+08:00");
  }
  OptionalTime Deadline(const char* account = "u1") {
    Subject subject;
    subject.account = account;
    return node_.engine().Describe(subject, node_.now()).deadline;
  }
  TerminationCause Cause() {
    Subject subject;
    subject.account = "u1";
    return node_.engine().Describe(subject, node_.now()).cause;
  }
  Reason Upload(Verdict verdict) {
    const Decision decision = node_.Check(Ask(Operation::kUpload, "u1", "b1", "k1"));
    EXPECT_EQ(decision.verdict, verdict);
    return decision.reason;
  }
  Verdict Answer(Operation operation) { return node_.Check(Ask(operation, "u1", "b1", "k1")).verdict; }

  Node node_;
};

TEST_F(LifecycleTest, AFreezeDatedAheadBitesAtItsTime) {
  EXPECT_EQ(node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00")).outcome, Outcome::kApplied);
  node_.MoveTo("2026-03-01T19:59:59+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  node_.MoveTo("2026-03-01T20:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
  EXPECT_EQ(Upload(Verdict::kDeny), Reason::kAccountFrozen);
}

TEST_F(LifecycleTest, AnUnfreezeDatedAheadWaitsForTheClockError) {
  node_.Send(Freeze{"u1"});
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00"));
  node_.MoveTo("2026-03-01T20:00:00+08:00");
  EXPECT_EQ(Upload(Verdict::kDeny), Reason::kAccountFrozen);
  node_.MoveTo("2026-03-01T20:00:01+08:00");
  EXPECT_EQ(Upload(Verdict::kAllow), Reason::kUnspecified);
  node_.now().clock_error = absl::nullopt;
  EXPECT_EQ(Upload(Verdict::kDeny), Reason::kAccountFrozen);
}

TEST_F(LifecycleTest, AnUnfreezeThatArrivesHoldsAtOnce) {
  node_.Send(Freeze{"u1"});
  node_.now().clock_error = absl::nullopt;
  node_.Send(Unfreeze{"u1"});
  EXPECT_EQ(Upload(Verdict::kAllow), Reason::kUnspecified);
}

TEST_F(LifecycleTest, AnEventMoreThanADayAheadIsRejected) {
  const Reduction reduction = node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-03-02T10:00:01+08:00"));
  EXPECT_EQ(reduction.outcome, Outcome::kRejected);
  EXPECT_THAT(reduction.error, HasSubstr("effective_at"));
}

TEST_F(LifecycleTest, APaymentOfDayThirtyThatArrivesLateStillCounts) {
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-04-01T09:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimable);
  EXPECT_EQ(node_.Announce().size(), 1u);
  EXPECT_EQ(node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-31T23:00:00+08:00")).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  const auto cancelled = node_.Announce();
  ASSERT_EQ(cancelled.size(), 1u);
  EXPECT_EQ(cancelled[0].kind, AnnouncementKind::kReclaimCancelled);
}

TEST_F(LifecycleTest, APaymentAfterTheWindowIsRejectedAndReinstatingTakesTheAccountBack) {
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-04-01T00:00:00+08:00");
  const Reduction late = node_.Send(Unfreeze{"u1"});
  EXPECT_EQ(late.outcome, Outcome::kRejected);
  EXPECT_THAT(late.error, HasSubstr("reinstate"));
  EXPECT_EQ(node_.Send(Reinstate{"u1"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  EXPECT_FALSE(Deadline().has_value());
}

TEST_F(LifecycleTest, AnAccountThatWasWithheldIsWithheldAgainAfterItsFreeze) {
  node_.Send(Withhold{"u1"});
  node_.Send(Freeze{"u1"});
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
  node_.Send(Unfreeze{"u1"});
  EXPECT_EQ(node_.State("u1"), AccountState::kWithheld);
}

TEST_F(LifecycleTest, AFreezeIsNeverLostForWantOfAnOpening) {
  EXPECT_EQ(node_.Send(Freeze{"u404"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u404"), AccountState::kFrozen);
  EXPECT_EQ(node_.Send(Reinstate{"u405"}).outcome, Outcome::kRejected);
  EXPECT_EQ(node_.Send(Unfreeze{"u406"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u406"), AccountState::kActive);
}

TEST_F(LifecycleTest, APendingAccountCannotBeFrozen) {
  node_.Send(OpenAccount{"u3"});
  EXPECT_EQ(node_.Send(Freeze{"u3"}).outcome, Outcome::kRejected);
  EXPECT_EQ(node_.Send(SetBalance{"u3", 0, 1}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u3"), AccountState::kPending);
}

TEST_F(LifecycleTest, NoticeNeedsThirtyFullDays) {
  EXPECT_EQ(node_.Send(GiveNotice{"u1", At("2026-03-31T23:59:59+08:00")}).outcome, Outcome::kRejected);
  EXPECT_EQ(node_.Send(GiveNotice{"u1", At("2026-04-01T00:00:00+08:00")}).outcome, Outcome::kApplied);
  node_.MoveTo("2026-04-01T00:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kRetention);
  EXPECT_EQ(Cause(), TerminationCause::kNotice);
  EXPECT_EQ(node_.Send(WithdrawNotice{"u1"}).outcome, Outcome::kRejected);
}

TEST_F(LifecycleTest, ClosedRetentionStaysClosedWhileAnOpenCauseRunsToo) {
  node_.Send(Terminate{"u1", TerminationCause::kBreach});
  node_.MoveTo("2026-03-05T10:00:00+08:00");
  node_.Send(Terminate{"u1", TerminationCause::kMutual});
  EXPECT_EQ(Cause(), TerminationCause::kMutual);
  EXPECT_EQ(node_.Check(Ask(Operation::kDownload, "u1", "b1", "k1")).verdict, Verdict::kDeny);
}

TEST_F(LifecycleTest, HoldsAndPendingPaymentsKeepBackTheAnnouncementAlone) {
  node_.Send(Freeze{"u1"});
  Subject object;
  object.bucket = "b1";
  object.key = "k1";
  node_.Send(PlaceHold{"h1", object});
  node_.Send(PaymentPending{"u1", true});
  node_.MoveTo("2026-04-01T01:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimable);
  EXPECT_TRUE(node_.Announce().empty());
  EXPECT_EQ(node_.Send(ConfirmReclaimed{"u1"}).outcome, Outcome::kRejected);
  node_.Send(PaymentPending{"u1", false});
  EXPECT_TRUE(node_.Announce().empty());
  node_.Send(ReleaseHold{"h1"});
  EXPECT_EQ(node_.Announce().size(), 1u);
  EXPECT_TRUE(node_.Announce().empty());
  EXPECT_EQ(node_.Send(ConfirmReclaimed{"u1"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimed);
}

TEST_F(LifecycleTest, AHoldPlacedAfterTheAnnouncementTakesItBackUntilItIsReleased) {
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-04-01T01:00:00+08:00");
  ASSERT_EQ(node_.Announce().size(), 1u);
  Subject account;
  account.account = "u1";
  node_.Send(PlaceHold{"h1", account});
  auto due = node_.Announce();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, AnnouncementKind::kReclaimCancelled);
  EXPECT_TRUE(node_.Announce().empty());
  node_.Send(ReleaseHold{"h1"});
  due = node_.Announce();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].kind, AnnouncementKind::kReclaimable);
}

TEST_F(LifecycleTest, ALongBackdatedFreezeIsNotAnnouncedBeforeADayAfterItArrived) {
  node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-01-15T10:00:00+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimable);
  node_.MoveTo("2026-03-02T09:59:59+08:00");
  EXPECT_TRUE(node_.Announce().empty());
  node_.MoveTo("2026-03-02T10:00:00+08:00");
  EXPECT_EQ(node_.Announce().size(), 1u);
}

TEST_F(LifecycleTest, AValueUncoveredByTheEndOfAnotherLengthensARunningClock) {
  SetParameter page{Level::kWebPage, "", "grace_days", "60", absl::nullopt, absl::nullopt};
  node_.Send(page);
  SetParameter contract{Level::kContract, "u1", "grace_days", "20", absl::nullopt, At("2026-03-10T00:00:00+08:00")};
  node_.Send(contract);
  node_.MoveTo("2026-03-02T10:00:00+08:00");
  node_.Send(Freeze{"u1"});
  EXPECT_EQ(Deadline(), At("2026-03-23T00:00:00+08:00"));  // 20 days, as read
  node_.MoveTo("2026-03-10T00:00:00+08:00");
  EXPECT_EQ(Deadline(), At("2026-05-02T00:00:00+08:00"));  // the contract ended: the page's 60 come into force
}

TEST_F(LifecycleTest, ABackdatedShorterContractDoesNotShortenARunningClock) {
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-03-10T10:00:00+08:00");
  SetParameter contract{Level::kContract, "u1", "grace_days", "10", At("2026-02-01T00:00:00+08:00"), absl::nullopt};
  EXPECT_EQ(node_.Send(contract).outcome, Outcome::kApplied);
  EXPECT_EQ(Deadline(), At("2026-04-01T00:00:00+08:00"));
}

TEST_F(LifecycleTest, WhatABreachHasClosedStaysClosedThoughAnotherClockEndsLater) {
  node_.Send(SetServiceEnd{"u1", At("2026-03-01T09:00:00+08:00")});
  node_.Send(SetParameter{Level::kContract, "", "retention_days", "1", absl::nullopt, absl::nullopt});
  node_.Send(Terminate{"u1", TerminationCause::kBreach});
  EXPECT_EQ(Answer(Operation::kDownload), Verdict::kDeny);
  node_.MoveTo("2026-03-10T10:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kRetention);
  EXPECT_EQ(Cause(), TerminationCause::kExpired);
  EXPECT_EQ(Answer(Operation::kDownload), Verdict::kDeny);
}

TEST_F(LifecycleTest, AFreezeThatLeavesDeletionOpenDoesNotOpenWhatATerminationHasClosed) {
  node_.Send(SetParameter{Level::kWebPage, "", "freeze.allow_delete", "on", absl::nullopt, absl::nullopt});
  node_.Send(Freeze{"u1"});
  EXPECT_EQ(Answer(Operation::kDelete), Verdict::kAllow);
  node_.Send(Terminate{"u1", TerminationCause::kSecurity});
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
  EXPECT_EQ(Answer(Operation::kDelete), Verdict::kDeny);
}

TEST_F(LifecycleTest, AnUnfreezeOfWhatIsNotFrozenIsAppliedThoughTheAccountIsReclaimable) {
  node_.Send(Terminate{"u1", TerminationCause::kViolation}, Role::kLegal, At("2026-01-01T10:00:00+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimable);
  EXPECT_EQ(node_.Send(Unfreeze{"u1"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimable);
}

TEST_F(LifecycleTest, TheOrderOfArrivalDoesNotMatterToBackdatedEvents) {
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T09:00:00+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  // The freeze was slower on its way than the unfreeze that ended it.
  node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-03-01T08:00:00+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-03-01T09:30:00+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
}

// The clock error is a second here: at half past the second it is not certain that the second has come.
TEST_F(LifecycleTest, WhatArrivesWhileAWrittenTimeIsInDoubtDoesNotEndTheDoubt) {
  node_.Send(Freeze{"u1"});
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00"));
  node_.MoveTo("2026-03-01T20:00:00.5+08:00");
  node_.Send(PaymentPending{"u1", true});
  EXPECT_EQ(Answer(Operation::kUpload), Verdict::kDeny);
  node_.now().clock_error = absl::nullopt;
  node_.Send(PaymentPending{"u1", false});
  EXPECT_EQ(Answer(Operation::kUpload), Verdict::kDeny);
  node_.now().clock_error = absl::Seconds(1);
  node_.MoveTo("2026-03-01T20:00:01+08:00");
  EXPECT_EQ(Answer(Operation::kUpload), Verdict::kAllow);
}

TEST_F(LifecycleTest, AFreezeInDoubtDoesNotOpenDeletionOfWhatIsReclaimableWithoutIt) {
  node_.Send(SetParameter{Level::kWebPage, "", "freeze.allow_delete", "on", absl::nullopt, absl::nullopt});
  node_.Send(Freeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00"));
  node_.MoveTo("2026-03-01T20:00:00.5+08:00");
  node_.Send(SetServiceEnd{"u1", At("2026-01-01T10:00:00+08:00")});
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
  EXPECT_EQ(Answer(Operation::kDelete), Verdict::kDeny);
  node_.MoveTo("2026-03-01T20:00:01+08:00");
  EXPECT_EQ(Answer(Operation::kDelete), Verdict::kAllow);
}

TEST_F(LifecycleTest, AnEndOfServiceThatIsOverWhenToldDoesNotEndTheDoubtOfAnUnfreeze) {
  node_.Send(Freeze{"u1"});
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00"));
  node_.now().clock_error = absl::nullopt;
  node_.MoveTo("2026-03-02T10:00:00+08:00");
  node_.Send(SetServiceEnd{"u1", At("2026-03-02T09:59:59+08:00")}, Role::kBilling, At("2026-03-02T09:59:58+08:00"));
  EXPECT_EQ(node_.State("u1"), AccountState::kRetention);
  EXPECT_EQ(Answer(Operation::kDownload), Verdict::kDeny);
}

TEST_F(LifecycleTest, AnEndOfServiceThatIsOverWhenToldIsInNoDoubtBesideAnotherTime) {
  node_.Send(OpenAccount{"u7"});
  node_.Send(GiveNotice{"u7", At("2026-05-01T00:00:00+08:00")}, Role::kLegal, At("2026-03-01T20:00:00+08:00"));
  node_.now().clock_error = absl::nullopt;
  node_.MoveTo("2026-03-02T10:00:00+08:00");
  node_.Send(SetServiceEnd{"u7", At("2026-03-02T10:00:00+08:00")}, Role::kBilling, At("2026-03-02T09:59:59+08:00"));
  EXPECT_EQ(node_.State("u7"), AccountState::kRetention);
  EXPECT_EQ(node_.Check(Ask(Operation::kDownload, "u7", "", "")).reason, Reason::kAgreementEnded);
}

TEST_F(LifecycleTest, AnUnfreezeThatArrivesEndsTheDoubtOfOneDatedAhead) {
  node_.Send(Freeze{"u1"});
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T20:00:00+08:00"));
  node_.MoveTo("2026-03-01T20:00:00.5+08:00");
  node_.Send(Unfreeze{"u1"});  // it is unfrozen already, if the clock is right
  EXPECT_EQ(Answer(Operation::kUpload), Verdict::kAllow);
}

// Random lives, by clocks that are right to the second, off by hours, or of which nothing is known.
TEST_F(LifecycleTest, WhatIsForgottenOfThePastChangesNoAnswer) {
  std::mt19937 random(3);
  const Parameters parameters(&node_.pack());
  for (int life = 0; life < 40; ++life) {
    std::vector<StampedEvent> facts;
    absl::Time now = At("2026-03-01T10:00:00+08:00");
    const auto tell = [&](Change change, absl::Duration ahead) {
      now += absl::Minutes(1);
      PolicyEvent event;
      event.effective_at = now + ahead;
      event.change = std::move(change);
      facts.push_back({std::move(event), static_cast<int64_t>(facts.size() + 1), now});
    };
    tell(Paid{"u1"}, absl::ZeroDuration());
    // Of some lives every event is dated ahead, so that none of them ends a doubt.
    const bool all_ahead = life % 4 == 0;
    for (int i = 0; i < 300; ++i) {
      const absl::Duration aheads[] = {absl::ZeroDuration(), absl::ZeroDuration(), -absl::Minutes(7), absl::Seconds(2),
                                       absl::Minutes(20)};
      const absl::Duration ahead = all_ahead ? absl::Seconds(2) : aheads[random() % 5];
      const Change changes[] = {Freeze{"u1"}, Unfreeze{"u1"}, PaymentPending{"u1", random() % 2 == 0}, Withhold{"u1"},
                                ClearWithhold{"u1"}};
      tell(changes[random() % 5], ahead);
    }
    const Timeline whole = BuildTimeline(facts, "u1", parameters, node_.pack());
    ASSERT_GT(whole.segments.size(), kPastSegmentsKept);
    Timeline kept = whole;
    ForgetPast(now, &kept);
    ASSERT_LT(kept.segments.size(), kPastSegmentsKept + 32);
    const auto answer = [](const Timeline& timeline, Operation operation, const Moment& at, bool delete_opened,
                           absl::optional<AccountState>* state) {
      const Segment* by = nullptr;
      const Permission permission = timeline.Permits(operation, at, delete_opened, &by);
      *state = by == nullptr ? absl::nullopt : absl::optional<AccountState>(by->state);
      return permission;
    };
    for (const absl::Duration later : {absl::ZeroDuration(), absl::Seconds(1), absl::Minutes(5), absl::Hours(800)}) {
      Moment at;
      at.wall = now + later;
      for (int operation = 1; operation < kOperationCount; ++operation) {
        const auto judged = static_cast<Operation>(operation);
        for (const absl::optional<absl::Duration> error :
             {absl::optional<absl::Duration>(absl::Seconds(1)), absl::optional<absl::Duration>(absl::Hours(3)),
              absl::optional<absl::Duration>()}) {
          at.clock_error = error;
          absl::optional<AccountState> was, is;
          const Permission before = answer(whole, judged, at, false, &was),
                           after = answer(kept, judged, at, false, &is);
          EXPECT_GE(after, before);
          EXPECT_GE(answer(kept, judged, at, true, &is), answer(whole, judged, at, true, &was));
          if (error == absl::Hours(3)) continue;  // some of what is forgotten was certain
          EXPECT_EQ(after, before) << life << " " << later;
          if (!all_ahead || error) {
            EXPECT_EQ(was, is) << life << " " << later;
          }
        }
      }
    }
  }
}

TEST_F(LifecycleTest, WhatChangesNothingIsKeptUpToABound) {
  const auto kept = [&] { return node_.Get({EntityKind::kAccount, "u1"})->events.size(); };
  const size_t before = kept();
  const absl::Time ahead = node_.now().wall + absl::Hours(23);
  node_.Send(Unfreeze{"u1"}, Role::kBilling, ahead);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(node_.Send(Unfreeze{"u1"}, Role::kBilling, node_.now().wall - absl::Seconds(i)).outcome,
              Outcome::kApplied);
    node_.Send(SetBalance{"u1", 10, 5});
  }
  EXPECT_EQ(kept(), before + 1 + 32);
  // The last by date are those that stay: a freeze between two of them lasts until the next.
  node_.Send(Freeze{"u1"}, Role::kBilling, node_.now().wall - absl::Milliseconds(20'500));
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
  node_.Send(Freeze{"u1"});
  node_.MoveTo(absl::FormatTime(ahead + absl::Seconds(1)));
  EXPECT_EQ(node_.State("u1"), AccountState::kActive) << "the unfreeze dated ahead was forgotten";
}

TEST_F(LifecycleTest, AnUnfreezeDatedAheadEndsAFreezeThatArrivesAfterIt) {
  node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-01T18:00:00+08:00"));
  EXPECT_EQ(node_.Send(Freeze{"u1"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kFrozen);
  node_.MoveTo("2026-03-01T18:00:01+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
}

TEST_F(LifecycleTest, WhatIsErasedThoughNoWindowEndedHasNoDeadline) {
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-04-02T10:00:00+08:00");
  EXPECT_FALSE(node_.Announce().empty());
  EXPECT_EQ(node_.Send(ConfirmReclaimed{"u1"}, Role::kStorage, At("2026-04-03T09:00:00+08:00")).outcome,
            Outcome::kApplied);
  // Billing had it unfrozen in time, and says so late.
  EXPECT_EQ(node_.Send(Unfreeze{"u1"}, Role::kBilling, At("2026-03-20T10:00:00+08:00")).outcome, Outcome::kApplied);
  node_.MoveTo("2026-04-03T10:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kReclaimed);
  EXPECT_FALSE(Deadline().has_value());
}

TEST_F(LifecycleTest, RetentionOfACumulativeFreezeIsLeftOnlyByReinstating) {
  node_.Send(SetParameter{Level::kWebPage, "", "retention.cumulative", "on", absl::nullopt, absl::nullopt});
  node_.Send(Freeze{"u1"});
  node_.MoveTo("2026-04-02T00:00:00+08:00");
  EXPECT_EQ(node_.State("u1"), AccountState::kRetention);
  EXPECT_EQ(Cause(), TerminationCause::kArrears);
  EXPECT_EQ(node_.Send(Unfreeze{"u1"}).outcome, Outcome::kRejected);
  EXPECT_EQ(node_.Send(Reinstate{"u1"}).outcome, Outcome::kApplied);
  EXPECT_EQ(node_.State("u1"), AccountState::kActive);
}

}  // namespace
}  // namespace sluice
