#include "decision_log/legal_hold.h"

#include "decision_log/record.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(LegalHoldTest, KnowsNothingWithoutAPolicy) {
  Node node;
  EXPECT_EQ(HeldTerms(*node.index().Read(), node.now()), absl::nullopt);
  node.StandardFixture();
  EXPECT_NE(HeldTerms(*node.index().Read(), node.now()), absl::nullopt);
}

TEST(LegalHoldTest, NamesWhatHoldsAndCriticalFlagsKeepAndWhoOwnsIt) {
  Node node;
  node.StandardFixture();
  const auto held = [&] { return HeldTerms(*node.index().Read(), node.now()).value(); };
  EXPECT_THAT(held(), IsEmpty());

  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.bucket = "b1";
  hold.subject.key = "k1";
  node.Send(hold);
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kBucket, "b1")));
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kAccount, "u1")));
  EXPECT_THAT(held(), Not(Contains(TermHash(LogTerm::kAccount, "u2"))));

  RaiseFlag flag;
  flag.flag_id = "f1";
  flag.subject.bucket = "b9";
  flag.subject.key = "k9";
  flag.category = "3.1.3.5.4";
  flag.severity = Severity::kCritical;
  EXPECT_EQ(node.Send(flag, Role::kModeration).outcome, Outcome::kApplied);
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kAccount, "u2")));

  node.Send(ReleaseHold{"h1"});
  EXPECT_THAT(held(), Not(Contains(TermHash(LogTerm::kBucket, "b1"))));
}

}  // namespace
}  // namespace sluice
