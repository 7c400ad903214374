#include "enforcement/flag_filter.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

Hash128 Key(int64_t i) { return SubjectHash(SubjectKind::kObject, "b", std::to_string(i)); }

TEST(FlagFilter, NeverForgetsAndSeldomInvents) {
  for (const bool reserved : {true, false}) {
    FlagFilter filter;
    EXPECT_FALSE(filter.MayHave(Key(1)));
    constexpr int64_t kKeys = 200000;
    if (reserved) filter.Reserve(kKeys);
    for (int64_t i = 0; i < kKeys; ++i) {
      filter.Add(Key(i));
      filter.Add(Key(i / 2));  // again
    }
    int64_t forgotten = 0, invented = 0;
    for (int64_t i = 0; i < kKeys; ++i) forgotten += !filter.MayHave(Key(i));
    for (int64_t i = kKeys; i < 2 * kKeys; ++i) invented += filter.MayHave(Key(i));
    EXPECT_EQ(forgotten, 0);
    // Grown key by key it is a dozen filters, each with its own chance of a false yes.
    EXPECT_LT(static_cast<double>(invented) / kKeys, reserved ? 0.0015 : 0.012);
    EXPECT_LE(static_cast<double>(filter.bytes()) / kKeys, 3.0);
    EXPECT_GE(filter.keys(), kKeys * 98 / 100) << "but for those that seemed to be there";
  }
}

TEST(FlagFilter, RoomThatIsReservedLaterIsUsed) {
  FlagFilter filter;
  filter.Add(Key(-1));
  filter.Reserve(100000);
  for (int64_t i = 0; i < 100000; ++i) filter.Add(Key(i));
  for (int64_t i = -1; i < 100000; ++i) ASSERT_TRUE(filter.MayHave(Key(i)));
  EXPECT_LT(filter.bytes(), size_t{3} * 100000);
}

}  // namespace
}  // namespace sluice
