// What is held (stored bytes and objects, buckets), the traffic of the natural day, and which reports were counted. All
// of it outlives a restart: what a report changes is in the journal before it is acknowledged, and from there goes to
// the store in batches. Source: docs/decisions/2026-11-26-amounts-that-last.md.
#ifndef SLUICE_ENFORCEMENT_LEDGER_H_
#define SLUICE_ENFORCEMENT_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/civil_time.h"
#include "enforcement/leases.h"
#include "enforcement/names.h"

namespace sluice {

struct HeldAmount {
  int64_t amount = 0;
  int64_t set_at = 0;  // revision of the SetUsage that it counts on from; 0 = none
};
struct DayTraffic {
  absl::CivilDay day;
  int64_t bytes = 0;
  int64_t day_before = 0;  // midnight has to pass by the slowest clock before yesterday is forgotten
  int64_t set_at = 0;
  bool stranger = false;  // counted against strangers_max
};

struct AmountChange {
  enum class What : uint8_t { kHeld = 1, kTraffic = 2 };
  What what = What::kHeld;
  bool set = false;    // `amount` replaces what is there, at `revision`; else it is added to it
  bool known = false;  // the policy knows the subject: no bound turns it away
  Hash128 key;
  absl::CivilDay day;  // of traffic
  int64_t amount = 0;
  int64_t revision = 0;
  // Of `set`: told by the event itself as it is applied, so that it counts whatever was set before. Else told again at
  // a start, and passed over where the amount is as new.
  bool fresh = false;
};

// What one call changes: all of it or nothing.
struct LedgerRecord {
  Hash128 report;  // zero: the caller gave no id
  std::vector<AmountChange> changes;
  std::vector<LeaseKey> ended;
};

// Where records go before they count. Implemented by the store.
class LedgerJournal {
 public:
  virtual ~LedgerJournal() = default;
  // The record survives the process once this returns OK. Called by one thread at a time.
  virtual absl::Status Append(const LedgerRecord& record) = 0;
};

class Ledger {
 public:
  struct Options {
    size_t reports_max = size_t{1} << 18;    // the most recent ids; a report repeated after so many others counts again
    size_t strangers_max = size_t{1} << 20;  // amounts of subjects that the policy does not know; 100 bytes each
  };
  explicit Ledger(Options options) : options_(options) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // ---- For checks: wait for no I/O. Thread-safe. --------------------------------------------------------------------

  int64_t Held(Hash128 key) const ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  int64_t Traffic(Hash128 key, absl::CivilDay day) const ABSL_LOCKS_EXCLUDED(amounts_mutex_);

  // ---- For reports and SetUsage: wait for the journal. Thread-safe. -------------------------------------------------

  // Journals and counts `record`. False where its report was counted before: then nothing changed. An error is the
  // journal's, and then nothing changed either: the caller may repeat it. Ended leases are the caller's to end.
  absl::StatusOr<bool> Record(const LedgerRecord& record) ABSL_LOCKS_EXCLUDED(order_mutex_, amounts_mutex_);

  // Changes of strangers that found no room, since the start: their amounts are too low, never too high.
  int64_t turned_away() const { return turned_away_.load(std::memory_order_relaxed); }
  // Amounts in memory.
  size_t size() const ABSL_LOCKS_EXCLUDED(amounts_mutex_);

  // ---- For the store ------------------------------------------------------------------------------------------------

  // Amounts as they are after the last of a run of records, and the reports counted in it.
  struct Batch {
    absl::flat_hash_map<Hash128, HeldAmount> held;
    absl::flat_hash_map<Hash128, DayTraffic> traffic;
    std::vector<Hash128> reports;  // oldest first
    bool empty() const { return held.empty() && traffic.empty() && reports.empty(); }
  };
  // Counts what was kept. Call before SetJournal, oldest reports first.
  void Restore(const Batch& batch) ABSL_LOCKS_EXCLUDED(order_mutex_, amounts_mutex_);
  // Counts a record that is journaled already.
  void Replay(const LedgerRecord& record) ABSL_LOCKS_EXCLUDED(order_mutex_, amounts_mutex_);
  // Records go to `journal` from now on, which must outlive the ledger or be taken away with nullptr. What changes from
  // now on, and what Replay changed, comes with the next Cut.
  void SetJournal(LedgerJournal* journal) ABSL_LOCKS_EXCLUDED(order_mutex_);
  // What changed since the last cut. `at` is called at the moment of the cut: no record is journaled meanwhile, all
  // before are in the batch and all after in the next.
  Batch Cut(const std::function<void()>& at) ABSL_LOCKS_EXCLUDED(order_mutex_);
  // The batch could not be kept: it comes with the next cut as well.
  void Uncut(Batch batch) ABSL_LOCKS_EXCLUDED(order_mutex_);
  // Whether anything changed since the last cut.
  bool changed() const ABSL_LOCKS_EXCLUDED(order_mutex_);
  // Forgets traffic of days before the one that came before `day`.
  void ForgetTrafficBefore(absl::CivilDay day) ABSL_LOCKS_EXCLUDED(amounts_mutex_);

 private:
  void Apply(const LedgerRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_mutex_)
      ABSL_LOCKS_EXCLUDED(amounts_mutex_);
  void ApplyHeld(const AmountChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_mutex_, amounts_mutex_);
  void ApplyTraffic(const AmountChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_mutex_, amounts_mutex_);
  bool HasRoom(const AmountChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(amounts_mutex_);
  void Remember(Hash128 report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(order_mutex_);

  const Options options_;
  std::atomic<int64_t> turned_away_{0};

  // Held while a record is journaled and counted, so that the journal's order is that of counting. Checks never take
  // it.
  mutable absl::Mutex order_mutex_ ABSL_ACQUIRED_BEFORE(amounts_mutex_);
  LedgerJournal* journal_ ABSL_GUARDED_BY(order_mutex_) = nullptr;
  Batch changed_ ABSL_GUARDED_BY(order_mutex_);
  bool tracking_ ABSL_GUARDED_BY(order_mutex_) = false;
  absl::flat_hash_set<Hash128> reports_ ABSL_GUARDED_BY(order_mutex_);
  std::deque<Hash128> report_order_ ABSL_GUARDED_BY(order_mutex_);

  mutable absl::Mutex amounts_mutex_;
  absl::flat_hash_map<Hash128, HeldAmount> held_ ABSL_GUARDED_BY(amounts_mutex_);
  absl::flat_hash_map<Hash128, DayTraffic> traffic_ ABSL_GUARDED_BY(amounts_mutex_);
  size_t strangers_ ABSL_GUARDED_BY(amounts_mutex_) = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LEDGER_H_
