// The seam for limits that a fleet shares: which part of one this node may grant.
#ifndef SLUICE_ENFORCEMENT_FLEET_SHARES_H_
#define SLUICE_ENFORCEMENT_FLEET_SHARES_H_

#include <algorithm>

#include "enforcement/limiter.h"
#include "enforcement/policy.h"

namespace sluice {

// What one node grants of a limit: a rate or an amount, and the bucket of the rate.
struct LimitPart {
  double rate = 0;
  TokenBucket bucket;  // where rate > 0
};

class FleetShares {
 public:
  virtual ~FleetShares() = default;
  // This node's part, now, of a limit with Sharing::kFleet. The parts of all nodes never add up to more than the limit.
  // Called on the data path: thread-safe, must not block.
  virtual LimitPart PartOf(const LimitRule& limit) const = 0;
};

// Equal parts for a fleet of a fixed size, whether its nodes are busy or not: what a node can know by itself.
class StaticShares final : public FleetShares {
 public:
  explicit StaticShares(int fleet_size) : nodes_(std::max(fleet_size, 1)) {}
  LimitPart PartOf(const LimitRule& limit) const override {
    LimitPart part;
    part.rate = limit.rate / nodes_;
    // One request is the least that a bucket can hold: in a fleet larger than the burst the parts add up to more.
    if (part.rate > 0) part.bucket = TokenBucket(part.rate, std::max(limit.BurstOrDefault() / nodes_, 1.0));
    return part;
  }

 private:
  const double nodes_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_FLEET_SHARES_H_
