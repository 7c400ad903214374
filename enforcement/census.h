// How many there are of what the policy holds: for those who watch it, not for checks.
#ifndef SLUICE_ENFORCEMENT_CENSUS_H_
#define SLUICE_ENFORCEMENT_CENSUS_H_

#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/policy.h"
#include "enforcement/values.h"

namespace sluice {

inline constexpr int kAccountStateCount = 9;

struct Census {
  std::array<int64_t, kAccountStateCount> accounts{};  // by state
  // Of those, whose deadline (7.2.2, 4.3) falls within the next kDeadlineSoon.
  std::array<int64_t, kAccountStateCount> deadlines_soon{};
  int64_t flags = 0, orders = 0, holds = 0, restrictions = 0, limits = 0;  // in force or dated ahead
  int64_t reviews_overdue = 0;  // of those the restrictions whose review_by has passed
  absl::Time at = absl::UnixEpoch();
};
inline constexpr absl::Duration kDeadlineSoon = absl::Hours(24 * 7);

// Fills `accounts`, `deadlines_soon` and `at`. Some 50 ns an account.
void CountAccounts(const Policy& policy, const Moment& now, Census* census);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_CENSUS_H_
