#include "server/admin/pace_guard.h"

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(PaceGuardTest, CutsAWaitThatOutlastsTheCredit) {
  absl::Notification cut;
  PaceGuard guard({.credit = std::chrono::milliseconds(1)}, [&cut] { cut.Notify(); });
  guard.BeginWait();
  cut.WaitForNotification();
  EXPECT_FALSE(guard.EndWait(1 << 30)) << "what comes after that is too late";
  EXPECT_TRUE(guard.behind());
}

TEST(PaceGuardTest, WhatPassesBuysTime) {
  absl::Notification cut;
  PaceGuard guard({.credit = std::chrono::hours(1), .bytes_per_second_min = 1}, [&cut] { cut.Notify(); });
  for (int i = 0; i < 1000; ++i) {
    guard.BeginWait();
    EXPECT_TRUE(guard.EndWait(1));
  }
  EXPECT_FALSE(guard.behind());
  EXPECT_FALSE(cut.HasBeenNotified());
}

TEST(PaceGuardTest, TheNodesOwnTimeIsNotCounted) {
  bool cut = false;
  {
    PaceGuard guard({.credit = std::chrono::milliseconds(0)}, [&cut] { cut = true; });
    EXPECT_FALSE(guard.behind()) << "it waits for nobody yet";
  }
  EXPECT_FALSE(cut);
}

}  // namespace
}  // namespace sluice
