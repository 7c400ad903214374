#include "metrics/wire_metrics.h"

#include <utility>

#include "metrics/families.h"

namespace sluice {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

}  // namespace

absl::string_view Name(WireProtocol value) {
  constexpr absl::string_view kNames[kWireProtocolCount] = {"http2", "http1", "spoe"};
  return kNames[IndexOf(value, kWireProtocolCount)];
}

absl::string_view Name(WireError value) {
  constexpr absl::string_view kNames[kWireErrorCount] = {"preface",   "frame",    "headers",      "flow_control",
                                                         "too_large", "too_many", "slow",         "reset",
                                                         "no_room",   "tls",      "no_descriptor"};
  return kNames[IndexOf(value, kWireErrorCount)];
}

WireCounts* WireMetrics::AddThread() {
  absl::MutexLock lock(&mutex_);
  threads_.push_back(std::make_unique<WireCounts>());
  return threads_.back().get();
}

template <typename Of>
double WireMetrics::Sum(const Of& of) const {
  int64_t total = 0;
  for (const auto& thread : threads_) total += of(*thread);
  return static_cast<double>(total);
}

std::vector<MetricFamily> WireMetrics::Collect() const {
  MetricFamily open = Family("sluice_connections", "Connections open on the listener for checks.", MetricType::Gauge);
  MetricFamily opened =
      Family("sluice_connections_total", "Connections taken by the listener for checks.", MetricType::Counter);
  MetricFamily errors =
      Family("sluice_protocol_errors_total",
             "Connections and streams that ended before their time, by what went wrong.", MetricType::Counter);
  absl::MutexLock lock(&mutex_);
  for (int p = 0; p < kWireProtocolCount; ++p) {
    const auto protocol = static_cast<WireProtocol>(p);
    const absl::string_view name = Name(protocol);
    // Closed first: a connection that closes between the two loads must not make less than nothing.
    const double closed_sum = Sum([&](const WireCounts& counts) { return counts.closed(protocol); });
    const double opened_sum = Sum([&](const WireCounts& counts) { return counts.opened(protocol); });
    AddGauge(opened_sum - closed_sum, {{"protocol", name}}, &open);
    AddCounter(opened_sum, {{"protocol", name}}, &opened);
    for (int e = 0; e < kWireErrorCount; ++e) {
      const auto error = static_cast<WireError>(e);
      AddCounter(Sum([&](const WireCounts& counts) { return counts.errors(protocol, error); }),
                 {{"protocol", name}, {"error", Name(error)}}, &errors);
    }
  }
  const double streams_closed = Sum([](const WireCounts& counts) { return counts.streams_closed(); });
  const double streams_opened = Sum([](const WireCounts& counts) { return counts.streams_opened(); });
  return {
      std::move(open), std::move(opened), std::move(errors),
      Single("sluice_streams", "Streams of checks that are open.", MetricType::Gauge, streams_opened - streams_closed)};
}

}  // namespace sluice
