#include "enforcement/timeline_code.h"

#include <random>

#include "gtest/gtest.h"

namespace sluice {
namespace {

void ExpectSame(const Timeline& a, const Timeline& b) {
  ASSERT_EQ(a.segments.size(), b.segments.size());
  for (size_t i = 0; i < a.segments.size(); ++i) {
    const Segment &x = a.segments[i], &y = b.segments[i];
    EXPECT_EQ(x.from, y.from);
    EXPECT_EQ(x.waits_for, y.waits_for);
    EXPECT_EQ(x.state, y.state);
    EXPECT_EQ(x.cause, y.cause);
    EXPECT_EQ(x.permissions, y.permissions);
    EXPECT_EQ(x.since, y.since);
    EXPECT_EQ(x.deadline, y.deadline);
    EXPECT_EQ(x.payment_pending, y.payment_pending);
    EXPECT_EQ(x.announce_at, y.announce_at);
    EXPECT_EQ(x.delete_by_parameter, y.delete_by_parameter);
  }
}

TEST(TimelineCode, ReadsBackWhatItWrote) {
  std::mt19937_64 random(1);
  const auto coin = [&] { return random() % 2 == 0; };
  const auto time = [&]() -> absl::Time {
    switch (random() % 8) {
      case 0:
        return absl::InfiniteFuture();
      case 1:
        return absl::InfinitePast();
      case 2:
        return absl::FromUnixSeconds(253402300799) + absl::Nanoseconds(999999999);  // the last of a Timestamp
      case 3:
        return absl::FromUnixSeconds(-62135596800);  // the first
      case 4:
        return absl::FromUnixSeconds(1760000000) + absl::Nanoseconds(static_cast<int64_t>(random() % 1000000000));
      default:
        return absl::FromUnixSeconds(static_cast<int64_t>(1760000000 + random() % 100000000));
    }
  };
  for (int i = 0; i < 3000; ++i) {
    Timeline timeline;
    for (size_t n = random() % 9; n > 0; --n) {
      Segment& segment = timeline.segments.emplace_back();
      segment.from = time();
      segment.since = coin() ? segment.from : time();
      if (coin()) segment.waits_for = coin() ? segment.from : time();
      segment.state = static_cast<AccountState>(random() % 9);
      segment.cause = static_cast<TerminationCause>(random() % 9);
      for (Permission& permission : segment.permissions) permission = static_cast<Permission>(random() % 3);
      if (coin()) segment.deadline = time();
      if (coin()) segment.announce_at = time();
      segment.payment_pending = coin();
      segment.delete_by_parameter = coin();
    }
    ExpectSame(DecodeTimeline(EncodeTimeline(timeline)), timeline);
  }
}

}  // namespace
}  // namespace sluice
