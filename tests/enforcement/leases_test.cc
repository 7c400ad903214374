#include "enforcement/leases.h"

#include <map>
#include <random>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int64_t kSecond = 1000000000;

Hash128 Key(int n) { return SubjectHash(SubjectKind::kAccount, absl::StrCat(n)); }
MonotonicTime Ns(int64_t ns) { return MonotonicTime{kSecond + ns}; }
LeaseKey Id(const std::string& id) { return ParseLease(id).value(); }

TEST(Leases, HoldNoMoreThanTheirCapAndComeBack) {
  Leases leases({});
  const Leases::Cap cap{Key(1), 2};
  size_t refused = 9;
  std::string a, b, c;
  ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(0), &a, &refused));
  ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(0), &b, &refused));
  EXPECT_FALSE(leases.Take({cap}, absl::Seconds(300), Ns(0), &c, &refused));
  EXPECT_EQ(refused, 0u);
  EXPECT_NE(a, b);
  EXPECT_TRUE(leases.End(Id(a), Ns(1)));
  EXPECT_FALSE(leases.End(Id(a), Ns(1)));
  EXPECT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(1), &c, &refused));
}

TEST(Leases, RunOutAndAreRenewed) {
  Leases leases({});
  const Leases::Cap cap{Key(1), 1};
  size_t refused = 0;
  std::string a;
  ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(0), &a, &refused));
  ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(200 * kSecond), &a, &refused));
  EXPECT_EQ(leases.Held(Key(1), Ns(499 * kSecond)), 1);
  EXPECT_EQ(leases.Held(Key(1), Ns(500 * kSecond)), 0);
  const std::string old = a;
  ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(500 * kSecond), &a, &refused));
  EXPECT_NE(a, old);
}

TEST(Leases, OfABoundedNumberTurnNobodyAwayAndCountWhomTheyCouldNotHold) {
  Leases leases({.leases_max = 10});
  const Leases::Cap cap{Key(1), 100};
  size_t refused = 0;
  for (int i = 0; i < 15; ++i) {
    std::string id;
    ASSERT_TRUE(leases.Take({cap}, absl::Seconds(300), Ns(i), &id, &refused));
    EXPECT_FALSE(id.empty());
  }
  EXPECT_EQ(leases.size(), 10);
  EXPECT_EQ(leases.untracked(), 5);
  EXPECT_EQ(leases.Held(Key(1), Ns(20)), 10);
  // A cap that is reached still refuses.
  std::string id;
  EXPECT_FALSE(leases.Take({{Key(1), 10}}, absl::Seconds(300), Ns(20), &id, &refused));
}

TEST(Leases, WithoutACapTakeNoMemory) {
  Leases leases({});
  size_t refused = 0;
  std::string id;
  ASSERT_TRUE(leases.Take({}, absl::Seconds(300), Ns(0), &id, &refused));
  EXPECT_FALSE(id.empty());
  EXPECT_EQ(leases.size(), 0);
}

TEST(Leases, OfAnEarlierProcessRunOutWhenTheyWouldHave) {
  const absl::Time wall = absl::FromUnixSeconds(1'800'000'000);
  Leases before({});
  before.TrackChanges();
  size_t refused = 0;
  std::string a, b;
  ASSERT_TRUE(before.Take({{Key(1), 5}, {Key(2), 5}}, absl::Seconds(300), Ns(0), &a, &refused));
  ASSERT_TRUE(before.Take({{Key(1), 5}}, absl::Seconds(300), Ns(0), &b, &refused));
  ASSERT_TRUE(before.End(Id(b), Ns(1)));
  const std::vector<Leases::Kept> kept = before.TakeChanges({wall, Ns(0)});
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_TRUE(before.TakeChanges({wall, Ns(0)}).empty());

  Leases after({});
  const Moment later{wall + absl::Seconds(100), Ns(77)};
  for (const Leases::Kept& each : kept) after.Restore(each, later);
  EXPECT_EQ(after.size(), 1);
  EXPECT_EQ(after.Held(Key(1), later.mono), 1);
  EXPECT_EQ(after.Held(Key(2), later.mono), 1);
  EXPECT_TRUE(after.Holds(a, Ns(77 + 199 * kSecond)));
  EXPECT_FALSE(after.Holds(a, Ns(77 + 200 * kSecond)));
}

// The model keeps every lease in a list and looks at all of them each time.
TEST(Leases, AgreeWithASlowModelOverRandomOperations) {
  std::mt19937_64 random(20261126);
  for (int round = 0; round < 20; ++round) {
    Leases leases({});
    struct Held {
      std::vector<int> caps;
      int64_t until;
    };
    std::map<std::string, Held> model;
    std::vector<std::string> ids = {""};
    int64_t now = 0;
    const auto count = [&](int cap) {
      int64_t held = 0;
      for (const auto& [id, lease] : model) {
        if (lease.until > now) held += std::count(lease.caps.begin(), lease.caps.end(), cap);
      }
      return held;
    };
    for (int step = 0; step < 1000; ++step) {
      now += static_cast<int64_t>(random() % (20 * kSecond));
      for (auto it = model.begin(); it != model.end();) it = it->second.until <= now ? model.erase(it) : std::next(it);
      std::string id = ids[random() % ids.size()];
      if (random() % 4 == 0) {
        const bool known = model.erase(id) > 0;
        ASSERT_EQ(!id.empty() && leases.End(Id(id), Ns(now)), known);
        continue;
      }
      std::vector<Leases::Cap> caps;
      Held wanted;
      wanted.until = now + (30 + static_cast<int64_t>(random() % 300)) * kSecond;
      for (int cap = 0; cap < 4; ++cap) {
        if (random() % 2 == 0 && cap > 0) continue;
        caps.push_back({Key(cap), 1 + cap * 5});
        wanted.caps.push_back(cap);
      }
      const bool renews = model.count(id) > 0;
      bool fits = true;
      for (const int cap : wanted.caps) fits &= count(cap) < 1 + cap * 5;
      const std::string before = id;
      size_t refused = 0;
      ASSERT_EQ(leases.Take(caps, absl::Nanoseconds(wanted.until - now), Ns(now), &id, &refused), renews || fits);
      if (renews) {
        ASSERT_EQ(id, before);
        model[id].until = std::max(model[id].until, wanted.until);
      } else if (fits) {
        model[id] = wanted;
        ids.push_back(id);
      }
      for (int cap = 0; cap < 4; ++cap) ASSERT_EQ(leases.Held(Key(cap), Ns(now)), count(cap)) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace sluice
