// What the data-path listener counts of its wire: connections, streams and what peers did wrong. One object, told by
// all threads of the listener.
#ifndef SLUICE_METRICS_WIRE_METRICS_H_
#define SLUICE_METRICS_WIRE_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "prometheus/metric_family.h"

namespace sluice {

enum class WireProtocol : uint8_t { kHttp2, kHttp1, kSpoe };
inline constexpr int kWireProtocolCount = 3;
absl::string_view Name(WireProtocol value);  // "http2", "http1", "spoe"

// What ended a connection or a stream before its time.
enum class WireError : uint8_t {
  kPreface,      // neither HTTP/2 nor HTTP/1.1
  kFrame,        // a frame that must not be: its kind, size or place
  kHeaders,      // header block, or header fields
  kFlowControl,  // more than was granted
  kTooLarge,     // a message over its bound
  kTooMany,      // connections or streams over their bound
  kSlow,         // a peer that does not read, or does not finish what it began
  kReset,        // the peer gave up a stream
};
inline constexpr int kWireErrorCount = 8;
absl::string_view Name(WireError value);

// Thread-safe; wait-free. A connection is opened and closed far more seldom than a check is made, so that these
// counters may be shared between threads.
class WireMetrics {
 public:
  void OnOpened(WireProtocol protocol) { Add(&At(protocol).opened); }
  void OnClosed(WireProtocol protocol) { Add(&At(protocol).closed); }
  void OnError(WireProtocol protocol, WireError error) { Add(&At(protocol).errors[static_cast<size_t>(error)]); }
  // Of HTTP/2: calls that go on for longer than one question. Others come and go with each check, which counts itself.
  void OnStreamOpened() { Add(&streams_opened_); }
  void OnStreamClosed() { Add(&streams_closed_); }

  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  struct Counts {
    std::atomic<int64_t> opened{0}, closed{0};
    std::array<std::atomic<int64_t>, kWireErrorCount> errors{};
  };
  static void Add(std::atomic<int64_t>* count) { count->fetch_add(1, std::memory_order_relaxed); }
  Counts& At(WireProtocol protocol) { return counts_[static_cast<size_t>(protocol)]; }

  std::array<Counts, kWireProtocolCount> counts_;
  std::atomic<int64_t> streams_opened_{0}, streams_closed_{0};
};

}  // namespace sluice

#endif  // SLUICE_METRICS_WIRE_METRICS_H_
