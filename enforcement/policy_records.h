// What the two copies of a policy share: the records of accounts, buckets and domains, of which there are millions, the
// filter before the flags, and the bookkeeping of the one writer.
//
// Each record has one place, not one a copy. A copy of the policy sees the tables through TableViews: the table, and
// over it what this copy has changed and the table does not have yet. PolicyIndex settles those changes into the table
// when no reader is left who would look there for what changes, and tells the readers of the copy.
#ifndef SLUICE_ENFORCEMENT_POLICY_RECORDS_H_
#define SLUICE_ENFORCEMENT_POLICY_RECORDS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/event.h"
#include "enforcement/flag_filter.h"
#include "enforcement/flag_reader.h"
#include "enforcement/name_pool.h"
#include "enforcement/record_table.h"

namespace sluice {

// An account's name and standing. Nearly every account was opened, then paid: two states and when each began. What is
// longer lies beside, as EncodeTimeline made it.
struct AccountRecord {
  enum Form : uint8_t { kNameOnly, kOneState, kTwoStates, kCoded };

  uint64_t tag;
  int64_t first_ns;  // since 1970; kCoded: the place of the code
  int64_t second_ns;
  NamePool::Place name;
  uint16_t check;
  uint8_t form : 7;
  uint8_t clocked : 1;  // a parameter may move one of its times, or let a fact count that did not
  uint8_t states;       // the first state in the low half, the second in the high one

  void Remember(Hash128 key) { check = static_cast<uint16_t>(key.low); }
  bool Remembers(Hash128 key) const { return check == static_cast<uint16_t>(key.low); }
  NamePool::Place code() const { return form == kCoded ? static_cast<NamePool::Place>(first_ns) : 0; }
  AccountState first() const { return static_cast<AccountState>(states & 15); }
  AccountState second() const { return static_cast<AccountState>(states >> 4); }
};
static_assert(sizeof(AccountRecord) == 32);

// In `from_ns`: the binding changes at a later date, so that the copies keep it as Dated.
inline constexpr int64_t kDatedNs = std::numeric_limits<int64_t>::min();

// Whose a bucket is, and since when.
struct BucketRecord {
  uint64_t tag;
  uint64_t low;
  int64_t from_ns;
  Hash128 account;

  void Remember(Hash128 key) { low = key.low; }
  bool Remembers(Hash128 key) const { return low == key.low; }
};
static_assert(sizeof(BucketRecord) == 40);

// What a host, or the hosts below one, are bound to.
struct DomainRecord {
  uint64_t tag;
  int64_t from_ns;
  NamePool::Place account;  // the name of the account's record
  NamePool::Place bucket;   // this record's own
  uint32_t check;
  uint8_t geo;
  uint8_t spare[3];

  void Remember(Hash128 key) { check = static_cast<uint32_t>(key.low); }
  bool Remembers(Hash128 key) const { return check == static_cast<uint32_t>(key.low); }
};
static_assert(sizeof(DomainRecord) == 32);

// Whether 64 bits of nanoseconds since 1970 hold `time`.
inline bool FitsNanos(absl::Time time) { return absl::FromUnixNanos(absl::ToUnixNanos(time)) == time; }

struct PolicyRecords {
  PolicyRecords() = default;
  PolicyRecords(const PolicyRecords&) = delete;
  PolicyRecords& operator=(const PolicyRecords&) = delete;

  NamePool names;
  // Fuller where the record and its name leave less of the 64 bytes that an entity may take.
  RecordTable<AccountRecord> accounts{0.875};
  RecordTable<BucketRecord> buckets{0.8};
  RecordTable<DomainRecord> domains{0.875};
  FlagFilter flag_filter;
  // nullptr: there is no store behind, all flags are compiled.
  const FlagReader* flags = nullptr;

  // ---- The writer's alone -------------------------------------------------------------------------------------------

  // What is retained of an entity, changes that are not yet committed among it. Asked where a parameter changes.
  std::function<absl::optional<Entity>(const EntityKey&)> facts;

  // The same of all entities of a kind.
  std::function<void(EntityKind kind, const std::function<void(const Entity&)>& visit)> each;

  // By wildcard ("*.x") that a hold is on: every domain below it that there ever was.
  std::map<std::string, std::set<std::string>> hosts_below;
  std::vector<std::string> hosts_put;  // domains put since the last Publish, which `each` may not know yet
  absl::btree_set<std::pair<int64_t, NamePool::Place>> due;  // when something may be announced, and of whom
  std::map<std::string, absl::Time, std::less<>> announced;  // RECLAIMABLE, and told so when; in order of id
  bool recheck_announced = false;                            // something changed that may cancel one of them
};

// One copy's sight of a table. Find is for readers of the copy, all else for the writer.
template <typename Record>
class TableView {
 public:
  explicit TableView(RecordTable<Record>* table) : table_(table) {}

  const Record* Find(Hash128 key) const {
    if (loading_) return table_->FindWritten(key);
    // Acquire: once settled, the table has all that this copy changed.
    if (!settled_.load(std::memory_order_acquire)) {
      const auto it = changed_.find(key);
      if (it != changed_.end()) return it->second.has_value() ? &*it->second : nullptr;
    }
    return table_->Find(key);
  }
  void Prefetch(Hash128 key) const { table_->Prefetch(key); }
  // Every record, for a reader that holds the copy. The table changes only before this copy is settled, for which it
  // waits, and after it has been given up.
  template <typename Visit>
  void ForEachShown(const Visit& visit) const {
    while (!settled_.load(std::memory_order_acquire)) std::this_thread::yield();
    table_->ForEachShown(visit);
  }

  // REQUIRES: no reader has this copy, or, while loading, none looks for this key.
  void Put(Hash128 key, const Record& record) { Change(key, record); }
  void Erase(Hash128 key) { Change(key, absl::nullopt); }
  // The record that Put gave and that no reader has seen; nullptr where there is none.
  const Record* Pending(Hash128 key) const {
    const auto it = changed_.find(key);
    return it == changed_.end() || !it->second.has_value() ? nullptr : &*it->second;
  }
  // Every record of the table and of the changes; those changed may come twice, once as they were.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (const auto& [key, record] : changed_) {
      if (record.has_value()) visit(*record);
    }
    table_->ForEach(visit);
  }

  // Moves the changes to the table and calls `dropped` with each record that they replace. REQUIRES: no reader has the
  // other copy.
  template <typename Dropped>
  void Settle(const Dropped& dropped) {
    Record old;
    for (const auto& [key, record] : changed_) {
      if (record.has_value() ? table_->Put(key, *record, &old) : table_->Erase(key, &old)) dropped(old);
    }
    settled_.store(true, std::memory_order_release);
  }
  // After Settle, when no reader has this copy any more.
  void Forget() { changed_.clear(); }

  // Loading changes the table at once. REQUIRES: no reader finds anything yet.
  void BeginLoading() {
    loading_ = true;
    table_->BeginLoading();
  }
  void EndLoading() {
    loading_ = false;
    table_->EndLoading();
  }

 private:
  void Change(Hash128 key, absl::optional<Record> record) {
    Record old;
    if (loading_) {
      record.has_value() ? table_->Put(key, *record, &old) : table_->Erase(key, &old);
      return;
    }
    settled_.store(false, std::memory_order_relaxed);  // seen with the copy itself
    changed_[key] = record;
  }

  RecordTable<Record>* const table_;
  absl::flat_hash_map<Hash128, absl::optional<Record>> changed_;
  std::atomic<bool> settled_{true};
  bool loading_ = false;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_POLICY_RECORDS_H_
