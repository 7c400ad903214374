// Connections: leases that are held at once, each under the caps it met when it was taken, until its holder ends it or
// it runs out. Bounded: where `leases_max` are held, a check that no cap refuses is let through without a lease, and
// counted
// (`untracked`): its cap then counts one too few, and nobody is turned away for want of memory.
// Source: docs/limits.md, docs/decisions/2026-11-26-amounts-that-last.md.
#ifndef SLUICE_ENFORCEMENT_LEASES_H_
#define SLUICE_ENFORCEMENT_LEASES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "enforcement/check.h"
#include "enforcement/names.h"

namespace sluice {

// What an id of a lease says: "0123456789abcdef-2a". The first half is drawn anew by each process, so that an id is
// given out once.
struct LeaseKey {
  uint64_t process = 0;
  uint64_t number = 0;
  friend bool operator==(LeaseKey a, LeaseKey b) { return a.process == b.process && a.number == b.number; }
  friend bool operator<(LeaseKey a, LeaseKey b) {
    return a.process != b.process ? a.process < b.process : a.number < b.number;
  }
  template <typename H>
  friend H AbslHashValue(H h, LeaseKey key) {
    return H::combine(std::move(h), key.process, key.number);
  }
};
std::string FormatLease(LeaseKey key);
absl::optional<LeaseKey> ParseLease(absl::string_view id);

class Leases {
 public:
  struct Options {
    size_t leases_max = size_t{1} << 20;  // some 200 bytes each
  };
  explicit Leases(Options options);
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  struct Cap {
    Hash128 key;
    int64_t most = 0;
  };
  // Takes one unit under every cap, or none. `*lease_id` names a lease to renew, or is empty; a known one that has not
  // run out is renewed in place, whatever the caps. Returns false where a cap is reached, with `*refused` its index.
  // Without caps there is nothing to hold: the id names nothing. Thread-safe; waits for others' loads and stores only.
  bool Take(absl::Span<const Cap> caps, absl::Duration lasts, MonotonicTime now, std::string* lease_id, size_t* refused)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // False for an unknown lease.
  bool End(LeaseKey lease, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Holds(absl::string_view lease_id, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t Held(Hash128 key, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);
  // All that are held.
  int64_t size() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Checks let through without the lease they asked for, since the start.
  int64_t untracked() const { return untracked_.load(std::memory_order_relaxed); }

  // ---- For the store, which keeps leases over a restart -------------------------------------------------------------

  struct Kept {
    LeaseKey lease;
    absl::Time until;           // policy time
    std::vector<Hash128> keys;  // none: the lease has ended
  };
  // From now on, what changes is remembered for TakeChanges.
  void TrackChanges() ABSL_LOCKS_EXCLUDED(mutex_);
  // What was taken, renewed or ended since the last call, as it is now.
  std::vector<Kept> TakeChanges(Moment now) ABSL_LOCKS_EXCLUDED(mutex_);
  // These are to come with the next TakeChanges as well: they could not be kept.
  void MarkChanged(const std::vector<Kept>& again) ABSL_LOCKS_EXCLUDED(mutex_);
  // Holds a lease of an earlier process until its time is over.
  void Restore(const Kept& kept, Moment now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Lease {
    absl::InlinedVector<Hash128, 2> keys;
    MonotonicTime until;
    MonotonicTime queued;  // where it stands in queue_; never later than `until`
  };
  using Map = absl::flat_hash_map<LeaseKey, Lease>;

  void Add(LeaseKey key, Lease lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Map::iterator it) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropExpired(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Note(LeaseKey key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (tracking_) changed_.insert(key);
  }

  const Options options_;
  std::atomic<int64_t> untracked_{0};
  mutable absl::Mutex mutex_;
  Map leases_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Hash128, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
  // Each lease once, by the earliest time at which it may run out: a renewal moves it only when that time has come.
  absl::btree_set<std::pair<int64_t, LeaseKey>> queue_ ABSL_GUARDED_BY(mutex_);
  LeaseKey last_ ABSL_GUARDED_BY(mutex_);  // given out
  bool tracking_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<LeaseKey> changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LEASES_H_
