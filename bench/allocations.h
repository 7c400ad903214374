// Counts what operator new hands out, a thread at a time. Linking allocations.cc replaces operator new of the program.
#ifndef SLUICE_BENCH_ALLOCATIONS_H_
#define SLUICE_BENCH_ALLOCATIONS_H_

#include <cstdint>

namespace sluice::bench {

// How often this thread has called operator new since it began.
int64_t AllocationsOfThisThread();

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_ALLOCATIONS_H_
