// Which subjects may be flagged: a blocked Bloom filter, 16 bits and one cache line a key. Never says no of a key that
// was added; says yes of one in 700 that was not.
//
// One writer; readers take no lock and write nothing. It grows by a further filter of half as many keys, so no reader
// ever sees one that is being rebuilt, and a key costs three bytes at most; what is one filter again after a restart.
// Keys are never taken out: one whose flag was cleared costs its reader a look at the store, until the next restart.
// Source: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (2007);
// docs/decisions/2026-11-26-index.md
#ifndef SLUICE_ENFORCEMENT_FLAG_FILTER_H_
#define SLUICE_ENFORCEMENT_FLAG_FILTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "enforcement/huge_bytes.h"
#include "enforcement/names.h"
#include "enforcement/prefetch.h"

namespace sluice {

class FlagFilter {
 public:
  FlagFilter() = default;
  FlagFilter(const FlagFilter&) = delete;
  FlagFilter& operator=(const FlagFilter&) = delete;

  // ---- Readers. Thread-safe, wait-free. -----------------------------------------------------------------------------

  bool MayHave(Hash128 key) const {
    const int parts = parts_.load(std::memory_order_acquire);
    for (int i = 0; i < parts; ++i) {
      if (part_[i].MayHave(key)) return true;
    }
    return false;
  }
  void Prefetch(Hash128 key) const {
    const int parts = parts_.load(std::memory_order_acquire);
    for (int i = 0; i < parts; ++i) PrefetchLine(part_[i].LineOf(key));
  }
  size_t bytes() const;
  int64_t keys() const { return keys_.load(std::memory_order_relaxed); }

  // ---- The writer ---------------------------------------------------------------------------------------------------

  // A further filter with room for `keys`, and a quarter more, which keys go to from now on.
  void Reserve(size_t keys);
  // From now on MayHave(key).
  void Add(Hash128 key);

 private:
  static constexpr int kBitsOfKey = 7;
  static constexpr int kPartsMax = 48;  // each half of all before: as many keys as there can be
  static constexpr size_t kKeysMin = 4096;

  struct Line {
    std::array<uint64_t, 8> words;
  };
  class Part {
   public:
    void Make(size_t keys);
    const Line* LineOf(Hash128 key) const {
      return lines_ + static_cast<size_t>(static_cast<unsigned __int128>(key.low) * line_count_ >> 64);
    }
    bool MayHave(Hash128 key) const {
      const Line* const line = LineOf(key);
      uint64_t bits = key.high;
      for (int i = 0; i < kBitsOfKey; ++i, bits >>= 9) {
        const uint64_t word = __atomic_load_n(&line->words[bits >> 6 & 7], __ATOMIC_RELAXED);
        if ((word >> (bits & 63) & 1) == 0) return false;
      }
      return true;
    }
    void Add(Hash128 key);
    size_t bytes() const { return memory_.size(); }

   private:
    HugeBytes memory_;
    Line* lines_ = nullptr;
    size_t line_count_ = 0;
  };

  std::array<Part, kPartsMax> part_;
  std::atomic<int> parts_{0};  // a part is whole before it is counted
  std::atomic<int64_t> keys_{0};
  size_t room_ = 0;  // keys that all parts have been made for
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_FLAG_FILTER_H_
