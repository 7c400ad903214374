#include "decision_log/record_ring.h"

#include <cstring>

namespace sluice {
namespace {

constexpr size_t kAlign = 8;
// In place of a record's size: nothing more until the ring begins anew.
constexpr uint32_t kLapEnds = 0xFFFFFFFFu;

constexpr size_t Aligned(size_t bytes) { return (bytes + kAlign - 1) & ~(kAlign - 1); }

// Eighths of the ring that a class may fill.
constexpr size_t kShare[kLogClassCount] = {4, 5, 6, 7, 8, 4};

}  // namespace

// Not zeroed: pages that no record ever reaches stay unused.
RecordRing::RecordRing(size_t bytes) : size_(bytes), bytes_(new char[bytes]) {}

char* RecordRing::Reserve(size_t bytes, LogClass log_class) {
  if (bytes > kRecordBytesMax) return nullptr;
  const uint64_t head = head_.load(std::memory_order_relaxed);  // ours alone while claimed
  const size_t place = head & (size_ - 1);
  const size_t lap = size_ - place < Aligned(bytes) ? size_ - place : 0;
  const size_t wanted = lap + Aligned(bytes);
  const size_t most = size_ / 8 * kShare[static_cast<size_t>(log_class)];
  if (head + wanted - known_tail_ > most) {
    known_tail_ = tail_.load(std::memory_order_acquire);  // pairs with Pop: the reader is done with those bytes
    if (head + wanted - known_tail_ > most) return nullptr;
  }
  if (lap > 0) std::memcpy(bytes_.get() + place, &kLapEnds, sizeof(kLapEnds));
  next_head_ = head + wanted;
  return bytes_.get() + (lap > 0 ? 0 : place);
}

void RecordRing::Commit() { head_.store(next_head_, std::memory_order_release); }

void RecordRing::Pop() {
  tail_.store(peeked_, std::memory_order_release);  // pairs with Reserve
  if ((peeked_ & (size_ - 1)) == 0 || !Claim()) return;
  if (head_.load(std::memory_order_relaxed) == peeked_) {
    // Claim and Release order these for the next writer, and no other thread reads them.
    peeked_ = (peeked_ | (size_ - 1)) + 1;
    head_.store(peeked_, std::memory_order_relaxed);
    tail_.store(peeked_, std::memory_order_relaxed);
    known_tail_ = peeked_;
  }
  Release();
}

absl::string_view RecordRing::At(uint64_t* at) const {
  const size_t place = *at & (size_ - 1);
  uint32_t bytes;
  std::memcpy(&bytes, bytes_.get() + place, sizeof(bytes));
  if (bytes == kLapEnds) {
    *at += size_ - place;
    return {};
  }
  *at += Aligned(bytes);
  return absl::string_view(bytes_.get() + place, bytes);
}

}  // namespace sluice
