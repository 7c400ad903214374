#include "bench/allocations.h"

#include <cstdlib>
#include <new>

namespace sluice::bench {
namespace {

thread_local int64_t allocations = 0;

}  // namespace

int64_t AllocationsOfThisThread() { return allocations; }

}  // namespace sluice::bench

// The array and nothrow forms of the standard library call these. Aligned ones keep their own.
void* operator new(size_t size) {
  ++sluice::bench::allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
