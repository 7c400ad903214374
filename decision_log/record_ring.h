// The bounded queue between a thread that answers checks and the thread that writes the log: bytes, one writer at a
// time, one reader, no lock and no system call. What does not fit is not taken, and the higher the class of a record
// the more of the ring it may use, so that denials still find room where samples and warnings no longer do.
#ifndef SLUICE_DECISION_LOG_RECORD_RING_H_
#define SLUICE_DECISION_LOG_RECORD_RING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "decision_log/record.h"

namespace sluice {

class RecordRing {
 public:
  // REQUIRES: bytes is a power of two, at least 2 * kRecordBytesMax.
  explicit RecordRing(size_t bytes);
  RecordRing(const RecordRing&) = delete;
  RecordRing& operator=(const RecordRing&) = delete;

  // ---- The writer. Claim, then at most one Reserve and Commit, then Release; all wait-free.

  // False where another thread is in the middle of a record, or the reader in Pop.
  bool Claim() { return !busy_.exchange(true, std::memory_order_acquire); }
  void Release() { busy_.store(false, std::memory_order_release); }
  // Room for a record of `bytes` bytes, or null where that class has none left.
  char* Reserve(size_t bytes, LogClass log_class);
  // Shows what was written there to the reader.
  void Commit();

  // ---- The reader: one thread.

  // Calls `visit(absl::string_view)` for each record written before now, in order. They stay where they are, and their
  // views good, until Pop.
  template <typename Visit>
  void Peek(const Visit& visit) {
    const uint64_t head = head_.load(std::memory_order_acquire);  // pairs with Commit: the bytes are there
    uint64_t at = tail_.load(std::memory_order_relaxed);
    while (at < head) {
      const absl::string_view record = At(&at);
      if (!record.empty()) visit(record);
    }
    peeked_ = head;
  }
  // Gives the room of what Peek saw back to the writer. Where nothing came since, the next record goes to the start of
  // the ring: a quiet ring stays in few bytes, which are in the cache, and does not walk through all of its own.
  void Pop();
  // Whether a look soon is worth it: more than an eighth is in use.
  bool Fills() const {
    return head_.load(std::memory_order_relaxed) - tail_.load(std::memory_order_relaxed) > size_ / 8;
  }

 private:
  // The record at `*at`, which moves behind it; empty for the unused end of a lap.
  absl::string_view At(uint64_t* at) const;

  const size_t size_;
  const std::unique_ptr<char[]> bytes_;
  // Positions count up without end; the place is position modulo size. Each on a pair of lines of its own.
  alignas(128) std::atomic<bool> busy_{false};
  uint64_t next_head_ = 0;   // guarded by the claim
  uint64_t known_tail_ = 0;  // guarded by the claim: the tail as last read
  alignas(128) std::atomic<uint64_t> head_{0};
  alignas(128) std::atomic<uint64_t> tail_{0};
  uint64_t peeked_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_RECORD_RING_H_
