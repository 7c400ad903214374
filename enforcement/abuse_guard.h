// Sandboxes what presses on after being throttled, and lets it go when it calms down. The judge says who presses; this
// makes policy events of it, which whoever owns the writer applies: so a sandbox of the node's own is durable,
// announced and seen like any other. Source: docs/decisions/2026-11-26-automatic-sandbox.md.
#ifndef SLUICE_ENFORCEMENT_ABUSE_GUARD_H_
#define SLUICE_ENFORCEMENT_ABUSE_GUARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/engine.h"

namespace sluice {

class AbuseGuard final : public AbuseObserver {
 public:
  // The source of its events.
  static constexpr absl::string_view kSource = "sluice";
  // Subjects that wait for the next Due; those beyond come again within a second, if they still press.
  static constexpr size_t kWaitingMax = 1024;

  // `limiter` must outlive the guard. Its events have the first role that the pack lets send a Restrict; where it lets
  // nobody, nobody is sandboxed.
  AbuseGuard(const Pack& pack, const Limiter* limiter);

  // Thread-safe; a subject that finds the lock taken is passed over, and comes again within a second.
  void OnPressing(const LimitRule& limit, const Subject& subject, Moment now) override ABSL_LOCKS_EXCLUDED(mutex_);

  // The events that follow from what was seen up to now: a Restrict for each subject that presses, can be named in an
  // event (CanonicalSubject) and is not sandboxed yet, an Unrestrict for each that has been calm for long enough. An
  // event that is not applied is made again. For one thread: once a second or so.
  std::vector<PolicyEvent> Due(const Policy& policy, Moment now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Pressing {
    Subject subject;
    std::string limit_id;
    double rate = 0;
  };
  PolicyEvent Sandbox(const Pressing& pressing, Moment now);
  PolicyEvent Release(absl::string_view id) const;

  const AbuseRule rule_;
  const Role role_;
  const Limiter* const limiter_;
  absl::Mutex mutex_;
  std::vector<Pressing> waiting_ ABSL_GUARDED_BY(mutex_);
  // Since when this process knows of a sandbox: what pressed before a restart has as long to press again.
  absl::flat_hash_map<std::string, MonotonicTime> known_since_;
  int64_t given_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_ABUSE_GUARD_H_
