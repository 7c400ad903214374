#include "enforcement/limiter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <thread>

#include "absl/numeric/bits.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

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

}  // namespace

TokenBucket::TokenBucket(double rate, double burst) {
  // Rounded up to whole ticks a token where tokens are slow enough for that to be exact to 1e-4; a faster bucket
  // (bytes) rounds each cost as a whole.
  const double exact = kTicksPerSecond / rate;
  ticks_per_token_ = exact >= 1e4 ? std::ceil(exact) : exact;
  capacity_ticks_ = CeilTicks(ticks_per_token_ * burst);
}

int64_t TokenBucket::TicksOf(double cost) const { return CeilTicks(ticks_per_token_ * cost); }

void Limiter::LineDeleter::operator()(Line* lines) const {
  ::operator delete[](lines, std::align_val_t(alignof(Line)));
}

Limiter::Limiter(Options options) {
  line_count_ = absl::bit_ceil(std::max<size_t>(options.cells, 4) / 4);
  auto* lines = static_cast<Line*>(::operator new[](line_count_ * sizeof(Line), std::align_val_t(alignof(Line))));
  std::memset(static_cast<void*>(lines), 0, line_count_ * sizeof(Line));
  lines_.reset(lines);
  absl::MutexLock lock(&lease_mutex_);
  std::random_device device;  // so that a lease of an earlier process is no lease of this one
  lease_salt_ = static_cast<uint64_t>(device()) << 32 | device();
}

namespace {

// A cell as it was at some moment. The halves may be of two moments: the compare-and-swap that follows tells.
template <typename Cell>
Cell Load(const Cell& cell) {
  Cell seen;
  seen.key = __atomic_load_n(&cell.key, __ATOMIC_ACQUIRE);
  seen.tat = __atomic_load_n(&cell.tat, __ATOMIC_ACQUIRE);
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

uint64_t TagOf(Hash128 key) { return key.high | 1; }  // 0 means never used

}  // namespace

const Limiter::Cell* Limiter::Find(Hash128 key, Cell* seen) const {
  const uint64_t tag = TagOf(key);
  for (Line* line : {&FirstLine(key), &SecondLine(key)}) {
    for (Cell& cell : line->cells) {
      if (__atomic_load_n(&cell.key, __ATOMIC_ACQUIRE) != tag) continue;
      *seen = Load(cell);
      if (seen->key == tag) return &cell;
    }
  }
  return nullptr;
}

Limiter::Cell* Limiter::FindOrClaim(Hash128 key, int64_t now_ticks, Cell* seen) {
  if (const Cell* cell = Find(key, seen)) return const_cast<Cell*>(cell);
  // Only one thread at a time may give this key a cell, or it could get two, and twice its burst. Held for one look at
  // eight cells; threads that find their key never come here.
  std::atomic_flag& lock = claim_locks_[key.high % kClaimLocks];
  while (lock.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  Cell* claimed = nullptr;
  while (claimed == nullptr) {
    if (const Cell* cell = Find(key, seen)) {
      claimed = const_cast<Cell*>(cell);
      break;
    }
    Cell* victim = nullptr;
    Cell victim_seen;
    for (Line* line : {&FirstLine(key), &SecondLine(key)}) {
      for (Cell& cell : line->cells) {
        const Cell candidate = Load(cell);
        if (victim == nullptr || candidate.tat < victim_seen.tat) {
          victim = &cell;
          victim_seen = candidate;
        }
      }
    }
    Cell wanted;
    wanted.key = TagOf(key);
    wanted.tat = now_ticks;
    if (!Swap(victim, victim_seen, wanted)) continue;
    if (victim_seen.tat > now_ticks) evicted_live_.fetch_add(1, std::memory_order_relaxed);
    *seen = wanted;
    claimed = victim;
  }
  lock.clear(std::memory_order_release);
  return claimed;
}

// Moves the TAT of `key` to what `move(base, &wait)` returns, base being the later of its TAT and now. A positive wait
// is a refusal: nothing moves. Returns that wait, else 0.
template <typename Move>
int64_t Limiter::MoveTat(Hash128 key, int64_t now_ticks, const Move& move) {
  for (;;) {
    Cell seen;
    Cell* cell = FindOrClaim(key, now_ticks, &seen);
    int64_t wait = 0;
    const int64_t moved = move(std::max(seen.tat, now_ticks), &wait);
    if (wait > 0 || moved == seen.tat) return wait;
    Cell wanted = seen;
    wanted.tat = moved;
    if (Swap(cell, seen, wanted)) return 0;
  }
}

int64_t Limiter::Wait(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) const {
  const int64_t ticks = bucket.TicksOf(cost);
  if (ticks > bucket.capacity_ticks()) return std::numeric_limits<int64_t>::max();
  Cell seen;
  if (Find(key, &seen) == nullptr) return 0;
  const int64_t now_ticks = TicksAt(now);
  const int64_t over = std::max(seen.tat, now_ticks) + ticks - now_ticks - bucket.capacity_ticks();
  return over <= 0 ? 0 : NsOf(over);
}

int64_t Limiter::Take(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
  const int64_t ticks = bucket.TicksOf(cost);
  if (ticks > bucket.capacity_ticks()) return std::numeric_limits<int64_t>::max();
  const int64_t now_ticks = TicksAt(now);
  return MoveTat(key, now_ticks, [&](int64_t base, int64_t* wait) {
    const int64_t over = base + ticks - now_ticks - bucket.capacity_ticks();
    if (over > 0) *wait = NsOf(over);
    return base + ticks;
  });
}

void Limiter::GiveBack(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
  const int64_t ticks = bucket.TicksOf(cost);
  MoveTat(key, TicksAt(now), [&](int64_t base, int64_t*) { return base - ticks; });
}

void Limiter::Charge(Hash128 key, const TokenBucket& bucket, double cost, MonotonicTime now) {
  const int64_t ticks = bucket.TicksOf(cost);
  const int64_t now_ticks = TicksAt(now);
  // Nothing left is at capacity; two bursts below that the debt ends.
  const int64_t latest = bucket.capacity_ticks() > kTicksMax / 3 ? kTicksMax : now_ticks + 3 * bucket.capacity_ticks();
  MoveTat(key, now_ticks, [&](int64_t base, int64_t*) {
    return std::max(base, std::min(ticks > kTicksMax - base ? kTicksMax : base + ticks, latest));
  });
}

int64_t Limiter::WaitForAny(Hash128 key, const TokenBucket& bucket, MonotonicTime now) const {
  Cell seen;
  if (Find(key, &seen) == nullptr) return 0;
  const int64_t over = seen.tat - TicksAt(now) - bucket.capacity_ticks();
  return over < 0 ? 0 : NsOf(over + 1);
}

// ---- Leases
// ----------------------------------------------------------------------------------------------------------

void Limiter::Release(const Lease& lease) {
  for (const Hash128 key : lease.keys) {
    const auto it = lease_counts_.find(key);
    if (it != lease_counts_.end() && --it->second <= 0) lease_counts_.erase(it);
  }
}

void Limiter::DropExpiredLeases(MonotonicTime now) {
  if (now < next_lease_sweep_) return;
  MonotonicTime next{std::numeric_limits<int64_t>::max()};
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (it->second.until < now || it->second.until == now) {
      Release(it->second);
      leases_.erase(it++);
    } else {
      next = std::min(next, it->second.until);
      ++it;
    }
  }
  next_lease_sweep_ = next;
}

bool Limiter::TakeLease(absl::Span<const Cap> caps, absl::Duration lasts, MonotonicTime now, std::string* lease_id,
                        size_t* refused) {
  absl::MutexLock lock(&lease_mutex_);
  DropExpiredLeases(now);
  const MonotonicTime until{now.ns + absl::ToInt64Nanoseconds(lasts)};
  if (const auto known = leases_.find(*lease_id); known != leases_.end()) {
    known->second.until = until;  // no sweep is due sooner than planned
    return true;
  }
  for (size_t i = 0; i < caps.size(); ++i) {
    const auto it = lease_counts_.find(caps[i].key);
    if ((it == lease_counts_.end() ? 0 : it->second) >= caps[i].most) {
      *refused = i;
      return false;
    }
  }
  Lease lease;
  lease.until = until;
  for (const Cap& cap : caps) {
    ++lease_counts_[cap.key];
    lease.keys.push_back(cap.key);
  }
  *lease_id = absl::StrFormat("%016x-%x", lease_salt_, next_lease_++);
  leases_.emplace(*lease_id, std::move(lease));
  next_lease_sweep_ = std::min(next_lease_sweep_, until);
  return true;
}

bool Limiter::EndLease(absl::string_view lease_id, MonotonicTime now) {
  absl::MutexLock lock(&lease_mutex_);
  DropExpiredLeases(now);
  const auto it = leases_.find(lease_id);
  if (it == leases_.end()) return false;
  Release(it->second);
  leases_.erase(it);
  return true;
}

bool Limiter::HoldsLease(absl::string_view lease_id, MonotonicTime now) {
  absl::MutexLock lock(&lease_mutex_);
  DropExpiredLeases(now);
  return leases_.contains(lease_id);
}

int64_t Limiter::LeasesHeld(Hash128 key, MonotonicTime now) {
  absl::MutexLock lock(&lease_mutex_);
  DropExpiredLeases(now);
  const auto it = lease_counts_.find(key);
  return it == lease_counts_.end() ? 0 : it->second;
}

int64_t Limiter::leases() const {
  absl::MutexLock lock(&lease_mutex_);
  return static_cast<int64_t>(leases_.size());
}

// ---- Amounts
// ---------------------------------------------------------------------------------------------------------

int64_t Limiter::Held(Hash128 key) const {
  absl::MutexLock lock(&amounts_mutex_);
  const auto it = held_.find(key);
  return it == held_.end() ? 0 : it->second;
}

void Limiter::AddHeld(Hash128 key, int64_t delta) {
  absl::MutexLock lock(&amounts_mutex_);
  int64_t& held = held_[key];
  // Reports may come twice removed from the truth; what is stored is never less than nothing.
  if (__builtin_add_overflow(held, delta, &held)) held = delta > 0 ? std::numeric_limits<int64_t>::max() : 0;
  held = std::max<int64_t>(held, 0);
}

void Limiter::SetHeld(Hash128 key, int64_t amount) {
  absl::MutexLock lock(&amounts_mutex_);
  held_[key] = amount;
}

int64_t Limiter::Traffic(Hash128 key, absl::CivilDay day) const {
  absl::MutexLock lock(&amounts_mutex_);
  const auto it = traffic_.find(key);
  if (it == traffic_.end()) return 0;
  if (it->second.day == day) return it->second.bytes;
  return it->second.day == day + 1 ? it->second.day_before : 0;
}

Limiter::DayTraffic& Limiter::TrafficOn(Hash128 key, absl::CivilDay day) {
  DayTraffic& traffic = traffic_[key];
  if (traffic.day < day) traffic = {day, 0, traffic.day + 1 == day ? traffic.bytes : 0};
  return traffic;
}

void Limiter::AddTraffic(Hash128 key, absl::CivilDay day, int64_t bytes) {
  absl::MutexLock lock(&amounts_mutex_);
  DayTraffic& traffic = TrafficOn(key, day);
  if (__builtin_add_overflow(traffic.bytes, bytes, &traffic.bytes)) {
    traffic.bytes = std::numeric_limits<int64_t>::max();
  }
}

void Limiter::SetTraffic(Hash128 key, absl::CivilDay day, int64_t bytes) {
  absl::MutexLock lock(&amounts_mutex_);
  TrafficOn(key, day).bytes = bytes;
}

}  // namespace sluice
