// Short pieces of bytes by a 32-bit place: the names that fixed-size records refer to, and what does not fit in them.
//
// One writer; any number of readers, who learn of a place by an acquire of what refers to it. Pieces never move and are
// not changed; a piece that was freed is handed out again, so free one only when no reader can know its place.
#ifndef SLUICE_ENFORCEMENT_NAME_POOL_H_
#define SLUICE_ENFORCEMENT_NAME_POOL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "enforcement/huge_bytes.h"
#include "enforcement/prefetch.h"

namespace sluice {

class NamePool {
 public:
  // Where a piece lies; 0 is the empty one.
  using Place = uint32_t;

  NamePool() = default;
  NamePool(const NamePool&) = delete;
  NamePool& operator=(const NamePool&) = delete;
  ~NamePool();

  // Copies `bytes` into the pool. Costs them and one to six more. Ends the process beyond 4 GiB in one piece, or 8 GiB
  // in all, that is names of half a billion accounts.
  Place Add(absl::string_view bytes);
  // Lets the piece at `place` be used again.
  void Free(Place place);

  // Wait-free.
  absl::string_view At(Place place) const;
  void Prefetch(Place place) const {
    if (place != 0) PrefetchLine(Find(place));
  }

  // Of all pieces, freed ones among them.
  size_t bytes() const { return used_.load(std::memory_order_relaxed) * kGrain; }

 private:
  // Places count grains, so that 32 bits reach far.
  static constexpr size_t kGrain = 2;
  static constexpr size_t kBlockBytes = size_t{2} << 20;  // a huge page
  static constexpr size_t kBlocks = (size_t{1} << 32) * kGrain / kBlockBytes;

  static size_t Grains(size_t bytes);
  // The first byte of a piece. REQUIRES: not of the empty one.
  const char* Find(Place place) const {
    constexpr size_t kBlockGrains = kBlockBytes / kGrain;
    const Blocks* const blocks = blocks_.load(std::memory_order_acquire);
    return blocks->block[place / kBlockGrains].load(std::memory_order_acquire) + place % kBlockGrains * kGrain;
  }

  struct Blocks {
    std::array<std::atomic<char*>, kBlocks> block{};
  };
  // Made with the first piece: a pool without any costs nothing.
  std::atomic<Blocks*> blocks_{nullptr};
  std::vector<HugeBytes> memory_;                            // of the blocks, one by one or some in a row
  std::atomic<size_t> used_{0};                              // grains
  absl::flat_hash_map<uint32_t, std::vector<Place>> freed_;  // by grains
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_NAME_POOL_H_
