// A set of 64-bit hashes that answers "no" for certain and "yes" perhaps. One is stored with each block of a segment
// and one with each segment, so that a query reads neither where what it asks for cannot be.
//
// All bits of one hash lie in one line of 64 bytes: a look costs one read of 64 bytes from disk. The line is chosen by
// low bits of a fixed part of the hash, so a filter made too large is folded in half, line onto line, and is then the
// filter that would have been made at that size.
#ifndef SLUICE_DECISION_LOG_BLOOM_FILTER_H_
#define SLUICE_DECISION_LOG_BLOOM_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice {

inline constexpr size_t kFilterLineBytes = 64;

// Not thread-safe.
class BloomFilter {
 public:
  // REQUIRES: lines is a power of two, at most 2^24.
  explicit BloomFilter(size_t lines) : words_(lines * kWordsPerLine) {}

  void Add(uint64_t hash);
  // Asks the memory for what Add(hash) will write, without waiting.
  void Prefetch(uint64_t hash) const;
  void Clear();

  // The filter as it is stored: folded while no more than three bits in ten are set, which keeps false answers below
  // one in a hundred. At least one line.
  std::string Folded() const;

  // Which line of a stored filter of `bytes` bytes `hash` is in, as an offset in bytes. REQUIRES: bytes is a power of
  // two, kFilterLineBytes or more.
  static size_t LineOffset(uint64_t hash, size_t bytes);
  // Whether `hash` may be in the filter that `line` is of. REQUIRES: line.size() == kFilterLineBytes.
  static bool LineMayHold(absl::string_view line, uint64_t hash);
  // Both, over a stored filter in memory; true for one whose size no filter has.
  static bool MayHold(absl::string_view filter, uint64_t hash);

 private:
  static constexpr size_t kWordsPerLine = kFilterLineBytes / sizeof(uint64_t);

  std::vector<uint64_t> words_;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_BLOOM_FILTER_H_
