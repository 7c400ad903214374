// Short ways to fill the families of prometheus-cpp, for the collectors of this folder.
#ifndef SLUICE_METRICS_FAMILIES_H_
#define SLUICE_METRICS_FAMILIES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"

namespace sluice {

using Labels = std::vector<std::pair<const char*, absl::string_view>>;

prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type);
void AddCounter(double value, const Labels& labels, prometheus::MetricFamily* family);
void AddGauge(double value, const Labels& labels, prometheus::MetricFamily* family);
// `counts` has one more than `bounds`: what was above the last. `sum` in the unit of the bounds.
void AddHistogram(absl::Span<const double> bounds, absl::Span<const int64_t> counts, double sum, const Labels& labels,
                  prometheus::MetricFamily* family);

// A family of one sample without labels.
prometheus::MetricFamily Single(const char* name, const char* help, prometheus::MetricType type, double value);

// Where a value that came off the wire is none of the enum's, it counts as the first: labels stay a closed set.
template <typename Enum>
int IndexOf(Enum value, int count) {
  const int index = static_cast<int>(value);
  return index < count ? index : 0;
}

}  // namespace sluice

#endif  // SLUICE_METRICS_FAMILIES_H_
