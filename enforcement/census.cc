#include "enforcement/census.h"

namespace sluice {

void CountAccounts(const Policy& policy, const Moment& now, Census* census) {
  census->accounts.fill(0);
  census->deadlines_soon.fill(0);
  census->at = now.wall;
  policy.ForEachAccount([&](const Account& account) {
    const Segment* segment = account.timeline.At(now.wall);
    if (segment == nullptr) return;
    const auto state = static_cast<size_t>(segment->state);
    if (state >= census->accounts.size()) return;
    ++census->accounts[state];
    if (segment->deadline && *segment->deadline > now.wall && *segment->deadline <= now.wall + kDeadlineSoon) {
      ++census->deadlines_soon[state];
    }
  });
}

}  // namespace sluice
