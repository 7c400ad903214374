// Rates by GCRA, in memory; with the leases and the ledger, all that a node counts of its traffic.
//
// One 64-bit theoretical arrival time (TAT) a key, moved by one compare-and-swap together with the key, in tables of a
// fixed number of cells. A cell whose TAT has passed holds nothing, so a new key takes it over: bounded memory and no
// collector. There are two tables: one for keys that nobody outside can make up (limits on named subjects, and what the
// policy knows), one for all others, so that a flood of invented names pushes out only its like. Where every cell that
// a key may use is live, the one with the smallest share of its bucket spent is forgotten, and counted. Source: ITU-T
// I.371 (GCRA); docs/decisions/2026-11-24-limiter.md, 2026-11-26-limiter-under-attack.md.
#ifndef SLUICE_ENFORCEMENT_LIMITER_H_
#define SLUICE_ENFORCEMENT_LIMITER_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/numeric/bits.h"
#include "enforcement/check.h"
#include "enforcement/huge_bytes.h"
#include "enforcement/leases.h"
#include "enforcement/ledger.h"
#include "enforcement/names.h"
#include "enforcement/prefetch.h"

namespace sluice {

// A token bucket: `burst` tokens when full, refilled at `rate` a second. Immutable; computed once a limit.
class TokenBucket {
 public:
  // REQUIRES: rate > 0, burst > 0.
  TokenBucket(double rate, double burst);
  TokenBucket() = default;

  // 1/16 ns: a rate of 30,000/s is then off by 1e-6 at most, and 63 bits last for 18 years.
  static constexpr int64_t kTicksPerNs = 16;
  // Time that `cost` tokens take to refill, in ticks, rounded up: a limit never grants more than it says.
  int64_t TicksOf(double cost) const { return cost == 1 ? ticks_of_one_ : TicksOfMany(cost); }
  int64_t capacity_ticks() const { return capacity_ticks_; }

 private:
  int64_t TicksOfMany(double cost) const;

  double ticks_per_token_ = 0;
  int64_t ticks_of_one_ = 0;  // nearly every cost is one request
  int64_t capacity_ticks_ = 0;
};

class Limiter {
 private:
  struct alignas(16) Cell {
    uint64_t key = 0;  // 58 bits of the key's hash, 6 of how large its bucket is; 0 = never used
    int64_t tat = 0;   // ticks

    bool IsOf(Hash128 name) const { return ((key ^ name.high) & ~kSizeBits) == 0 && key != 0; }
    // This cell as it was at some moment. A TAT is never read under the name of a key that had the cell before or
    // after: who is refused on what was read here is refused for what it took itself.
    Cell Load() const {
      Cell seen;
      do {
        seen.key = __atomic_load_n(&key, __ATOMIC_ACQUIRE);
        seen.tat = __atomic_load_n(&tat, __ATOMIC_ACQUIRE);
      } while (seen.key != __atomic_load_n(&key, __ATOMIC_ACQUIRE));
      return seen;
    }
    // How much of its bucket a live cell has spent, to within a factor of two: 1 = all.
    double SpentShare(int64_t now_ticks) const;
    // Key and TAT move together, so that nobody charges a cell that was given to another key a moment ago.
    // Not here, since it takes a compiler that may use cmpxchg16b.
    bool Swap(const Cell& seen, const Cell& wanted);
  };
  // The low bits of a cell's key are no part of the name: they say how large its bucket is, as the number of bits of
  // its capacity, so that buckets of different limits can be compared by the share that is spent of them.
  static constexpr uint64_t kSizeBits = 63;

 public:
  struct Options {
    size_t cells = size_t{1} << 20;  // of both tables; rounded up to a power of two, at least 8; 16 bytes each
    Leases::Options leases = {};
    Ledger::Options ledger = {};
  };
  explicit Limiter(Options options);
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // Which table a key belongs to: the cell of a limit on a subject that the policy names or knows, or of anything else.
  static Hash128 Known(Hash128 key) { return {key.low, key.high | 1}; }
  static Hash128 Anyones(Hash128 key) { return {key.low, key.high & ~uint64_t{1}}; }

  // What Wait found of a key, so that the Take that follows need not look for it again. Of one check; opaque.
  class Spot {
    friend class Limiter;
    Cell* cell = nullptr;
    Cell seen;
    bool looked = false;  // where `cell` is null: the key had none
  };

  // Asks the memory for the cells of `key`, without waiting. Changes nothing.
  void Prefetch(Hash128 key) const {
    PrefetchLine(&FirstLine(key));
    PrefetchLine(&SecondLine(key));
  }

  // All thread-safe; no allocation. Waits are in nanoseconds, rounded up; 0 = no wait.

  // How long until `cost` tokens are there; takes none. A cost above the burst is never there: INT64_MAX.
  int64_t Wait(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, Spot* spot = nullptr) const {
    const int64_t ticks = bucket.TicksOf(cost);
    if (ticks > bucket.capacity_ticks()) return std::numeric_limits<int64_t>::max();
    Cell seen;
    Cell* const cell = Find(key, &seen);
    if (spot != nullptr) {
      spot->cell = cell;
      spot->seen = seen;
      spot->looked = true;
    }
    if (cell == nullptr) return 0;
    const int64_t now_ticks = TicksAt(now);
    const int64_t over = std::max(seen.tat, now_ticks) + ticks - now_ticks - bucket.capacity_ticks();
    return over <= 0 ? 0 : NsOf(over);
  }
  // Takes `cost` tokens if all are there and returns 0, else takes none and returns the wait.
  int64_t Take(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
    PrefetchLine(&SecondLine(key));  // comes along with the first instead of after it
    return TakeAnew(key, bucket, cost, now, Spot());
  }
  // The same of a key that Wait has just looked for.
  int64_t Take(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, const Spot& spot) {
    if (spot.cell != nullptr) {
      // Nearly always nobody was at it meanwhile, and what was there is there.
      const int64_t now_ticks = TicksAt(now);
      const Cell wanted = {TagOf(key, bucket), std::max(spot.seen.tat, now_ticks) + bucket.TicksOf(cost)};
      if (wanted.tat - now_ticks <= bucket.capacity_ticks() && spot.cell->Swap(spot.seen, wanted)) return 0;
    }
    return TakeAnew(key, bucket, cost, now, spot);
  }
  // Gives back what Take took, where a later limit of the same check refused.
  void GiveBack(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now);
  // Takes `cost` tokens whether they are there or not, down to a debt of two bursts.
  void Charge(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now);
  // Takes all that is there: from now the bucket fills anew. Writes nothing where it is all but empty already.
  void Drain(Hash128 key, const TokenBucket& bucket, MonotonicTime now);
  // How long until anything at all is left: for what is charged after the fact.
  int64_t WaitForAny(Hash128 key, const TokenBucket& bucket, MonotonicTime now) const;
  // Whether anything of the bucket is spent.
  bool IsSpending(Hash128 key, MonotonicTime now) const;

  Leases& leases() { return leases_; }
  const Leases& leases() const { return leases_; }
  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }

  size_t cells() const { return 2 * kLineCells * table_lines_; }
  // How many cells of a table, which has half of all, are in use at `now`: of one of more than 524,288 cells an
  // estimate from so many, spread over it. Reads 8 MB at most; for who looks on, not for checks.
  enum class Table { kKnown, kAnyones };
  size_t LiveCells(Table table, MonotonicTime now) const;
  // Live cells that were forgotten because a new key found no other place, since the start; and those of them that had
  // half of their bucket spent or more, so that a limit went unenforced for as long as that takes to refill.
  int64_t evicted_live() const { return evicted_live_.load(std::memory_order_relaxed); }
  int64_t evicted_spent() const { return evicted_spent_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kLineCells = 4;
  struct alignas(64) Line {
    std::array<Cell, kLineCells> cells;
  };

  static int64_t TicksAt(MonotonicTime now) { return now.ns * TokenBucket::kTicksPerNs; }
  static int64_t NsOf(int64_t ticks) { return (ticks + TokenBucket::kTicksPerNs - 1) / TokenBucket::kTicksPerNs; }
  static uint64_t TagOf(Hash128 key, const TokenBucket& bucket) {
    return (key.high & ~kSizeBits) |
           static_cast<uint64_t>(absl::bit_width(static_cast<uint64_t>(bucket.capacity_ticks())));
  }

  int64_t TakeAnew(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, const Spot& spot);
  template <typename Move>
  int64_t MoveTat(Hash128 key, const TokenBucket& bucket, int64_t now_ticks, const Spot& spot, const Move& move);
  // The cell of `key`, and what it read; nullptr where there is none.
  Cell* Find(Hash128 key, Cell* seen) const {
    Cell* const cell = FindIn(FirstLine(key), key, seen);
    return cell != nullptr ? cell : FindIn(SecondLine(key), key, seen);
  }
  static Cell* FindIn(Line& line, Hash128 key, Cell* seen) {
    for (Cell& cell : line.cells) {
      const Cell named = {__atomic_load_n(&cell.key, __ATOMIC_ACQUIRE), 0};
      if (!named.IsOf(key)) continue;
      *seen = cell.Load();
      if (seen->IsOf(key)) return &cell;
    }
    return nullptr;
  }
  bool Claim(Hash128 key, int64_t now_ticks, const Cell& wanted);
  // Lines of the known keys first, then of the others.
  Line& LineAt(Hash128 key, uint64_t hash) const {
    return lines_[(key.high & 1 ? 0 : table_lines_) + (hash & (table_lines_ - 1))];
  }
  Line& FirstLine(Hash128 key) const { return LineAt(key, key.low); }
  Line& SecondLine(Hash128 key) const { return LineAt(key, key.low >> 32 ^ key.low * 0x9E3779B97F4A7C15u); }

  const size_t table_lines_;  // of each table
  HugeBytes memory_;
  Line* const lines_;  // in memory_
  static constexpr size_t kClaimLocks = 1024;
  std::array<std::atomic_flag, kClaimLocks> claim_locks_{};
  std::atomic<int64_t> evicted_live_{0};
  std::atomic<int64_t> evicted_spent_{0};

  Leases leases_;
  Ledger ledger_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIMITER_H_
