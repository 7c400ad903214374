// The wire of the data path as families of metrics: the sum over its threads.
#ifndef SLUICE_METRICS_WIRE_METRICS_H_
#define SLUICE_METRICS_WIRE_METRICS_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "metrics/wire_counts.h"
#include "prometheus/metric_family.h"

namespace sluice {

class WireMetrics {
 public:
  // The counts of one more thread, which live as long as this. Thread-safe.
  WireCounts* AddThread() ABSL_LOCKS_EXCLUDED(mutex_);

  // Thread-safe. Counts of one scrape may belong to slightly different moments.
  std::vector<prometheus::MetricFamily> Collect() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Over all threads.
  template <typename Of>
  double Sum(const Of& of) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<WireCounts>> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice

#endif  // SLUICE_METRICS_WIRE_METRICS_H_
