// What the kernel says of this process, under the names that Prometheus' own clients use: CPU, memory, files, threads.
#ifndef SLUICE_METRICS_PROCESS_METRICS_H_
#define SLUICE_METRICS_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace sluice {

// Reads /proc/self and nothing else of /proc, which a sandbox may hide; without its stat there are no families.
// Thread-safe.
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace sluice

#endif  // SLUICE_METRICS_PROCESS_METRICS_H_
