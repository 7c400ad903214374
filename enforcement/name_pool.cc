#include "enforcement/name_pool.h"

#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

// Length in one byte, or 255 and four more.
constexpr size_t kShortMax = 254;
constexpr size_t kBytesMax = 0xFFFFFFFF;
size_t HeadBytes(size_t size) { return size <= kShortMax ? 1 : 5; }

}  // namespace

NamePool::~NamePool() { delete blocks_.load(std::memory_order_relaxed); }

size_t NamePool::Grains(size_t bytes) { return (HeadBytes(bytes) + bytes + kGrain - 1) / kGrain; }

NamePool::Place NamePool::Add(absl::string_view bytes) {
  if (bytes.empty()) return 0;
  if (bytes.size() > kBytesMax) std::abort();
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
    const size_t in_block = used % kBlockGrains;
    if (in_block != 0 && in_block + grains > kBlockGrains) used += kBlockGrains - in_block;
    if (used + grains > kBlocks * kBlockGrains) std::abort();
    place = static_cast<Place>(used);
    used_.store(used + grains, std::memory_order_relaxed);
  }
  Blocks* blocks = blocks_.load(std::memory_order_relaxed);
  if (blocks == nullptr) {
    blocks = new Blocks;
    blocks_.store(blocks, std::memory_order_release);
  }
  std::atomic<char*>* const slot = &blocks->block[place / kBlockGrains];
  char* block = slot->load(std::memory_order_relaxed);
  if (block == nullptr) {
    // More than one for a piece that fits in none: it begins the first of them, and they lie in a row.
    const size_t count = (grains + kBlockGrains - 1) / kBlockGrains;
    block = memory_.emplace_back(count * kBlockBytes).data();
    for (size_t i = 0; i < count; ++i) slot[i].store(block + i * kBlockBytes, std::memory_order_release);
  }
  char* p = block + place % kBlockGrains * kGrain;
  if (bytes.size() <= kShortMax) {
    *p++ = static_cast<char>(bytes.size());
  } else {
    *p++ = static_cast<char>(255);
    for (int shift = 24; shift >= 0; shift -= 8) *p++ = static_cast<char>(bytes.size() >> shift);
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
    size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(*p++);
  }
  return {p, size};
}

}  // namespace sluice
