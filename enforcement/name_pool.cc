#include "enforcement/name_pool.h"

#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

// Length in one byte, or 255 and two more.
constexpr size_t kShortMax = 254;
size_t HeadBytes(size_t size) { return size <= kShortMax ? 1 : 3; }

}  // namespace

NamePool::~NamePool() { delete blocks_.load(std::memory_order_relaxed); }

size_t NamePool::Grains(size_t bytes) { return (HeadBytes(bytes) + bytes + kGrain - 1) / kGrain; }

NamePool::Place NamePool::Add(absl::string_view bytes) {
  if (bytes.empty()) return 0;
  const size_t grains = Grains(bytes.size());
  constexpr size_t kBlockGrains = kBlockBytes / kGrain;
  Place place = 0;
  if (const auto it = freed_.find(static_cast<uint32_t>(grains)); it != freed_.end()) {
    place = it->second.back();
    it->second.pop_back();
    if (it->second.empty()) freed_.erase(it);
  } else {
    size_t used = used_.load(std::memory_order_relaxed);
    if (used == 0) used = 1;  // 0 is the empty piece
    if (used % kBlockGrains + grains > kBlockGrains) used += kBlockGrains - used % kBlockGrains;
    if (used / kBlockGrains >= kBlocks) std::abort();
    place = static_cast<Place>(used);
    used_.store(used + grains, std::memory_order_relaxed);
  }
  Blocks* blocks = blocks_.load(std::memory_order_relaxed);
  if (blocks == nullptr) {
    blocks = new Blocks;
    blocks_.store(blocks, std::memory_order_release);
  }
  std::atomic<char*>& slot = blocks->block[place / kBlockGrains];
  char* block = slot.load(std::memory_order_relaxed);
  if (block == nullptr) {
    block = memory_.emplace_back(kBlockBytes).data();
    slot.store(block, std::memory_order_release);
  }
  char* p = block + place % kBlockGrains * kGrain;
  if (bytes.size() <= kShortMax) {
    *p++ = static_cast<char>(bytes.size());
  } else {
    *p++ = static_cast<char>(255);
    *p++ = static_cast<char>(bytes.size() >> 8);
    *p++ = static_cast<char>(bytes.size());
  }
  std::memcpy(p, bytes.data(), bytes.size());
  return place;
}

void NamePool::Free(Place place) {
  if (place != 0) freed_[static_cast<uint32_t>(Grains(At(place).size()))].push_back(place);
}

absl::string_view NamePool::At(Place place) const {
  if (place == 0) return {};
  const char* p = Find(place);
  size_t size = static_cast<uint8_t>(*p++);
  if (size == 255) {
    size = static_cast<size_t>(static_cast<uint8_t>(p[0])) << 8 | static_cast<uint8_t>(p[1]);
    p += 2;
  }
  return {p, size};
}

}  // namespace sluice
