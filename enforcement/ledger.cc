#include "enforcement/ledger.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

// What is stored is never less than nothing, though reports may be twice removed from the truth.
int64_t Add(int64_t amount, int64_t delta) {
  int64_t sum;
  if (__builtin_add_overflow(amount, delta, &sum)) return delta > 0 ? std::numeric_limits<int64_t>::max() : 0;
  return std::max<int64_t>(sum, 0);
}

// Whether what `change` sets is not there yet. By revisions alone only a repetition is known: a policy that was
// restored or begun anew counts its own from below.
bool Counts(const AmountChange& change, int64_t set_at) {
  return change.fresh || change.revision > set_at || change.revision == 0;
}

}  // namespace

int64_t Ledger::Held(Hash128 key) const {
  absl::MutexLock lock(&amounts_mutex_);
  const auto it = held_.find(key);
  return it == held_.end() ? 0 : it->second.amount;
}

int64_t Ledger::Traffic(Hash128 key, absl::CivilDay day) const {
  absl::MutexLock lock(&amounts_mutex_);
  const auto it = traffic_.find(key);
  if (it == traffic_.end()) return 0;
  if (it->second.day == day) return it->second.bytes;
  return it->second.day == day + 1 ? it->second.day_before : 0;
}

absl::StatusOr<bool> Ledger::Record(const LedgerRecord& record) {
  const bool named = !(record.report == Hash128());
  absl::MutexLock lock(&order_mutex_);
  if (named && reports_.contains(record.report)) return false;
  if (journal_ != nullptr && (named || !record.changes.empty() || !record.ended.empty())) {
    if (absl::Status status = journal_->Append(record); !status.ok()) return status;
  }
  Apply(record);
  return true;
}

void Ledger::Replay(const LedgerRecord& record) {
  absl::MutexLock lock(&order_mutex_);
  tracking_ = true;
  if (!(record.report == Hash128()) && reports_.contains(record.report)) return;
  Apply(record);
}

void Ledger::Apply(const LedgerRecord& record) {
  if (!(record.report == Hash128())) {
    Remember(record.report);
    if (tracking_) changed_.reports.push_back(record.report);
  }
  absl::MutexLock lock(&amounts_mutex_);
  for (const AmountChange& change : record.changes) {
    change.what == AmountChange::What::kHeld ? ApplyHeld(change) : ApplyTraffic(change);
  }
}

bool Ledger::HasRoom(const AmountChange& change) {
  if (change.known) return true;
  if (strangers_ >= options_.strangers_max) {
    turned_away_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  ++strangers_;
  return true;
}

void Ledger::ApplyHeld(const AmountChange& change) {
  auto it = held_.find(change.key);
  if (it == held_.end()) {
    if (!HasRoom(change)) return;
    it = held_.emplace(change.key, HeldAmount()).first;
  }
  HeldAmount& held = it->second;
  if (!change.set) {
    held.amount = Add(held.amount, change.amount);
  } else if (Counts(change, held.set_at)) {
    held = {change.amount, change.revision};
  } else {
    return;  // this one was taken over before the restart, and reports have gone on from there
  }
  if (tracking_) changed_.held[change.key] = held;
}

void Ledger::ApplyTraffic(const AmountChange& change) {
  auto it = traffic_.find(change.key);
  if (it == traffic_.end()) {
    if (!HasRoom(change)) return;
    it = traffic_.emplace(change.key, DayTraffic()).first;
    it->second.stranger = !change.known;
  }
  DayTraffic& traffic = it->second;
  if (traffic.day < change.day) {
    traffic.day_before = traffic.day + 1 == change.day ? traffic.bytes : 0;
    traffic.day = change.day;
    traffic.bytes = 0;
  }
  if (!change.set) {
    traffic.bytes = Add(traffic.bytes, change.amount);
  } else if (Counts(change, traffic.set_at)) {
    traffic.bytes = change.amount;
    traffic.set_at = change.revision;
  }
  if (tracking_) changed_.traffic[change.key] = traffic;
}

void Ledger::Remember(Hash128 report) {
  if (!reports_.insert(report).second) return;
  report_order_.push_back(report);
  if (report_order_.size() <= options_.reports_max) return;
  reports_.erase(report_order_.front());
  report_order_.pop_front();
}

size_t Ledger::size() const {
  absl::MutexLock lock(&amounts_mutex_);
  return held_.size() + traffic_.size();
}

void Ledger::Restore(const Batch& batch) {
  absl::MutexLock order(&order_mutex_);
  for (const Hash128 report : batch.reports) Remember(report);
  absl::MutexLock lock(&amounts_mutex_);
  // Whom the policy knows is not known yet: all that was kept has a place.
  for (const auto& [key, amount] : batch.held) held_[key] = amount;
  for (const auto& [key, amount] : batch.traffic) traffic_[key] = amount;
}

void Ledger::SetJournal(LedgerJournal* journal) {
  absl::MutexLock lock(&order_mutex_);
  journal_ = journal;
  tracking_ = journal != nullptr;
}

Ledger::Batch Ledger::Cut(const std::function<void()>& at) {
  absl::MutexLock lock(&order_mutex_);
  at();
  return std::exchange(changed_, Batch());
}

void Ledger::Uncut(Batch batch) {
  absl::MutexLock lock(&order_mutex_);
  // What has changed since stands; the rest comes again.
  for (auto& [key, amount] : batch.held) changed_.held.try_emplace(key, amount);
  for (auto& [key, amount] : batch.traffic) changed_.traffic.try_emplace(key, amount);
  batch.reports.insert(batch.reports.end(), changed_.reports.begin(), changed_.reports.end());
  changed_.reports = std::move(batch.reports);
}

bool Ledger::changed() const {
  absl::MutexLock lock(&order_mutex_);
  return !changed_.empty();
}

void Ledger::ForgetTrafficBefore(absl::CivilDay day) {
  absl::MutexLock lock(&amounts_mutex_);
  for (auto it = traffic_.begin(); it != traffic_.end();) {
    const auto entry = it++;
    if (entry->second.day + 1 >= day) continue;
    strangers_ -= entry->second.stranger ? 1 : 0;
    traffic_.erase(entry);
  }
}

}  // namespace sluice
