// Whether the node answers from a policy, and why not where it does not. Health, /readyz and sluice_ready all say what
// this says.
#ifndef SLUICE_SERVER_READINESS_H_
#define SLUICE_SERVER_READINESS_H_

#include <atomic>

#include "absl/strings/string_view.h"

namespace sluice {

// Thread-safe; never blocks.
class Readiness {
 public:
  // Whether any event was ever applied: before that, checks are answered NOT_READY.
  void SetHasPolicy(bool has_policy) { has_policy_.store(has_policy, std::memory_order_relaxed); }
  // Whether the policy is older than its bound: then checks are answered STALE_POLICY.
  void SetStale(bool stale) { stale_.store(stale, std::memory_order_relaxed); }
  // The node is on its way out. Checks are still answered; no new callers, please.
  void Drain() { draining_.store(true, std::memory_order_relaxed); }

  // Relaxed throughout: each flag stands for itself, and a check that reads one a moment late is a check made before.
  bool stale() const { return stale_.load(std::memory_order_relaxed); }
  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  bool ready() const { return has_policy_.load(std::memory_order_relaxed) && !stale() && !draining(); }

  // One line for people.
  absl::string_view Text() const {
    if (draining()) return "draining";
    if (!has_policy_.load(std::memory_order_relaxed)) return "no policy yet: nothing was ever applied to this node";
    if (stale()) return "stale: nothing from outside was applied for longer than policy.max_age";
    return "ready";
  }

 private:
  std::atomic<bool> has_policy_{false};
  std::atomic<bool> stale_{false};
  std::atomic<bool> draining_{false};
};

}  // namespace sluice

#endif  // SLUICE_SERVER_READINESS_H_
