#include "enforcement/census.h"

#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

int64_t Of(const std::array<int64_t, kAccountStateCount>& counts, AccountState state) {
  return counts[static_cast<size_t>(state)];
}

TEST(CensusTest, CountsAccountsByStateAndDeadlinesThatAreNear) {
  Node node;
  node.StandardFixture();
  node.Send(Freeze{"u2"});
  Census census;
  CountAccounts(*node.index().Read(), node.now(), &census);
  EXPECT_EQ(Of(census.accounts, AccountState::kActive), 1);
  EXPECT_EQ(Of(census.accounts, AccountState::kFrozen), 1);
  EXPECT_EQ(Of(census.deadlines_soon, AccountState::kFrozen), 0);  // thirty days (7.2.2)
  EXPECT_EQ(census.at, node.now().wall);

  node.MoveTo(node.now().wall + absl::Hours(24 * 25));
  CountAccounts(*node.index().Read(), node.now(), &census);
  EXPECT_EQ(Of(census.accounts, AccountState::kFrozen), 1);
  EXPECT_EQ(Of(census.deadlines_soon, AccountState::kFrozen), 1);

  node.MoveTo(node.now().wall + absl::Hours(24 * 10));
  CountAccounts(*node.index().Read(), node.now(), &census);
  EXPECT_EQ(Of(census.accounts, AccountState::kFrozen), 0);
  EXPECT_EQ(Of(census.accounts, AccountState::kActive), 1);
  EXPECT_EQ(Of(census.deadlines_soon, AccountState::kFrozen), 0);
}

}  // namespace
}  // namespace sluice
