#include "decision_log/bloom_filter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "enforcement/prefetch.h"

namespace sluice {
namespace {

constexpr int kBitsPerHash = 6;
constexpr double kFullest = 0.3;

// Nine bits each, from a product that shares nothing visible with the bits that choose the line.
struct LineBits {
  explicit LineBits(uint64_t hash) : mixed(hash * 0x9E3779B97F4A7C15u) {}
  unsigned operator[](int i) const { return static_cast<unsigned>(mixed >> (10 + 9 * i)) & 511u; }
  uint64_t mixed;
};

size_t LineOf(uint64_t hash, size_t lines) { return static_cast<size_t>(hash >> 40) & (lines - 1); }

}  // namespace

void BloomFilter::Add(uint64_t hash) {
  uint64_t* line = words_.data() + LineOf(hash, words_.size() / kWordsPerLine) * kWordsPerLine;
  const LineBits bits(hash);
  for (int i = 0; i < kBitsPerHash; ++i) line[bits[i] / 64] |= uint64_t{1} << (bits[i] % 64);
}

void BloomFilter::Prefetch(uint64_t hash) const {
  PrefetchLine(words_.data() + LineOf(hash, words_.size() / kWordsPerLine) * kWordsPerLine);
}

void BloomFilter::Clear() { std::fill(words_.begin(), words_.end(), 0); }

std::string BloomFilter::Folded() const {
  std::vector<uint64_t> words = words_;
  while (words.size() > kWordsPerLine) {
    const size_t half = words.size() / 2;
    std::vector<uint64_t> folded(half);
    size_t set = 0;
    for (size_t i = 0; i < half; ++i) {
      folded[i] = words[i] | words[half + i];
      set += static_cast<size_t>(std::popcount(folded[i]));
    }
    if (static_cast<double>(set) > kFullest * static_cast<double>(half) * 64) break;
    words = std::move(folded);
  }
  return std::string(reinterpret_cast<const char*>(words.data()), words.size() * sizeof(uint64_t));
}

size_t BloomFilter::LineOffset(uint64_t hash, size_t bytes) {
  return LineOf(hash, bytes / kFilterLineBytes) * kFilterLineBytes;
}

bool BloomFilter::LineMayHold(absl::string_view line, uint64_t hash) {
  const LineBits bits(hash);
  for (int i = 0; i < kBitsPerHash; ++i) {
    uint64_t word;
    std::memcpy(&word, line.data() + bits[i] / 64 * sizeof(word), sizeof(word));
    if ((word >> (bits[i] % 64) & 1) == 0) return false;
  }
  return true;
}

bool BloomFilter::MayHold(absl::string_view filter, uint64_t hash) {
  if (filter.size() < kFilterLineBytes || !std::has_single_bit(filter.size())) return true;
  return LineMayHold(filter.substr(LineOffset(hash, filter.size()), kFilterLineBytes), hash);
}

}  // namespace sluice
