#include "metrics/wire_metrics.h"

#include "metrics/families.h"

namespace sluice {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

double Load(const std::atomic<int64_t>& count) { return static_cast<double>(count.load(std::memory_order_relaxed)); }

}  // namespace

absl::string_view Name(WireProtocol value) {
  constexpr absl::string_view kNames[kWireProtocolCount] = {"http2", "http1", "spoe"};
  return kNames[IndexOf(value, kWireProtocolCount)];
}

absl::string_view Name(WireError value) {
  constexpr absl::string_view kNames[kWireErrorCount] = {"preface",   "frame",    "headers", "flow_control",
                                                         "too_large", "too_many", "slow",    "reset"};
  return kNames[IndexOf(value, kWireErrorCount)];
}

std::vector<MetricFamily> WireMetrics::Collect() const {
  MetricFamily open = Family("sluice_connections", "Connections open on the listener for checks.", MetricType::Gauge);
  MetricFamily opened =
      Family("sluice_connections_total", "Connections taken by the listener for checks.", MetricType::Counter);
  MetricFamily errors =
      Family("sluice_protocol_errors_total",
             "Connections and streams that ended before their time, by what went wrong.", MetricType::Counter);
  for (int p = 0; p < kWireProtocolCount; ++p) {
    const absl::string_view protocol = Name(static_cast<WireProtocol>(p));
    const Counts& counts = counts_[static_cast<size_t>(p)];
    // Closed first: a connection that closes between the two loads must not make less than nothing.
    const double closed = Load(counts.closed);
    AddGauge(Load(counts.opened) - closed, {{"protocol", protocol}}, &open);
    AddCounter(Load(counts.opened), {{"protocol", protocol}}, &opened);
    for (int e = 0; e < kWireErrorCount; ++e) {
      AddCounter(Load(counts.errors[static_cast<size_t>(e)]),
                 {{"protocol", protocol}, {"error", Name(static_cast<WireError>(e))}}, &errors);
    }
  }
  const double closed = Load(streams_closed_);
  return {
      std::move(open), std::move(opened), std::move(errors),
      Single("sluice_streams", "Streams of checks that are open.", MetricType::Gauge, Load(streams_opened_) - closed)};
}

}  // namespace sluice
