#include "metrics/families.h"

#include <limits>

namespace sluice {
namespace {

using prometheus::ClientMetric;

ClientMetric With(const Labels& labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) {
    ClientMetric::Label label;
    label.name = name;
    label.value = std::string(value);
    metric.label.push_back(std::move(label));
  }
  return metric;
}

}  // namespace

prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void AddCounter(double value, const Labels& labels, prometheus::MetricFamily* family) {
  ClientMetric metric = With(labels);
  metric.counter.value = value;
  family->metric.push_back(std::move(metric));
}

void AddGauge(double value, const Labels& labels, prometheus::MetricFamily* family) {
  ClientMetric metric = With(labels);
  metric.gauge.value = value;
  family->metric.push_back(std::move(metric));
}

void AddHistogram(absl::Span<const double> bounds, absl::Span<const int64_t> counts, double sum, const Labels& labels,
                  prometheus::MetricFamily* family) {
  ClientMetric metric = With(labels);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    cumulative += static_cast<uint64_t>(counts[i]);
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back(bucket);
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = sum;
  family->metric.push_back(std::move(metric));
}

prometheus::MetricFamily Single(const char* name, const char* help, prometheus::MetricType type, double value) {
  prometheus::MetricFamily family = Family(name, help, type);
  if (type == prometheus::MetricType::Counter) {
    AddCounter(value, {}, &family);
  } else {
    AddGauge(value, {}, &family);
  }
  return family;
}

}  // namespace sluice
