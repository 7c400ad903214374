#include "enforcement/reducer.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class ReducerTest : public ::testing::Test {
 protected:
  ReducerTest() {
    node_.StandardFixture();
    object_.bucket = "b1";
    object_.key = "k1";
  }
  RaiseFlag Flag(const char* id, const char* category = "3.1.3.5.3") {
    RaiseFlag flag;
    flag.flag_id = id;
    flag.subject = object_;
    flag.category = category;
    return flag;
  }
  void ExpectRejected(const Reduction& reduction, const char* piece) {
    EXPECT_EQ(reduction.outcome, Outcome::kRejected);
    EXPECT_THAT(reduction.error, HasSubstr(piece));
    EXPECT_TRUE(reduction.upserts.empty());
    ASSERT_EQ(reduction.announcements.size(), 1u);
    EXPECT_EQ(reduction.announcements[0].kind, AnnouncementKind::kEventRejected);
  }

  Node node_;
  Subject object_;
};

TEST_F(ReducerTest, NamesTheRolesThatMaySendWhatTheWrongOneSent) {
  ExpectRejected(node_.Send(Freeze{"u1"}, Role::kModeration), "want role BILLING, got MODERATION");
  ExpectRejected(node_.Send(Terminate{"u1", TerminationCause::kArrears}, Role::kLegal), "nobody");
  ExpectRejected(node_.Send(Flag("f1", "3.1.3.7"), Role::kModeration), "got MODERATION");
  EXPECT_EQ(node_.Send(Flag("f1", "3.1.3.7"), Role::kSecurity).outcome, Outcome::kApplied);
}

TEST_F(ReducerTest, OnlyTheRoleThatSetAThingOrLegalTouchesIt) {
  ASSERT_EQ(node_.Send(Flag("f1"), Role::kModeration).outcome, Outcome::kApplied);
  ExpectRejected(node_.Send(ClearFlag{"f1"}, Role::kSecurity), "was set by MODERATION");
  ExpectRejected(node_.Send(GrantException{"f1", object_}, Role::kSecurity), "was set by MODERATION");
  EXPECT_EQ(node_.Send(ClearFlag{"f1"}, Role::kLegal).outcome, Outcome::kApplied);
  ExpectRejected(node_.Send(ClearFlag{"f1"}, Role::kLegal), "no flag \"f1\"");
}

TEST_F(ReducerTest, SaysWhatIsWrongWithTheForm) {
  ExpectRejected(node_.Send(Freeze{""}), "account: want a name");
  ExpectRejected(node_.Send(Freeze{std::string(257, 'u')}), "at most 256 bytes, got 257");
  ExpectRejected(node_.Send(Flag("")), "flag_id");
  ExpectRejected(node_.Send(Flag("f1", "3.9.9"), Role::kLegal), "category");
  ExpectRejected(node_.Send(SetParameter{Level::kContract, "", "grace_dayz", "30", {}, {}}), "grace_dayz");
  ExpectRejected(node_.Send(SetParameter{Level::kContract, "", "grace_days", "3.5", {}, {}}), "whole number");
  ExpectRejected(node_.Send(SetParameter{Level::kUnspecified, "", "grace_days", "30", {}, {}}), "level");
  ExpectRejected(node_.Send(SetPermit{"example.cn", "icp-filing", PermitStatus::kValid, "2026-02-30"}),
                 "valid_through");
  ExpectRejected(node_.Send(GiveNotice{"u1", absl::nullopt}), "termination");
  SetLimit limit{"l1", Level::kWebPage, LimitScope::kBucket, object_, Dimension::kRequests, {}, 10};
  ExpectRejected(node_.Send(limit), "want a bucket for a limit of scope BUCKET");
  limit.subject = {};
  limit.rate = -1;
  ExpectRejected(node_.Send(limit), "rate");
  PolicyEvent nothing;
  nothing.role = Role::kLegal;
  ExpectRejected(node_.SendEvent(nothing), "want one, got none");
}

TEST_F(ReducerTest, ADuplicateIsSeenBeforeItIsStaleOrRejected) {
  PolicyEvent event;
  event.role = Role::kBilling;
  event.source = "billing";
  event.event_id = "e1";
  event.sequence = 5;
  event.change = Freeze{"u1"};
  EXPECT_EQ(node_.SendEvent(event).outcome, Outcome::kApplied);
  event.sequence = 4;
  EXPECT_EQ(node_.SendEvent(event).outcome, Outcome::kDuplicate);
  event.event_id = "e2";
  event.role = Role::kModeration;
  EXPECT_EQ(node_.SendEvent(event).outcome, Outcome::kStale);
  event.sequence = 6;
  EXPECT_EQ(node_.SendEvent(event).outcome, Outcome::kRejected);
}

TEST_F(ReducerTest, KeepsTheEventsThatRebuildAnEntityAndNoMore) {
  node_.Send(Flag("f1"), Role::kModeration);
  node_.Send(GrantException{"f1", object_}, Role::kModeration);
  for (int i = 0; i < 5; ++i) node_.Send(Flag("f1"), Role::kModeration);
  EXPECT_EQ(node_.Get({EntityKind::kFlag, "f1"})->events.size(), 2u);
  node_.Send(ClearFlag{"f1"}, Role::kModeration);
  EXPECT_FALSE(node_.Get({EntityKind::kFlag, "f1"}).has_value());
  for (int i = 0; i < 5; ++i) node_.Send(BindBucket{"b1", "u2", "cn"});
  EXPECT_EQ(node_.Get({EntityKind::kBucket, "b1"})->events.size(), 1u);
  for (int i = 0; i < 100; ++i) node_.Send(SetBalance{"u1", 5, 1});
  EXPECT_EQ(node_.Get({EntityKind::kAccount, "u1"})->events.size(), 2u);
}

TEST_F(ReducerTest, AFlagThatIsReplacedAheadOfTimeHoldsUntilThen) {
  node_.Send(Flag("f1"), Role::kModeration);
  RaiseFlag review = Flag("f1");
  review.severity = Severity::kReview;
  node_.Send(review, Role::kModeration, node_.now().wall + absl::Hours(1));
  EXPECT_EQ(node_.Check(Ask(Operation::kPublicRead, "", "b1", "k1")).reason, Reason::kContentProhibited);
  node_.MoveTo(node_.now().wall + absl::Hours(2));
  EXPECT_EQ(node_.Check(Ask(Operation::kPublicRead, "", "b1", "k1")).reason, Reason::kContentUnderReview);
}

TEST_F(ReducerTest, ATestDomainBoundAgainKeepsItsFirstDay) {
  const auto bind = [&] { node_.Send(BindDomain{"t1.example.cn", "u1", "b1", Geo::kForeign, true}); };
  bind();
  node_.MoveTo("2026-01-20T00:00:00+08:00");
  bind();
  node_.MoveTo("2026-01-25T00:00:00+08:00");
  bind();
  CheckInput input;
  input.operation = Operation::kPublicRead;
  input.host = "t1.example.cn";
  input.path = "/k";
  node_.MoveTo("2026-01-31T23:59:59+08:00");
  EXPECT_EQ(node_.Check(input).verdict, Verdict::kAllow);
  node_.MoveTo("2026-02-01T00:00:00+08:00");
  EXPECT_EQ(node_.Check(input).reason, Reason::kPermitInvalid);
  EXPECT_LE(node_.Get({EntityKind::kDomain, "t1.example.cn"})->events.size(), 2u);
}

TEST_F(ReducerTest, DeletionOfEvidenceIsRejected) {
  node_.Send(PlaceHold{"h1", object_}, Role::kLegal);
  ExpectRejected(node_.Send(OrderDeletion{object_}, Role::kModeration), "hold h1");
  Subject bucket;
  bucket.bucket = "b1";
  ExpectRejected(node_.Send(OrderDeletion{bucket}, Role::kModeration), "hold h1");
  Subject account;
  account.account = "u1";
  ExpectRejected(node_.Send(OrderDeletion{account}, Role::kModeration), "hold h1");
  Subject other = object_;
  other.key = "k2";
  EXPECT_EQ(node_.Send(OrderDeletion{other}, Role::kModeration).outcome, Outcome::kApplied);
}

}  // namespace
}  // namespace sluice
