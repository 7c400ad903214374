#include "store/rule_census.h"

#include "tests/store/helpers.h"

namespace sluice {
namespace {

TEST(RuleCensusTest, CountsRulesByKindAndReviewsThatAreDue) {
  const auto node = Node::Open({.path = FreshFolder(), .map_bytes = size_t{16} << 20, .sync = false});
  ASSERT_NE(node, nullptr);
  const auto apply = [&](PolicyEvent event) { EXPECT_EQ(node->Apply(std::move(event)).outcome, Outcome::kApplied); };
  apply(Event(OpenAccount{"u1"}));
  apply(Event(Paid{"u1"}));
  for (const char* id : {"f1", "f2", "f3"}) apply(Flag(id));
  IssueOrder order;
  order.order_id = "o1";
  order.subjects = {OfAccount("u1")};
  apply(Event(order, Role::kLegal));
  apply(Event(PlaceHold{"h1", OfAccount("u1")}, Role::kLegal));
  for (const auto& [id, days] : {std::pair<const char*, int>{"due", 1}, {"later", 30}, {"never", 0}}) {
    Restrict restriction;
    restriction.restriction_id = id;
    restriction.subject = OfAccount("u1");
    restriction.kind = RestrictionKind::kWarn;
    restriction.clause = "3.1.3.10";
    if (days > 0) restriction.review_by = kMorning + days * absl::Hours(24);
    apply(Event(restriction, Role::kSecurity));
  }
  Census census;
  const auto count = [&](absl::Time now) {
    const absl::Status status = CountRules(*node->store, At(now), &census);
    EXPECT_TRUE(status.ok()) << status;
  };
  count(kMorning);
  EXPECT_EQ(census.flags, 3);
  EXPECT_EQ(census.orders, 1);
  EXPECT_EQ(census.holds, 1);
  EXPECT_EQ(census.restrictions, 3);
  EXPECT_EQ(census.limits, 0);
  EXPECT_EQ(census.reviews_overdue, 0);
  count(kMorning + absl::Hours(24));
  EXPECT_EQ(census.reviews_overdue, 1);
  EXPECT_EQ(node->Apply(Event(ClearFlag{"f2"}, Role::kModeration)).outcome, Outcome::kApplied);
  count(kMorning + absl::Hours(24 * 31));
  EXPECT_EQ(census.flags, 2);
  EXPECT_EQ(census.reviews_overdue, 2);
}

TEST(RuleCensusTest, WhatWasReplacedOrHasEndedCountsNoMore) {
  const auto node = Node::Open({.path = FreshFolder(), .map_bytes = size_t{16} << 20, .sync = false});
  ASSERT_NE(node, nullptr);
  constexpr absl::Duration kDay = absl::Hours(24);
  const auto apply = [&](PolicyEvent event, absl::Time now) {
    EXPECT_EQ(node->Apply(std::move(event), now).outcome, Outcome::kApplied);
  };
  apply(Event(OpenAccount{"u1"}), kMorning);
  Restrict restriction;
  restriction.subject = OfAccount("u1");
  restriction.kind = RestrictionKind::kWarn;
  restriction.clause = "3.1.3.10";
  restriction.review_by = kMorning + kDay;
  restriction.restriction_id = "reviewed";
  apply(Event(restriction, Role::kSecurity), kMorning);
  restriction.restriction_id = "short";
  restriction.expires_at = kMorning + 2 * kDay;
  apply(Event(restriction, Role::kSecurity), kMorning);
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject = OfAccount("u1");
  limit.dimension = Dimension::kRequests;
  limit.rate = 10;
  limit.to = kMorning + 2 * kDay;
  apply(Event(limit), kMorning);
  PolicyEvent order = Event(IssueOrder{.order_id = "o1", .subjects = {OfAccount("u1")}}, Role::kLegal);
  order.effective_at = kMorning + kDay / 2;
  apply(order, kMorning);
  PolicyEvent lift = Event(LiftOrder{"o1"}, Role::kLegal);
  lift.effective_at = kMorning + kDay;
  apply(lift, kMorning);

  Census census;
  const auto count = [&](absl::Time now) {
    const absl::Status status = CountRules(*node->store, At(now), &census);
    EXPECT_TRUE(status.ok()) << status;
  };
  count(kMorning);
  EXPECT_EQ(census.orders, 1) << "dated ahead";
  EXPECT_EQ(census.reviews_overdue, 0);
  count(kMorning + kDay);
  EXPECT_EQ(census.restrictions, 2);
  EXPECT_EQ(census.limits, 1);
  EXPECT_EQ(census.orders, 1) << "to be lifted, and not yet for certain";
  EXPECT_EQ(census.reviews_overdue, 2);

  restriction.restriction_id = "reviewed";
  restriction.expires_at.reset();
  restriction.review_by = kMorning + 30 * kDay;
  apply(Event(restriction, Role::kSecurity), kMorning + kDay);
  count(kMorning + kDay + absl::Minutes(1));
  EXPECT_EQ(census.orders, 0);
  EXPECT_EQ(census.reviews_overdue, 1) << "the other was reviewed";

  count(kMorning + 2 * kDay + absl::Minutes(1));
  EXPECT_EQ(census.restrictions, 1);
  EXPECT_EQ(census.limits, 0);
  EXPECT_EQ(census.reviews_overdue, 0);

  count(kMorning + 30 * kDay);
  EXPECT_EQ(census.reviews_overdue, 1);
}

}  // namespace
}  // namespace sluice
