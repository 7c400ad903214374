// The names under which `roles` lists the changes.
#include <gtest/gtest.h>

#include "enforcement/event.h"

namespace sluice {
namespace {

TEST(ChangeNameTest, NamesEachChangeOnceAndBack) {
  EXPECT_EQ(ChangeName(0), "");
  EXPECT_EQ(ChangeName(kChangeCount), "");
  EXPECT_EQ(ChangeName(Change(Freeze{}).index()), "freeze");
  EXPECT_EQ(ChangeName(Change(BindBucket{}).index()), "bind_bucket");
  EXPECT_EQ(ChangeName(Change(RaiseFlag{}).index()), "raise_flag");
  EXPECT_EQ(ChangeName(Change(SetLimit{}).index()), "set_limit");
  EXPECT_EQ(ChangeName(Change(AnnounceTerms{}).index()), "announce_terms");
  for (size_t i = 1; i < kChangeCount; ++i) {
    EXPECT_EQ(ParseChangeName(ChangeName(i)), absl::optional<size_t>(i));
  }
  EXPECT_EQ(ParseChangeName(""), absl::nullopt);
  EXPECT_EQ(ParseChangeName("Freeze"), absl::nullopt);
}

TEST(ChangeNameTest, OnlyTheLifecycleSetsTheStandingOfAnAccount) {
  EXPECT_EQ(LifecycleAccount(Change(OpenAccount{"u1"})), "u1");
  EXPECT_EQ(LifecycleAccount(Change(Terminate{"u1", TerminationCause::kMutual})), "u1");
  EXPECT_EQ(LifecycleAccount(Change(ConfirmReclaimed{"u1"})), "u1");
  EXPECT_EQ(LifecycleAccount(Change(BindBucket{"b1", "u1", "cn"})), "");
  EXPECT_EQ(LifecycleAccount(Change(SetParameter{Level::kContract, "u1", "grace_days", "60", {}, {}})), "");
  EXPECT_EQ(LifecycleAccount(Change()), "");
}

}  // namespace
}  // namespace sluice
