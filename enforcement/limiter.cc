#include "enforcement/limiter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "absl/numeric/bits.h"

namespace sluice {
namespace {

// 1/16 ns: a rate of 30,000/s is then off by 1e-6 at most, and 63 bits last for 18 years.
constexpr int64_t kTicksPerNs = 16;
constexpr double kTicksPerSecond = 16e9;
constexpr int64_t kTicksMax = std::numeric_limits<int64_t>::max() / 8;

int64_t TicksAt(MonotonicTime now) { return now.ns * kTicksPerNs; }

int64_t NsOf(int64_t ticks) { return (ticks + kTicksPerNs - 1) / kTicksPerNs; }

int64_t CeilTicks(double ticks) {
  // Beyond 2^53 a double has no fraction to round; far beyond that lies no time that anyone waits for.
  return ticks >= static_cast<double>(kTicksMax) ? kTicksMax : static_cast<int64_t>(std::ceil(ticks));
}

using Word = unsigned __int128;

// The low bits of a cell's key are no part of the name: they say how large its bucket is, as the number of bits of its
// capacity, so that buckets of different limits can be compared by the share that is spent of them.
constexpr uint64_t kSizeBits = 63;

uint64_t TagOf(Hash128 key, const TokenBucket& bucket) {
  return (key.high & ~kSizeBits) |
         static_cast<uint64_t>(absl::bit_width(static_cast<uint64_t>(bucket.capacity_ticks())));
}

bool IsOf(uint64_t tag, Hash128 key) { return ((tag ^ key.high) & ~kSizeBits) == 0 && tag != 0; }

// A cell as it was at some moment. A TAT is never read under the name of a key that had the cell before or after: who
// is refused on what was read here is refused for what it took itself.
template <typename Cell>
Cell Load(const Cell& cell) {
  Cell seen;
  do {
    seen.key = __atomic_load_n(&cell.key, __ATOMIC_ACQUIRE);
    seen.tat = __atomic_load_n(&cell.tat, __ATOMIC_ACQUIRE);
  } while (seen.key != __atomic_load_n(&cell.key, __ATOMIC_ACQUIRE));
  return seen;
}

// Key and TAT move together, so that nobody charges a cell that was given to another key a moment ago.
template <typename Cell>
bool Swap(Cell* cell, const Cell& seen, const Cell& wanted) {
  static_assert(sizeof(Cell) == sizeof(Word));
  Word old_word, new_word;
  std::memcpy(&old_word, &seen, sizeof(Word));
  std::memcpy(&new_word, &wanted, sizeof(Word));
  return __sync_bool_compare_and_swap(reinterpret_cast<Word*>(cell), old_word, new_word);
}

// How much of its bucket a live cell has spent, to within a factor of two: 1 = all.
template <typename Cell>
double SpentShare(const Cell& cell, int64_t now_ticks) {
  return std::ldexp(static_cast<double>(cell.tat - now_ticks), -static_cast<int>(cell.key & kSizeBits));
}

}  // namespace

TokenBucket::TokenBucket(double rate, double burst) {
  // Rounded up to whole ticks a token where tokens are slow enough for that to be exact to 1e-4; a faster bucket
  // (bytes) rounds each cost as a whole.
  const double exact = kTicksPerSecond / rate;
  ticks_per_token_ = exact >= 1e4 ? std::ceil(exact) : exact;
  ticks_of_one_ = CeilTicks(ticks_per_token_);
  capacity_ticks_ = CeilTicks(ticks_per_token_ * burst);
}

int64_t TokenBucket::TicksOf(double cost) const {
  return cost == 1 ? ticks_of_one_ : CeilTicks(ticks_per_token_ * cost);
}

Limiter::Limiter(Options options)
    : table_lines_(absl::bit_ceil(std::max<size_t>(options.cells, 2 * kLineCells)) / (2 * kLineCells)),
      memory_(2 * table_lines_ * sizeof(Line)),
      lines_(reinterpret_cast<Line*>(memory_.data())),
      leases_(options.leases),
      ledger_(options.ledger) {}

Limiter::Cell* Limiter::Find(Hash128 key, Cell* seen) const {
  const auto find_in = [&](Line& line) -> Cell* {
    for (Cell& cell : line.cells) {
      if (!IsOf(__atomic_load_n(&cell.key, __ATOMIC_ACQUIRE), key)) continue;
      *seen = Load(cell);
      if (IsOf(seen->key, key)) return &cell;
    }
    return nullptr;
  };
  // Where the first line is not in the cache, the second comes along with it instead of after it.
  Line& second = SecondLine(key);
  PrefetchLine(&second);
  Cell* const cell = find_in(FirstLine(key));
  return cell != nullptr ? cell : find_in(second);
}

size_t Limiter::LiveCells(Table table, MonotonicTime now) const {
  constexpr size_t kLooksMax = size_t{1} << 17;  // of lines; a power of two, as the table is
  const Line* const lines = lines_ + (table == Table::kKnown ? 0 : table_lines_);
  const size_t stride = std::max<size_t>(table_lines_ / kLooksMax, 1);
  const int64_t now_ticks = TicksAt(now);
  size_t live = 0;
  // Where a key stands is its hash: every so many-th line is as good as any others.
  for (size_t i = 0; i < table_lines_; i += stride) {
    for (const Cell& cell : lines[i].cells) {
      if (__atomic_load_n(&cell.tat, __ATOMIC_RELAXED) > now_ticks) ++live;
    }
  }
  return live * stride;
}

// Gives `key` a cell that reads `wanted`. False where it has one already: another thread was faster.
bool Limiter::Claim(Hash128 key, int64_t now_ticks, const Cell& wanted) {
  // Only one thread at a time may give this key a cell, or it could get two, and twice its burst. Held for one look at
  // eight cells; threads that find their key never come here.
  std::atomic_flag& lock = claim_locks_[(key.high >> 6) % kClaimLocks];
  while (lock.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  bool claimed = false;
  for (Cell seen; !claimed && Find(key, &seen) == nullptr;) {
    // The first cell that holds nothing, so that keys stand in their first line where they can.
    Cell* victim = nullptr;
    Cell victim_seen;
    double least = std::numeric_limits<double>::infinity();
    for (Line* line : {&FirstLine(key), &SecondLine(key)}) {
      for (Cell& cell : line->cells) {
        const Cell candidate = Load(cell);
        const double share = candidate.tat <= now_ticks ? -1 : SpentShare(candidate, now_ticks);
        if (share >= least) continue;
        least = share;
        victim = &cell;
        victim_seen = candidate;
      }
    }
    claimed = Swap(victim, victim_seen, wanted);
    if (!claimed || least < 0) continue;
    evicted_live_.fetch_add(1, std::memory_order_relaxed);
    if (least >= 0.5) evicted_spent_.fetch_add(1, std::memory_order_relaxed);
  }
  lock.clear(std::memory_order_release);
  return claimed;
}

// Moves the TAT of `key` to what `move(base, &wait)` returns, base being the later of its TAT and now. A positive wait
// is a refusal: nothing moves. Returns that wait, else 0.
template <typename Move>
int64_t Limiter::MoveTat(Hash128 key, const TokenBucket& bucket, int64_t now_ticks, const Spot& spot,
                         const Move& move) {
  Cell* cell = spot.cell;
  Cell seen = spot.seen;
  if (cell == nullptr) cell = Find(key, &seen);
  for (;;) {
    int64_t wait = 0;
    const int64_t base = cell == nullptr ? now_ticks : std::max(seen.tat, now_ticks);
    Cell wanted;
    wanted.key = TagOf(key, bucket);
    wanted.tat = move(base, &wait);
    if (wait > 0) return wait;
    if (cell != nullptr) {
      if (wanted.tat == seen.tat || Swap(cell, seen, wanted)) return 0;
    } else if (wanted.tat <= now_ticks || Claim(key, now_ticks, wanted)) {
      return 0;  // what holds nothing needs no cell
    }
    cell = Find(key, &seen);
  }
}

int64_t Limiter::Wait(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, Spot* spot) const {
  const int64_t ticks = bucket.TicksOf(cost);
  if (ticks > bucket.capacity_ticks()) return std::numeric_limits<int64_t>::max();
  Cell seen;
  Cell* const cell = Find(key, &seen);
  if (cell == nullptr) return 0;
  if (spot != nullptr) {
    spot->cell = cell;
    spot->seen = seen;
  }
  const int64_t now_ticks = TicksAt(now);
  const int64_t over = std::max(seen.tat, now_ticks) + ticks - now_ticks - bucket.capacity_ticks();
  return over <= 0 ? 0 : NsOf(over);
}

int64_t Limiter::Take(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, const Spot& spot) {
  const int64_t ticks = bucket.TicksOf(cost);
  if (ticks > bucket.capacity_ticks()) return std::numeric_limits<int64_t>::max();
  const int64_t now_ticks = TicksAt(now);
  return MoveTat(key, bucket, now_ticks, spot, [&](int64_t base, int64_t* wait) {
    const int64_t over = base + ticks - now_ticks - bucket.capacity_ticks();
    if (over > 0) *wait = NsOf(over);
    return base + ticks;
  });
}

void Limiter::GiveBack(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
  const int64_t ticks = bucket.TicksOf(cost);
  MoveTat(key, bucket, TicksAt(now), Spot(), [&](int64_t base, int64_t*) { return base - ticks; });
}

void Limiter::Charge(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
  const int64_t ticks = bucket.TicksOf(cost);
  const int64_t now_ticks = TicksAt(now);
  // Nothing left is at capacity; two bursts below that the debt ends.
  const int64_t latest = bucket.capacity_ticks() > kTicksMax / 3 ? kTicksMax : now_ticks + 3 * bucket.capacity_ticks();
  MoveTat(key, bucket, now_ticks, Spot(), [&](int64_t base, int64_t*) {
    return std::max(base, std::min(ticks > kTicksMax - base ? kTicksMax : base + ticks, latest));
  });
}

void Limiter::Drain(Hash128 key, const TokenBucket& bucket, MonotonicTime now) {
  const int64_t now_ticks = TicksAt(now);
  const int64_t empty = now_ticks + bucket.capacity_ticks();
  MoveTat(key, bucket, now_ticks, Spot(),
          [&](int64_t base, int64_t*) { return base >= empty - bucket.capacity_ticks() / 64 ? base : empty; });
}

int64_t Limiter::WaitForAny(Hash128 key, const TokenBucket& bucket, MonotonicTime now) const {
  Cell seen;
  if (Find(key, &seen) == nullptr) return 0;
  const int64_t over = seen.tat - TicksAt(now) - bucket.capacity_ticks();
  return over < 0 ? 0 : NsOf(over + 1);
}

bool Limiter::IsSpending(Hash128 key, MonotonicTime now) const {
  Cell seen;
  return Find(key, &seen) != nullptr && seen.tat > TicksAt(now);
}

}  // namespace sluice
