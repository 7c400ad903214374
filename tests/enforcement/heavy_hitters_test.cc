#include "enforcement/heavy_hitters.h"

#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(HeavyHittersTest, IsExactUpToItsCapacity) {
  HeavyHitters hitters(3, HeavyHitters::Weight::kRequests);
  for (const char* name : {"a", "b", "b", "c", "c", "c"}) hitters.Add(name, 10, Verdict::kAllow);
  hitters.Add("a", 5, Verdict::kThrottle);
  hitters.Add("a", 5, Verdict::kDeny);
  EXPECT_TRUE(hitters.exact());
  const auto top = hitters.Top(2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].name, "a") << "ties go by name";
  EXPECT_EQ(top[0].requests, 3);
  EXPECT_EQ(top[0].bytes, 20);
  EXPECT_EQ(top[0].throttled, 1);
  EXPECT_EQ(top[0].denied, 1);
  EXPECT_EQ(top[1].name, "c");
}

// Against an exact count: each weight is within its doubt, and nobody above total / capacity is missed.
TEST(HeavyHittersTest, KeepsItsBoundsWithMoreNamesThanItHolds) {
  HeavyHitters hitters(50, HeavyHitters::Weight::kBytes);
  std::map<std::string, int64_t> exact;
  int64_t total = 0;
  uint32_t state = 7;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525 + 1013904223;
    // Squared: few names are asked for often, most of them seldom.
    const uint32_t draw = (state >> 16) % 1000;
    const std::string name = absl::StrCat("n", draw * draw / 1000);
    const int64_t bytes = (state >> 8) % 100;
    hitters.Add(name, bytes, Verdict::kAllow);
    exact[name] += bytes;
    total += bytes;
  }
  EXPECT_FALSE(hitters.exact());
  EXPECT_EQ(hitters.names(), 50u);
  std::map<std::string, HeavyHitters::Entry> kept;
  for (const HeavyHitters::Entry& entry : hitters.Top(50)) {
    kept[entry.name] = entry;
    EXPECT_LE(entry.bytes, exact[entry.name]) << entry.name;
    EXPECT_GE(entry.bytes + entry.doubt, exact[entry.name]) << entry.name;
    EXPECT_LE(entry.doubt, total / 50);
  }
  for (const auto& [name, bytes] : exact) {
    EXPECT_TRUE(bytes <= total / 50 || kept.contains(name)) << name;
  }
}

TEST(HeavyHittersTest, AWeightlessNameDisplacesNobody) {
  HeavyHitters hitters(1, HeavyHitters::Weight::kBytes);
  hitters.Add("a", 1, Verdict::kAllow);
  hitters.Add("b", 0, Verdict::kAllow);
  EXPECT_EQ(hitters.Top(5)[0].name, "a");
  EXPECT_FALSE(hitters.exact());
}

TEST(HeavyHittersTest, CutsNamesThatAreTooLong) {
  HeavyHitters hitters(4, HeavyHitters::Weight::kRequests);
  hitters.Add(std::string(5000, 'x') + "1", 1, Verdict::kAllow);
  hitters.Add(std::string(5000, 'x') + "2", 1, Verdict::kAllow);
  ASSERT_EQ(hitters.Top(4).size(), 1u);
  EXPECT_EQ(hitters.Top(4)[0].requests, 2);
}

}  // namespace
}  // namespace sluice
