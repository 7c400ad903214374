// What an event costs: how long until one is acknowledged, and how many a second a bulk import takes.
#ifndef SLUICE_BENCH_EVENT_COSTS_H_
#define SLUICE_BENCH_EVENT_COSTS_H_

#include <cstdint>

#include "bench/fixture.h"
#include "bench/goals.h"
#include "store/store.h"

namespace sluice::bench {

// Acknowledges `events` single events on the store of `options`, which FillStore filled, by turns with as many bare
// LMDB commits on the same disk, each with fsync; then imports `import_events` flags into an empty store.
void MeasureEvents(const Store::Options& options, const Sizes& sizes, int64_t events, int64_t import_events,
                   Goals* goals);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_EVENT_COSTS_H_
