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
    const absl::Status status = CountRules(*node->store, now, &census);
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

}  // namespace
}  // namespace sluice
