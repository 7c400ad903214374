#include "enforcement/huge_bytes.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sluice {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLine = 64;

// Mapped with room to begin at a huge page; what is before and after is given back.
char* Map(size_t size) {
  void* const mapped = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) std::abort();
  char* const first = static_cast<char*>(mapped);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(first) % kHugePage) % kHugePage;
  if (before > 0) munmap(first, before);
  if (kHugePage > before) munmap(first + before + size, kHugePage - before);
  madvise(first + before, size, MADV_HUGEPAGE);  // a wish; without it the memory is as good, only slower
  return first + before;
}

size_t MappedSize(size_t size) { return (size + kHugePage - 1) / kHugePage * kHugePage; }

}  // namespace

HugeBytes::HugeBytes(size_t size) : size_(size) {
  if (size == 0) return;
  if (size >= kHugePage) {
    data_ = Map(MappedSize(size));
    return;
  }
  data_ = static_cast<char*>(::operator new(size, std::align_val_t(kLine)));
  std::memset(data_, 0, size);
}

HugeBytes::~HugeBytes() {
  if (data_ == nullptr) return;
  if (size_ >= kHugePage) {
    munmap(data_, MappedSize(size_));
  } else {
    ::operator delete(data_, std::align_val_t(kLine));
  }
}

}  // namespace sluice
