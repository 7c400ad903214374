// What the kernel says of this process, under the names that Prometheus' own clients use: CPU, memory, files, threads.
#ifndef SLUICE_METRICS_PROCESS_METRICS_H_
#define SLUICE_METRICS_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace sluice {

// Reads /proc/self; a family whose file cannot be read is left out. Thread-safe.
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace sluice

#endif  // SLUICE_METRICS_PROCESS_METRICS_H_
