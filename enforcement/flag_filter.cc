#include "enforcement/flag_filter.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kBitsAKey = 16;

}  // namespace

void FlagFilter::Part::Make(size_t keys) {
  line_count_ = std::max<size_t>((keys * kBitsAKey + 511) / 512, 1);
  memory_ = HugeBytes(line_count_ * sizeof(Line));
  lines_ = reinterpret_cast<Line*>(memory_.data());
}

void FlagFilter::Part::Add(Hash128 key) {
  Line* const line = const_cast<Line*>(LineOf(key));
  uint64_t bits = key.high;
  for (int i = 0; i < kBitsOfKey; ++i, bits >>= 9) {
    uint64_t* const word = &line->words[bits >> 6 & 7];
    // Relaxed, and no exchange: there is one writer, and whoever has to see the bit learns of the flag by an acquire.
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) | uint64_t{1} << (bits & 63), __ATOMIC_RELAXED);
  }
}

size_t FlagFilter::bytes() const {
  size_t bytes = 0;
  const int parts = parts_.load(std::memory_order_acquire);
  for (int i = 0; i < parts; ++i) bytes += part_[i].bytes();
  return bytes;
}

void FlagFilter::Reserve(size_t keys) {
  const int parts = parts_.load(std::memory_order_relaxed);
  if (parts == kPartsMax) return;
  const size_t room = std::max(keys + keys / 4, kKeysMin);
  part_[parts].Make(room);
  room_ += room;
  parts_.store(parts + 1, std::memory_order_release);
}

void FlagFilter::Add(Hash128 key) {
  int parts = parts_.load(std::memory_order_relaxed);
  const auto keys = static_cast<size_t>(keys_.load(std::memory_order_relaxed));
  if (keys >= room_) {
    Reserve(room_ * 2 / 5);  // and a quarter more: half
    parts = parts_.load(std::memory_order_relaxed);
  }
  // A key that is there needs no second place: flags on one subject, and those set again under their id.
  if (MayHave(key)) return;
  part_[parts - 1].Add(key);
  keys_.store(static_cast<int64_t>(keys + 1), std::memory_order_relaxed);
}

}  // namespace sluice
