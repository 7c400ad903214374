// What is counted in memory: rates by GCRA, connections by lease, amounts held, and traffic by natural day.
//
// Rates: one 64-bit theoretical arrival time (TAT) a key, moved by one compare-and-swap together with the key, in a
// table of a fixed number of cells. A cell whose TAT has passed holds nothing, so a new key takes it over: bounded
// memory and no collector. Where every cell that a key may use is live, the one closest to full is forgotten and
// counted
// (`evicted_live`): its limit forgives what little it had taken.
// Source: ITU-T I.371 (GCRA); docs/decisions/2026-11-24-limiter.md.
#ifndef SLUICE_ENFORCEMENT_LIMITER_H_
#define SLUICE_ENFORCEMENT_LIMITER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "enforcement/check.h"
#include "enforcement/names.h"

namespace sluice {

// A token bucket: `burst` tokens when full, refilled at `rate` a second. Immutable; computed once a limit.
class TokenBucket {
 public:
  // REQUIRES: rate > 0, burst > 0.
  TokenBucket(double rate, double burst);
  TokenBucket() = default;

  // Time that `cost` tokens take to refill, in ticks of 1/16 ns, rounded up: a limit never grants more than it says.
  int64_t TicksOf(double cost) const;
  int64_t capacity_ticks() const { return capacity_ticks_; }

 private:
  double ticks_per_token_ = 0;
  int64_t capacity_ticks_ = 0;
};

class Limiter {
 public:
  struct Options {
    size_t cells = size_t{1} << 20;  // rounded up to a power of two; 16 bytes each
  };
  explicit Limiter(Options options);
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // ---- Rates. All thread-safe; no allocation. Waits are in nanoseconds, rounded up; 0 = no wait. --------------------

  // How long until `cost` tokens are there; takes none. A cost above the burst is never there: INT64_MAX.
  int64_t Wait(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) const;
  // Takes `cost` tokens if all are there and returns 0, else takes none and returns the wait.
  int64_t Take(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now);
  // Gives back what Take took, where a later limit of the same check refused.
  void GiveBack(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now);
  // Takes `cost` tokens whether they are there or not, down to a debt of two bursts.
  void Charge(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now);
  // How long until anything at all is left: for what is charged after the fact.
  int64_t WaitForAny(Hash128 key, const TokenBucket& bucket, MonotonicTime now) const;

  // ---- Connections: leases held at once.
  // -----------------------------------------------------------------------------

  struct Cap {
    Hash128 key;
    int64_t most = 0;
  };
  // Takes one unit under every cap, or none. `*lease_id` names a lease to renew, or is empty; a known one that has not
  // run out is renewed in place, whatever the caps. Returns false where a cap is reached, with `*refused` its index.
  bool TakeLease(absl::Span<const Cap> caps, absl::Duration lasts, MonotonicTime now, std::string* lease_id,
                 size_t* refused) ABSL_LOCKS_EXCLUDED(lease_mutex_);
  // False for an unknown lease.
  bool EndLease(absl::string_view lease_id, MonotonicTime now) ABSL_LOCKS_EXCLUDED(lease_mutex_);
  bool HoldsLease(absl::string_view lease_id, MonotonicTime now) ABSL_LOCKS_EXCLUDED(lease_mutex_);
  int64_t LeasesHeld(Hash128 key, MonotonicTime now) ABSL_LOCKS_EXCLUDED(lease_mutex_);
  int64_t leases() const ABSL_LOCKS_EXCLUDED(lease_mutex_);

  // ---- Amounts held, and traffic of a natural day. ------------------------------------------------------------------

  int64_t Held(Hash128 key) const ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  void AddHeld(Hash128 key, int64_t delta) ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  void SetHeld(Hash128 key, int64_t amount) ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  int64_t Traffic(Hash128 key, absl::CivilDay day) const ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  void AddTraffic(Hash128 key, absl::CivilDay day, int64_t bytes) ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  void SetTraffic(Hash128 key, absl::CivilDay day, int64_t bytes) ABSL_LOCKS_EXCLUDED(amounts_mutex_);

  size_t cells() const { return 4 * line_count_; }
  // Live cells that were forgotten because a new key found no other place, since the start.
  int64_t evicted_live() const { return evicted_live_.load(std::memory_order_relaxed); }

 private:
  struct alignas(16) Cell {
    uint64_t key = 0;  // 0 = never used
    int64_t tat = 0;   // ticks
  };
  struct alignas(64) Line {
    std::array<Cell, 4> cells;
  };
  struct LineDeleter {
    void operator()(Line* lines) const;
  };
  struct Lease {
    std::vector<Hash128> keys;
    MonotonicTime until;
  };
  struct DayTraffic {
    absl::CivilDay day;
    int64_t bytes = 0;
    int64_t day_before = 0;  // midnight has to pass by the slowest clock before yesterday is forgotten
  };

  DayTraffic& TrafficOn(Hash128 key, absl::CivilDay day) ABSL_EXCLUSIVE_LOCKS_REQUIRED(amounts_mutex_);
  template <typename Move>
  int64_t MoveTat(Hash128 key, int64_t now_ticks, const Move& move);
  const Cell* Find(Hash128 key, Cell* seen) const;
  Cell* FindOrClaim(Hash128 key, int64_t now_ticks, Cell* seen);
  Line& FirstLine(Hash128 key) const { return lines_[key.low & (line_count_ - 1)]; }
  Line& SecondLine(Hash128 key) const {
    return lines_[(key.low >> 32 ^ key.low * 0x9E3779B97F4A7C15u) & (line_count_ - 1)];
  }
  void DropExpiredLeases(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lease_mutex_);
  void Release(const Lease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lease_mutex_);

  size_t line_count_ = 0;
  std::unique_ptr<Line[], LineDeleter> lines_;
  static constexpr size_t kClaimLocks = 1024;
  std::array<std::atomic_flag, kClaimLocks> claim_locks_{};
  std::atomic<int64_t> evicted_live_{0};

  mutable absl::Mutex lease_mutex_;
  absl::flat_hash_map<std::string, Lease> leases_ ABSL_GUARDED_BY(lease_mutex_);
  absl::flat_hash_map<Hash128, int64_t> lease_counts_ ABSL_GUARDED_BY(lease_mutex_);
  MonotonicTime next_lease_sweep_ ABSL_GUARDED_BY(lease_mutex_);
  uint64_t lease_salt_ ABSL_GUARDED_BY(lease_mutex_) = 0;
  uint64_t next_lease_ ABSL_GUARDED_BY(lease_mutex_) = 1;

  mutable absl::Mutex amounts_mutex_;
  absl::flat_hash_map<Hash128, int64_t> held_ ABSL_GUARDED_BY(amounts_mutex_);
  absl::flat_hash_map<Hash128, DayTraffic> traffic_ ABSL_GUARDED_BY(amounts_mutex_);
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIMITER_H_
