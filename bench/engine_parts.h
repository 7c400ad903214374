// The bare parts of a check, measured in the same run, so that a check can be told as a multiple of them.
#ifndef SLUICE_BENCH_ENGINE_PARTS_H_
#define SLUICE_BENCH_ENGINE_PARTS_H_

#include "bench/fixture.h"

namespace sluice::bench {

// Registers "part/..." with Google Benchmark. `fixture` must outlive the run.
void RegisterParts(Fixture* fixture, const Sizes& sizes);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_ENGINE_PARTS_H_
