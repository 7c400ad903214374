// Who asks most, in bounded memory.
#ifndef SLUICE_ENFORCEMENT_HEAVY_HITTERS_H_
#define SLUICE_ENFORCEMENT_HEAVY_HITTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "enforcement/values.h"

namespace sluice {

// Counts by name, exactly while there are at most `capacity` different names. With more it keeps the heaviest: a new
// name takes the place of the lightest and inherits its weight as doubt, so that no weight is too high by more than
// `doubt`, and none above total / capacity is missed (the space-saving sketch). Names over 512 bytes are cut: those
// that begin alike count together. Not thread-safe. Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of
// Frequent and Top-k Elements in Data Streams" (2005).
class HeavyHitters {
 public:
  enum class Weight : uint8_t { kRequests, kBytes };

  struct Entry {
    std::string name;
    // Since the name was last taken in: what it surely asked for.
    int64_t requests = 0;
    int64_t bytes = 0;
    int64_t throttled = 0;
    int64_t denied = 0;
    int64_t doubt = 0;  // how much of its weight may have come before; 0 = the counts are exact
  };

  // REQUIRES: capacity >= 1.
  HeavyHitters(size_t capacity, Weight weight) : capacity_(capacity), weight_(weight) {}

  // `requests` of one verdict, which came to `bytes` together.
  void Add(absl::string_view name, int64_t bytes, Verdict verdict, int64_t requests = 1);
  void Clear();

  // The `count` heaviest, heaviest first; those of one weight by name.
  std::vector<Entry> Top(size_t count) const;
  bool exact() const { return exact_; }
  size_t names() const { return slots_.size(); }  // different names seen, while exact

 private:
  struct Slot {
    Entry entry;
    int64_t weight = 0;
    size_t heap_index = 0;
  };

  void BuildHeap();
  void SiftDown(size_t index);
  void Swap(size_t a, size_t b);

  const size_t capacity_;
  const Weight weight_;
  bool exact_ = true;
  std::vector<Slot> slots_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  std::vector<size_t> heap_;  // slots, the lightest first; empty until a name has to go
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_HEAVY_HITTERS_H_
