#include "enforcement/limiter.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int64_t kSecond = 1000000000;

Hash128 Key(int n) { return SubjectHash(SubjectKind::kAccount, absl::StrCat(n)); }
MonotonicTime Ns(int64_t ns) { return MonotonicTime{kSecond + ns}; }

TEST(TokenBucket, GrantsItsBurstToTheTokenAtOddRates) {
  for (const double rate : {1.0, 3.0, 7.0, 999.0, 30000.0, 31001.0}) {
    Limiter limiter({64});
    const TokenBucket bucket(rate, rate);
    int granted = 0;
    for (int i = 0; i < static_cast<int>(rate) + 5; ++i) granted += limiter.Take(Key(1), bucket, 1, Ns(0)) == 0;
    EXPECT_EQ(granted, static_cast<int>(rate));
  }
}

TEST(Limiter, TellsExactlyHowLongToWait) {
  Limiter limiter({64});
  const TokenBucket bucket(10, 10);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(limiter.Take(Key(1), bucket, 1, Ns(0)), 0);
  const int64_t wait = limiter.Take(Key(1), bucket, 1, Ns(0));
  EXPECT_EQ(wait, kSecond / 10);
  EXPECT_GT(limiter.Take(Key(1), bucket, 1, Ns(wait - 1)), 0);
  EXPECT_EQ(limiter.Take(Key(1), bucket, 1, Ns(wait)), 0);
}

TEST(Limiter, TakesNothingWhenItRefuses) {
  Limiter limiter({64});
  const TokenBucket bucket(10, 10);
  ASSERT_EQ(limiter.Take(Key(1), bucket, 8, Ns(0)), 0);
  EXPECT_GT(limiter.Take(Key(1), bucket, 3, Ns(0)), 0);
  EXPECT_EQ(limiter.Take(Key(1), bucket, 2, Ns(0)), 0);
  EXPECT_EQ(limiter.Take(Key(1), bucket, 11, Ns(100 * kSecond)), std::numeric_limits<int64_t>::max());
}

TEST(Limiter, GivesBackWhatAnotherLimitRefused) {
  Limiter limiter({64});
  const TokenBucket bucket(10, 10);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(limiter.Take(Key(1), bucket, 5, Ns(0)), 0);
    limiter.GiveBack(Key(1), bucket, 5, Ns(0));
  }
  EXPECT_EQ(limiter.Wait(Key(1), bucket, 10, Ns(0)), 0);
}

TEST(Limiter, ChargesIntoADebtOfTwoBurstsAtMost) {
  Limiter limiter({64});
  const TokenBucket bucket(1000, 1000);
  limiter.Charge(Key(1), bucket, 1e9, Ns(0));
  // Three bursts to work off until the bucket is full; two until something is left.
  EXPECT_NEAR(static_cast<double>(limiter.WaitForAny(Key(1), bucket, Ns(0))), 2e9, 1e6);
  EXPECT_GT(limiter.WaitForAny(Key(1), bucket, Ns(2 * kSecond - 1000000)), 0);
  EXPECT_EQ(limiter.WaitForAny(Key(1), bucket, Ns(2 * kSecond + 1000000)), 0);
}

// The model counts tokens the plain way, one double a key.
TEST(Limiter, AgreesWithASlowModelOverRandomOperations) {
  std::mt19937_64 random(20261124);
  for (int round = 0; round < 50; ++round) {
    const double rate = 1 + static_cast<double>(random() % 1000);
    const double burst = 1 + static_cast<double>(random() % 500);
    Limiter limiter({1024});
    const TokenBucket bucket(rate, burst);
    struct Model {
      double tokens;
      int64_t at;
    };
    std::map<int, Model> model;
    int64_t now = 0;
    for (int step = 0; step < 2000; ++step) {
      now += static_cast<int64_t>(random() % 20000000);
      const int key = static_cast<int>(random() % 5);
      const double cost = static_cast<double>(1 + random() % 3);
      auto [it, fresh] = model.try_emplace(key, Model{burst, now});
      Model& cell = it->second;
      cell.tokens = std::min(burst, cell.tokens + rate * static_cast<double>(now - cell.at) / 1e9);
      cell.at = now;
      // Within rounding of the boundary either answer is right.
      if (std::abs(cell.tokens - cost) < 1e-3) continue;
      const bool granted = limiter.Take(Key(key), bucket, cost, Ns(now)) == 0;
      ASSERT_EQ(granted, cell.tokens > cost) << "round " << round << " step " << step << " rate " << rate;
      if (granted) cell.tokens -= cost;
    }
  }
}

TEST(Limiter, GrantsNoMoreThanItsBurstToManyThreads) {
  for (int round = 0; round < 20; ++round) {
    Limiter limiter({64});
    const TokenBucket bucket(1000, 1000);
    std::atomic<int> granted{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        while (!go.load()) std::this_thread::yield();
        for (int i = 0; i < 1000; ++i) granted += limiter.Take(Key(round), bucket, 1, Ns(0)) == 0;
      });
    }
    go = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(granted.load(), 1000);
  }
}

TEST(Limiter, ReusesCellsWhoseTimeHasPassed) {
  Limiter limiter({64});
  const TokenBucket bucket(1, 1);
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(limiter.Take(Key(i), bucket, 1, Ns(i * 2 * kSecond)), 0);
  EXPECT_EQ(limiter.evicted_live(), 0);
}

TEST(Limiter, CountsLiveCellsThatItHadToForget) {
  Limiter limiter({64});
  const TokenBucket bucket(1, 1);
  for (int i = 0; i < 1000; ++i) limiter.Take(Key(i), bucket, 1, Ns(0));
  EXPECT_GE(limiter.evicted_live(), 1000 - 64);
  EXPECT_EQ(limiter.cells(), 64u);
}

TEST(Leases, HoldNoMoreThanTheirCapAndComeBack) {
  Limiter limiter({64});
  const Limiter::Cap cap{Key(1), 2};
  size_t refused = 9;
  std::string a, b, c;
  ASSERT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(0), &a, &refused));
  ASSERT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(0), &b, &refused));
  EXPECT_FALSE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(0), &c, &refused));
  EXPECT_EQ(refused, 0u);
  EXPECT_NE(a, b);
  EXPECT_TRUE(limiter.EndLease(a, Ns(1)));
  EXPECT_FALSE(limiter.EndLease(a, Ns(1)));
  EXPECT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(1), &c, &refused));
}

TEST(Leases, RunOutAndAreRenewed) {
  Limiter limiter({64});
  const Limiter::Cap cap{Key(1), 1};
  size_t refused = 0;
  std::string a;
  ASSERT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(0), &a, &refused));
  ASSERT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(200 * kSecond), &a, &refused));
  EXPECT_EQ(limiter.LeasesHeld(Key(1), Ns(499 * kSecond)), 1);
  EXPECT_EQ(limiter.LeasesHeld(Key(1), Ns(500 * kSecond)), 0);
  const std::string old = a;
  ASSERT_TRUE(limiter.TakeLease({&cap, 1}, absl::Seconds(300), Ns(500 * kSecond), &a, &refused));
  EXPECT_NE(a, old);
}

TEST(Traffic, StartsAnewWithEachDayAndRemembersYesterday) {
  Limiter limiter({64});
  const absl::CivilDay day(2026, 3, 1);
  limiter.AddTraffic(Key(1), day, 5);
  limiter.AddTraffic(Key(1), day, 6);
  EXPECT_EQ(limiter.Traffic(Key(1), day), 11);
  limiter.AddTraffic(Key(1), day + 1, 1);
  EXPECT_EQ(limiter.Traffic(Key(1), day + 1), 1);
  EXPECT_EQ(limiter.Traffic(Key(1), day), 11);
  EXPECT_EQ(limiter.Traffic(Key(1), day + 2), 0);
}

}  // namespace
}  // namespace sluice
