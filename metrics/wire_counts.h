// What one thread of the data path counts of its wire: connections, streams and what peers did wrong. Collected by
// wire_metrics.h.
#ifndef SLUICE_METRICS_WIRE_COUNTS_H_
#define SLUICE_METRICS_WIRE_COUNTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace sluice {

enum class WireProtocol : uint8_t { kHttp2, kHttp1, kSpoe };
inline constexpr int kWireProtocolCount = 3;
absl::string_view Name(WireProtocol value);  // "http2", "http1", "spoe"

// What ended a connection or a stream before its time.
enum class WireError : uint8_t {
  kPreface,       // neither HTTP/2 nor HTTP/1.1
  kFrame,         // a frame that must not be: its kind, size or place
  kHeaders,       // header block, or header fields
  kFlowControl,   // more than was granted
  kTooLarge,      // a message over its bound
  kTooMany,       // connections, streams or idle frames over their bound
  kSlow,          // a peer that does not read, or does not finish what it began
  kReset,         // the peer gave up a stream
  kNoRoom,        // all connections together hold as much as they may
  kTls,           // a handshake that failed: no certificate, or none that is trusted
  kNoDescriptor,  // the process may open no more files: a caller was closed at once
};
inline constexpr int kWireErrorCount = 11;
absl::string_view Name(WireError value);

// One thread counts, which owns the cache lines; any other may read. Wait-free.
class alignas(64) WireCounts {
 public:
  void OnOpened(WireProtocol protocol) { Add(1, &At(protocol).opened); }
  void OnClosed(WireProtocol protocol) { Add(1, &At(protocol).closed); }
  void OnError(WireProtocol protocol, WireError error) { Add(1, &At(protocol).errors[static_cast<size_t>(error)]); }
  // Of HTTP/2: calls that go on for longer than one question. Others come and go with each check, which counts itself.
  void OnStreamOpened() { Add(1, &streams_opened_); }
  void OnStreamsClosed(int64_t count) { Add(count, &streams_closed_); }

  int64_t opened(WireProtocol protocol) const { return Load(At(protocol).opened); }
  int64_t closed(WireProtocol protocol) const { return Load(At(protocol).closed); }
  int64_t errors(WireProtocol protocol, WireError error) const {
    return Load(At(protocol).errors[static_cast<size_t>(error)]);
  }
  int64_t streams_opened() const { return Load(streams_opened_); }
  int64_t streams_closed() const { return Load(streams_closed_); }

 private:
  struct Counts {
    std::atomic<int64_t> opened{0}, closed{0};
    std::array<std::atomic<int64_t>, kWireErrorCount> errors{};
  };
  // One thread writes: no instruction that locks the line.
  static void Add(int64_t more, std::atomic<int64_t>* count) {
    count->store(Load(*count) + more, std::memory_order_relaxed);
  }
  static int64_t Load(const std::atomic<int64_t>& count) { return count.load(std::memory_order_relaxed); }
  Counts& At(WireProtocol protocol) { return counts_[static_cast<size_t>(protocol)]; }
  const Counts& At(WireProtocol protocol) const { return counts_[static_cast<size_t>(protocol)]; }

  std::array<Counts, kWireProtocolCount> counts_;
  std::atomic<int64_t> streams_opened_{0}, streams_closed_{0};
};

}  // namespace sluice

#endif  // SLUICE_METRICS_WIRE_COUNTS_H_
