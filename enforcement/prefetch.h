// How to ask the memory for a line before it is read.
#ifndef SLUICE_ENFORCEMENT_PREFETCH_H_
#define SLUICE_ENFORCEMENT_PREFETCH_H_

namespace sluice {

// Asks for the cache line at `address` without waiting for it. Any address will do: what is not mapped is not fetched.
inline void PrefetchLine(const void* address) {
  __builtin_prefetch(address);
  // GCC 12 takes a function that only prefetches for one without an effect, and drops each call that it does not inline
  // (seen in the callers of Limiter::Prefetch). A volatile asm is an effect, and no instruction.
  asm volatile("");
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_PREFETCH_H_
