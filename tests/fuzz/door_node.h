// A checker without a policy, for fuzzers of doors: it answers NOT_READY to whatever can be mapped, so any allow is a
// bug.
#ifndef SLUICE_TESTS_FUZZ_DOOR_NODE_H_
#define SLUICE_TESTS_FUZZ_DOOR_NODE_H_

#include <stdlib.h>

#include <memory>
#include <vector>

#include "agreement/loader.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "metrics/metrics.h"
#include "server/listen/checker.h"
#include "server/readiness.h"

namespace sluice {

class StoppedClock final : public Clock {
 public:
  Moment Now() const override {
    Moment moment;
    moment.wall = absl::FromUnixSeconds(1767196800);
    return moment;
  }
};

// One for the whole run: what it keeps has bounds.
inline Checker& FuzzChecker() {
  static const auto* const pack = LoadDefaultPack()->release();
  static auto* const index = new PolicyIndex(pack);
  static auto* const limiter = new Limiter(Limiter::Options{.cells = 4096});
  static auto* const engine = new Engine(pack, index, limiter, NodeOptions{.region = "cn"});
  static auto* const clock = new StoppedClock();
  static auto* const readiness = new Readiness();
  static auto* const metrics = new Metrics({"fuzz", "default", ""});
  static auto* const checker = new Checker(engine, clock, readiness, metrics, {});
  return *checker;
}

inline void Require(bool holds) {
  if (!holds) abort();
}

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_DOOR_NODE_H_
