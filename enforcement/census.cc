#include "enforcement/census.h"

namespace sluice {

void CountAccounts(const Policy& policy, const Moment& now, Census* census) {
  census->accounts.fill(0);
  census->deadlines_soon.fill(0);
  census->at = now.wall;
  for (const auto& [name, account] : policy.all_accounts()) {
    const Segment* segment = account.timeline.At(now.wall);
    if (segment == nullptr) continue;
    const auto state = static_cast<size_t>(segment->state);
    if (state >= census->accounts.size()) continue;
    ++census->accounts[state];
    if (segment->deadline && *segment->deadline > now.wall && *segment->deadline <= now.wall + kDeadlineSoon) {
      ++census->deadlines_soon[state];
    }
  }
}

}  // namespace sluice
