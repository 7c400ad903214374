#include "enforcement/limiter.h"

#include <cmath>
#include <cstring>
#include <thread>

namespace sluice {
namespace {

constexpr double kTicksPerSecond = 16e9;
constexpr int64_t kTicksMax = std::numeric_limits<int64_t>::max() / 8;

int64_t CeilTicks(double ticks) {
  // Beyond 2^53 a double has no fraction to round; far beyond that lies no time that anyone waits for.
  return ticks >= static_cast<double>(kTicksMax) ? kTicksMax : static_cast<int64_t>(std::ceil(ticks));
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

int64_t TokenBucket::TicksOfMany(double cost) const { return CeilTicks(ticks_per_token_ * cost); }

bool Limiter::Cell::Swap(const Cell& seen, const Cell& wanted) {
  using Word = unsigned __int128;
  static_assert(sizeof(Cell) == sizeof(Word));
  Word old_word, new_word;
  std::memcpy(&old_word, &seen, sizeof(Word));
  std::memcpy(&new_word, &wanted, sizeof(Word));
  return __sync_bool_compare_and_swap(reinterpret_cast<Word*>(this), old_word, new_word);
}

double Limiter::Cell::SpentShare(int64_t now_ticks) const {
  return std::ldexp(static_cast<double>(tat - now_ticks), -static_cast<int>(key & kSizeBits));
}

Limiter::Limiter(Options options)
    : table_lines_(absl::bit_ceil(std::max<size_t>(options.cells, 2 * kLineCells)) / (2 * kLineCells)),
      memory_(2 * table_lines_ * sizeof(Line)),
      lines_(reinterpret_cast<Line*>(memory_.data())),
      leases_(options.leases),
      ledger_(options.ledger) {}

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
  bool claimed = false, has_one = false;
  while (!claimed) {
    // The first cell that holds nothing, so that keys stand in their first line where they can.
    Cell* victim = nullptr;
    Cell victim_seen;
    double least = std::numeric_limits<double>::infinity();
    for (Line* line : {&FirstLine(key), &SecondLine(key)}) {
      for (Cell& cell : line->cells) {
        const Cell candidate = cell.Load();
        has_one |= candidate.IsOf(key);
        if (least < 0) continue;
        const double share = candidate.tat <= now_ticks ? -1 : candidate.SpentShare(now_ticks);
        if (share >= least) continue;
        least = share;
        victim = &cell;
        victim_seen = candidate;
      }
    }
    if (has_one) break;
    claimed = victim->Swap(victim_seen, wanted);
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
  if (cell == nullptr && !spot.looked) cell = Find(key, &seen);
  for (;;) {
    int64_t wait = 0;
    const int64_t base = cell == nullptr ? now_ticks : std::max(seen.tat, now_ticks);
    Cell wanted;
    wanted.key = TagOf(key, bucket);
    wanted.tat = move(base, &wait);
    if (wait > 0) return wait;
    if (cell != nullptr) {
      if (wanted.tat == seen.tat || cell->Swap(seen, wanted)) return 0;
    } else if (wanted.tat <= now_ticks || Claim(key, now_ticks, wanted)) {
      return 0;  // what holds nothing needs no cell
    }
    cell = Find(key, &seen);
  }
}

int64_t Limiter::TakeAnew(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now, const Spot& spot) {
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
