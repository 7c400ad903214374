#include "enforcement/leases.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace sluice {

std::string FormatLease(LeaseKey key) { return absl::StrFormat("%016x-%x", key.process, key.number); }

absl::optional<LeaseKey> ParseLease(absl::string_view id) {
  LeaseKey key;
  const size_t dash = id.find('-');
  if (dash != 16 || !absl::SimpleHexAtoi(id.substr(0, dash), &key.process) ||
      !absl::SimpleHexAtoi(id.substr(dash + 1), &key.number)) {
    return absl::nullopt;
  }
  return key;
}

Leases::Leases(Options options) : options_(options) {
  std::random_device device;  // so that a lease of an earlier process is no lease of this one
  absl::MutexLock lock(&mutex_);
  last_.process = static_cast<uint64_t>(device()) << 32 | device();
}

void Leases::Add(LeaseKey key, Lease lease) {
  for (const Hash128 cap : lease.keys) ++counts_[cap];
  lease.queued = lease.until;
  queue_.emplace(lease.queued.ns, key);
  leases_.emplace(key, std::move(lease));
}

void Leases::Drop(Map::iterator it) {
  for (const Hash128 cap : it->second.keys) {
    const auto count = counts_.find(cap);
    if (count != counts_.end() && --count->second <= 0) counts_.erase(count);
  }
  queue_.erase({it->second.queued.ns, it->first});
  Note(it->first);
  leases_.erase(it);
}

void Leases::DropExpired(MonotonicTime now) {
  while (!queue_.empty() && queue_.begin()->first <= now.ns) {
    const auto it = leases_.find(queue_.begin()->second);
    if (now < it->second.until) {  // renewed meanwhile
      queue_.erase(queue_.begin());
      it->second.queued = it->second.until;
      queue_.emplace(it->second.queued.ns, it->first);
    } else {
      Drop(it);
    }
  }
}

bool Leases::Take(absl::Span<const Cap> caps, absl::Duration lasts, MonotonicTime now, std::string* lease_id,
                  size_t* refused) {
  const MonotonicTime until{now.ns + absl::ToInt64Nanoseconds(lasts)};
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  if (const absl::optional<LeaseKey> named = ParseLease(*lease_id)) {
    if (const auto known = leases_.find(*named); known != leases_.end()) {
      known->second.until = std::max(known->second.until, until);
      Note(*named);
      return true;
    }
  }
  for (size_t i = 0; i < caps.size(); ++i) {
    const auto it = counts_.find(caps[i].key);
    if ((it == counts_.end() ? 0 : it->second) >= caps[i].most) {
      *refused = i;
      return false;
    }
  }
  ++last_.number;
  *lease_id = FormatLease(last_);
  if (caps.empty()) return true;
  if (leases_.size() >= options_.leases_max) {
    untracked_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  Lease lease;
  lease.until = until;
  for (const Cap& cap : caps) lease.keys.push_back(cap.key);
  Add(last_, std::move(lease));
  Note(last_);
  return true;
}

bool Leases::End(LeaseKey lease, MonotonicTime now) {
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return false;
  Drop(it);
  return true;
}

bool Leases::Holds(absl::string_view lease_id, MonotonicTime now) {
  const absl::optional<LeaseKey> lease = ParseLease(lease_id);
  if (!lease) return false;
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  return leases_.contains(*lease);
}

int64_t Leases::Held(Hash128 key, MonotonicTime now) {
  absl::MutexLock lock(&mutex_);
  DropExpired(now);
  const auto it = counts_.find(key);
  return it == counts_.end() ? 0 : it->second;
}

int64_t Leases::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(leases_.size());
}

void Leases::TrackChanges() {
  absl::MutexLock lock(&mutex_);
  tracking_ = true;
}

std::vector<Leases::Kept> Leases::TakeChanges(Moment now) {
  std::vector<Kept> changes;
  absl::MutexLock lock(&mutex_);
  changes.reserve(changed_.size());
  for (const LeaseKey key : changed_) {
    Kept kept;
    kept.lease = key;
    if (const auto it = leases_.find(key); it != leases_.end()) {
      kept.until = now.wall + absl::Nanoseconds(it->second.until.ns - now.mono.ns);
      kept.keys.assign(it->second.keys.begin(), it->second.keys.end());
    }
    changes.push_back(std::move(kept));
  }
  changed_.clear();
  return changes;
}

void Leases::MarkChanged(const std::vector<Kept>& again) {
  absl::MutexLock lock(&mutex_);
  for (const Kept& kept : again) Note(kept.lease);
}

void Leases::Restore(const Kept& kept, Moment now) {
  Lease lease;
  lease.until.ns = now.mono.ns + absl::ToInt64Nanoseconds(kept.until - now.wall);
  lease.keys.assign(kept.keys.begin(), kept.keys.end());
  absl::MutexLock lock(&mutex_);
  if (lease.until.ns <= now.mono.ns || leases_.contains(kept.lease)) {
    Note(kept.lease);  // it has ended, and need not be kept
    return;
  }
  Add(kept.lease, std::move(lease));
}

}  // namespace sluice
