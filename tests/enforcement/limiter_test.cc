#include "enforcement/limiter.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
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

// The model is a meter that drains: what is spent, in ticks, less what time has refilled. Every operation, the clock
// among them, and every wait to the nanosecond.
TEST(Limiter, AgreesToTheTickWithAMeterOverRandomOperations) {
  std::mt19937_64 random(20261126);
  for (int round = 0; round < 200; ++round) {
    Limiter limiter({1024});
    struct Meter {
      TokenBucket bucket;
      int64_t spent = 0;
    };
    std::vector<Meter> meters;
    for (int key = 0; key < 6; ++key) {
      const double rate = std::pow(10, static_cast<double>(random() % 80) / 10);  // up to 100 million a second
      meters.push_back({TokenBucket(rate, 1 + static_cast<double>(random() % 2000)), 0});
    }
    int64_t now = 0;
    for (int step = 0; step < 1000; ++step) {
      const int key = static_cast<int>(random() % meters.size());
      Meter& meter = meters[static_cast<size_t>(key)];
      const int64_t capacity = meter.bucket.capacity_ticks();
      const double cost = random() % 3 == 0 ? static_cast<double>(1 + random() % 50) : 1;
      const int64_t ticks = meter.bucket.TicksOf(cost);
      const auto wait_for = [&](int64_t over) { return over <= 0 ? 0 : (over + 15) / 16; };
      const int64_t wait =
          ticks > capacity ? std::numeric_limits<int64_t>::max() : wait_for(meter.spent + ticks - capacity);
      switch (random() % 8) {
        case 0: {
          const auto by = static_cast<int64_t>(std::pow(10, static_cast<double>(random() % 100) / 10));
          now += by;
          for (Meter& each : meters) each.spent = std::max<int64_t>(each.spent - by * 16, 0);
          break;
        }
        case 1:
          ASSERT_EQ(limiter.Wait(Key(key), meter.bucket, cost, Ns(now)), wait);
          break;
        case 2: {
          // The look and the taking of one check.
          Limiter::Spot spot;
          ASSERT_EQ(limiter.Wait(Key(key), meter.bucket, cost, Ns(now), &spot), wait);
          ASSERT_EQ(limiter.Take(Key(key), meter.bucket, cost, Ns(now), spot), wait);
          if (wait == 0) meter.spent += ticks;
          break;
        }
        case 3:
          limiter.Charge(Key(key), meter.bucket, cost, Ns(now));
          meter.spent = std::max(meter.spent, std::min(meter.spent + ticks, 3 * capacity));
          break;
        case 4:
          ASSERT_EQ(limiter.WaitForAny(Key(key), meter.bucket, Ns(now)),
                    meter.spent < capacity ? 0 : (meter.spent - capacity + 1 + 15) / 16);
          break;
        case 5:
          if (wait > 0 || meter.spent > 0) break;  // given back is what was taken a moment ago
          ASSERT_EQ(limiter.Take(Key(key), meter.bucket, cost, Ns(now)), 0);
          limiter.GiveBack(Key(key), meter.bucket, cost, Ns(now));
          break;
        default:
          ASSERT_EQ(limiter.Take(Key(key), meter.bucket, cost, Ns(now)), wait) << "round " << round << " step " << step;
          if (wait == 0) meter.spent += ticks;
          break;
      }
    }
    EXPECT_EQ(limiter.evicted_live(), 0);
  }
}

// Threads draw their times from one clock that moves while they ask: in all, no more than burst + rate x time.
TEST(Limiter, GrantsThreadsNoMoreThanBurstAndRateInAnyWindow) {
  for (int round = 0; round < 10; ++round) {
    Limiter limiter({64});
    const TokenBucket bucket(1'000'000, 100);  // a token a microsecond
    std::atomic<int64_t> clock{0};
    std::atomic<bool> go{false};
    constexpr int kThreads = 3;
    std::array<std::vector<int64_t>, kThreads> granted;
    std::vector<std::thread> threads;
    for (auto& mine : granted) {
      threads.emplace_back([&] {
        while (!go.load()) std::this_thread::yield();
        for (int i = 0; i < 5000; ++i) {
          const int64_t now = clock.fetch_add(137);
          if (limiter.Take(Key(round), bucket, 1, Ns(now)) == 0) mine.push_back(now);
        }
      });
    }
    go = true;
    for (std::thread& thread : threads) thread.join();
    std::vector<int64_t> all;
    for (const auto& mine : granted) all.insert(all.end(), mine.begin(), mine.end());
    std::sort(all.begin(), all.end());
    // From each grant on: the n-th after it comes no sooner than n - burst tokens take to refill.
    for (size_t from = 0; from < all.size(); from += 97) {
      for (size_t to = from; to < all.size(); ++to) {
        const auto count = static_cast<int64_t>(to - from + 1);
        ASSERT_LE(count, 100 + (all[to] - all[from]) / 1000 + 1) << from << " to " << to;
      }
    }
    // And to the token over the whole run, which began with a full bucket.
    ASSERT_LE(static_cast<int64_t>(all.size()), 100 + clock.load() / 1000);
    ASSERT_GE(static_cast<int64_t>(all.size()), 100 + clock.load() / 1000 - 2);
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

TEST(Limiter, SaysHowManyCellsOfEachTableAreInUse) {
  for (const size_t cells : {size_t{1} << 12, size_t{1} << 21}) {
    Limiter limiter({cells});
    const TokenBucket bucket(1, 10);
    const auto keys = static_cast<int>(std::min<size_t>(cells / 8, 40000));  // a quarter of a table, or less
    for (int i = 0; i < keys; ++i) {
      ASSERT_EQ(limiter.Take(Limiter::Known(Key(i)), bucket, 1, Ns(0)), 0);
      if (i % 2 != 0) continue;
      ASSERT_EQ(limiter.Take(Limiter::Anyones(Key(i)), bucket, 5, Ns(0)), 0);
    }
    // Of the small table all are counted, of the large one every other line. Keys lie elsewhere in each process, and a
    // line that is full forgets one.
    const double off = cells > 4096 ? 0.03 : static_cast<double>(limiter.evicted_live()) / keys;
    EXPECT_LE(limiter.evicted_live(), keys / 50);
    EXPECT_NEAR(limiter.LiveCells(Limiter::Table::kKnown, Ns(kSecond / 2)), keys, keys * off);
    EXPECT_NEAR(limiter.LiveCells(Limiter::Table::kAnyones, Ns(kSecond / 2)), keys / 2, keys * off);
    EXPECT_EQ(limiter.LiveCells(Limiter::Table::kKnown, Ns(2 * kSecond)), 0u);
    EXPECT_NEAR(limiter.LiveCells(Limiter::Table::kAnyones, Ns(2 * kSecond)), keys / 2, keys * off);
  }
}

// Ten million keys that nobody knows, on a table of a few thousand cells.
TEST(LimiterUnderAttack, KeepsWhatIsKnownAndWhatIsSpent) {
  Limiter limiter({4096});
  const TokenBucket slow(0.1, 10);  // live for ten seconds and more
  const TokenBucket fast(1000, 1000);
  // A customer's limit, used up; a quiet customer; and an address that is used up too.
  const Hash128 busy = Limiter::Known(Key(1)), quiet = Limiter::Known(Key(2)), attacker = Limiter::Anyones(Key(3));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(limiter.Take(busy, fast, 1, Ns(0)), 0);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(limiter.Take(attacker, slow, 1, Ns(0)), 0);
  int64_t throttled = 0;
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000'000; ++i) {
    throttled += limiter.Take(Limiter::Anyones({random(), random()}), slow, 1, Ns(0)) != 0;
  }
  EXPECT_EQ(throttled, 0);  // a stranger's first request is never refused for another stranger's
  EXPECT_GT(limiter.Take(busy, fast, 1, Ns(0)), 0);
  EXPECT_GT(limiter.Take(attacker, slow, 1, Ns(0)), 0);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(limiter.Take(quiet, fast, 1, Ns(0)), 0);
  EXPECT_EQ(limiter.cells(), 4096u);
  EXPECT_GE(limiter.evicted_live(), 10'000'000 - 4096);  // not in silence
  EXPECT_EQ(limiter.evicted_spent(), 0);                 // of each of them a tenth was spent at most
}

TEST(LimiterUnderAttack, ForgetsTheBucketWithTheSmallestShareSpentWhateverItsSize) {
  // Eight cells that any key may use.
  Limiter limiter({16});
  const TokenBucket slow(0.001, 1000);  // a token lasts 1,000 s
  const TokenBucket fast(1000, 100);
  const Hash128 used_up = Limiter::Anyones(Key(1));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(limiter.Take(used_up, fast, 1, Ns(0)), 0);
  for (int i = 2; i < 100; ++i) ASSERT_EQ(limiter.Take(Limiter::Anyones(Key(i)), slow, 1, Ns(0)), 0);
  // A hundred milliseconds' worth, among cells that stay for a quarter of an hour each.
  EXPECT_GT(limiter.Take(used_up, fast, 1, Ns(0)), 0);
  EXPECT_EQ(limiter.evicted_spent(), 0);
  // Only where all are as full does one of them go, and that is counted apart.
  for (int i = 200; i < 220; ++i) {
    for (int n = 0; n < 1000; ++n) limiter.Take(Limiter::Anyones(Key(i)), slow, 1, Ns(0));
  }
  EXPECT_GT(limiter.evicted_spent(), 0);
}

TEST(Limiter, DrainsABucketFromNowOn) {
  Limiter limiter({64});
  const TokenBucket bucket(0.1, 1);  // ten seconds
  EXPECT_FALSE(limiter.IsSpending(Key(1), Ns(0)));
  limiter.Drain(Key(1), bucket, Ns(0));
  limiter.Drain(Key(1), bucket, Ns(5 * kSecond));
  EXPECT_TRUE(limiter.IsSpending(Key(1), Ns(15 * kSecond - 1)));
  EXPECT_FALSE(limiter.IsSpending(Key(1), Ns(15 * kSecond)));
}

}  // namespace
}  // namespace sluice
