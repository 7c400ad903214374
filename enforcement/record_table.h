// Fixed-size records by 128-bit key, in one flat array that readers share with one writer.
//
// Open addressing, linear probing, no pointers: the array could stand in shared memory as it is. Readers take no lock
// and write nothing. The writer adds a record by writing its tag last, removes one by leaving a mark in its place, and
// changes one in place: never one that a reader may be looking at (policy_index.h says who may look at what). A full
// array is replaced by a larger one; the old one stays until FreeRetired.
//
// A record keeps the high half of its key as its tag, and what more of the low half it has room for. Keys are hashes
// under a secret, so two that agree in all that is kept are a matter of luck alone: below 1e-12 a table of ten million
// at 80 bits. Source: docs/decisions/2026-11-26-index.md
#ifndef SLUICE_ENFORCEMENT_RECORD_TABLE_H_
#define SLUICE_ENFORCEMENT_RECORD_TABLE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "enforcement/huge_bytes.h"
#include "enforcement/names.h"
#include "enforcement/prefetch.h"

namespace sluice {

// `Record` is trivially copyable, valid as all zeroes, and has
//   uint64_t tag;                       set by the table
//   void Remember(Hash128 key);         keeps what it has room for of key.low
//   bool Remembers(Hash128 key) const;  whether that is the key's
template <typename Record>
class RecordTable {
  static_assert(std::is_trivially_copyable_v<Record>);

 public:
  // The array is full at `load_max` of its slots, and grows by an eighth: little is ever empty.
  explicit RecordTable(double load_max) : load_max_(load_max) {}
  RecordTable(const RecordTable&) = delete;
  RecordTable& operator=(const RecordTable&) = delete;

  // ---- Readers. Wait-free. ------------------------------------------------------------------------------------------

  // nullptr where there is none. The record stays as it is while the writer keeps its promise above.
  const Record* Find(Hash128 key) const { return FindIn(array_.load(std::memory_order_acquire), key); }
  void Prefetch(Hash128 key) const {
    const Array* const array = array_.load(std::memory_order_acquire);
    if (array == nullptr) return;
    const auto* const home = reinterpret_cast<const char*>(&array->records()[array->HomeOf(TagOf(key))]);
    // Full as arrays are, a record stands two or three places behind its home, and seldom beyond the third line.
    for (const int line : {0, 1, 2}) PrefetchLine(home + 64 * line);
  }
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  size_t bytes() const {
    const Array* const array = array_.load(std::memory_order_acquire);
    return array == nullptr ? 0 : array->memory.size();
  }

  // ---- The writer ---------------------------------------------------------------------------------------------------

  // Adds `record` under `key`, or replaces the one that is there, whose copy goes to `*old`. False where there was
  // none.
  bool Put(Hash128 key, const Record& record, Record* old) {
    if (auto* found = const_cast<Record*>(FindWritten(key))) {
      *old = *found;
      Write(found, key, record);
      return true;
    }
    Array* array = owned_.get();
    if (array == nullptr || static_cast<double>(taken_ + 1) > load_max_ * static_cast<double>(array->slots)) {
      const size_t size = this->size();
      array = Rebuild(loading_ ? 2 * size + kSlotsMin : size + size / 8 + kSlotsMin);
    }
    size_t i = array->HomeOf(TagOf(key));
    while (LoadTag(array->records()[i]) > kGone) i = i + 1 < array->slots ? i + 1 : 0;
    taken_ += LoadTag(array->records()[i]) == kEmpty;
    Write(&array->records()[i], key, record);
    size_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  // Removes the record of `key`, whose copy goes to `*old`. False where there is none.
  bool Erase(Hash128 key, Record* old) {
    auto* const found = const_cast<Record*>(FindWritten(key));
    if (found == nullptr) return false;
    *old = *found;
    StoreTag(found, kGone);
    size_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  // What Find will say when the writer is done: it sees what is loaded before readers do.
  const Record* FindWritten(Hash128 key) const { return FindIn(owned_.get(), key); }

  // While loading readers see nothing of it, and the array grows by doubling; at the end it is made as large as it has
  // to be, and shown.
  void BeginLoading() { loading_ = true; }
  void EndLoading() {
    loading_ = false;
    if (size() > 0) Rebuild(size() + size() / 64);
  }
  // Frees arrays that were replaced. REQUIRES: no reader has been at it since before they were.
  void FreeRetired() { retired_.clear(); }

  // Each record that was written; each that readers find.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    ForEachIn(owned_.get(), visit);
  }
  template <typename Visit>
  void ForEachShown(const Visit& visit) const {
    ForEachIn(array_.load(std::memory_order_acquire), visit);
  }

 private:
  static constexpr uint64_t kEmpty = 0, kGone = 1;
  static constexpr size_t kSlotsMin = 16;

  struct Array {
    explicit Array(size_t n) : slots(n), memory(n * sizeof(Record)) {}
    Record* records() const { return reinterpret_cast<Record*>(memory.data()); }
    // By the tag alone, so that a record can move without its key.
    size_t HomeOf(uint64_t tag) const { return static_cast<size_t>(static_cast<unsigned __int128>(tag) * slots >> 64); }
    const size_t slots;
    const HugeBytes memory;
  };

  template <typename Visit>
  static void ForEachIn(const Array* array, const Visit& visit) {
    for (size_t i = 0; array != nullptr && i < array->slots; ++i) {
      if (LoadTag(array->records()[i]) > kGone) visit(array->records()[i]);
    }
  }
  static const Record* FindIn(const Array* array, Hash128 key) {
    if (array == nullptr) return nullptr;
    const uint64_t tag = TagOf(key);
    for (size_t i = array->HomeOf(tag);; i = i + 1 < array->slots ? i + 1 : 0) {
      const Record& record = array->records()[i];
      const uint64_t seen = LoadTag(record);
      if (seen == tag && record.Remembers(key)) return &record;
      if (seen == kEmpty) return nullptr;
    }
  }
  static uint64_t TagOf(Hash128 key) { return key.high > kGone ? key.high : key.high + 2; }
  static uint64_t LoadTag(const Record& record) { return __atomic_load_n(&record.tag, __ATOMIC_ACQUIRE); }
  // Release: whoever sees the tag sees the record.
  static void StoreTag(Record* record, uint64_t tag) { __atomic_store_n(&record->tag, tag, __ATOMIC_RELEASE); }
  static void Write(Record* place, Hash128 key, Record record) {
    record.Remember(key);
    // All but the tag, which readers of other keys look at meanwhile.
    record.tag = 0;
    static_assert(offsetof(Record, tag) == 0);
    __builtin_memcpy(reinterpret_cast<char*>(place) + sizeof(record.tag),
                     reinterpret_cast<const char*>(&record) + sizeof(record.tag), sizeof(Record) - sizeof(record.tag));
    StoreTag(place, TagOf(key));
  }
  Array* Rebuild(size_t wanted) {
    auto next =
        std::make_unique<Array>(std::max(static_cast<size_t>(static_cast<double>(wanted) / load_max_), kSlotsMin));
    ForEach([&](const Record& record) {
      size_t i = next->HomeOf(record.tag);
      while (next->records()[i].tag != kEmpty) i = i + 1 < next->slots ? i + 1 : 0;
      next->records()[i] = record;
    });
    taken_ = size();
    // One that was loaded into and grew was never shown: no reader is in it.
    if (owned_ != nullptr && array_.load(std::memory_order_relaxed) == owned_.get())
      retired_.push_back(std::move(owned_));
    owned_ = std::move(next);
    if (!loading_) array_.store(owned_.get(), std::memory_order_release);
    return owned_.get();
  }

  const double load_max_;
  std::atomic<Array*> array_{nullptr};
  std::unique_ptr<Array> owned_;
  std::vector<std::unique_ptr<Array>> retired_;
  std::atomic<size_t> size_{0};
  size_t taken_ = 0;  // slots that are not empty: records, and marks of those that went
  bool loading_ = false;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_RECORD_TABLE_H_
