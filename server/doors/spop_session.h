// SPOP on the event loop of the data path: one connection of HAProxy's.
#ifndef SLUICE_SERVER_DOORS_SPOP_SESSION_H_
#define SLUICE_SERVER_DOORS_SPOP_SESSION_H_

#include <cstddef>

#include "absl/types/span.h"
#include "server/doors/spop_agent.h"
#include "server/listen/session.h"

namespace sluice {

class SpopSession final : public Session {
 public:
  // Both must outlive this.
  SpopSession(SpoeDoor* door, const SessionLimits* limits, MonotonicTime now)
      : agent_(door), limits_(limits), last_received_(now) {}

  WireProtocol protocol() const override { return WireProtocol::kSpoe; }
  size_t Receive(absl::Span<char> bytes, MonotonicTime now) override {
    last_received_ = now;
    const size_t taken = agent_.Receive(absl::string_view(bytes.data(), bytes.size()), &out_);
    if (agent_.refused()) Count(WireError::kFrame);
    if (out_.size() > limits_->buffered_bytes_max) Count(WireError::kSlow);
    // A peer that asks without end and takes no answers is no HAProxy.
    finished_ = agent_.finished() || out_.size() > limits_->buffered_bytes_max;
    return finished_ ? bytes.size() : taken;
  }

  void Tick(MonotonicTime now) override {
    if (Between(last_received_, now) > limits_->idle_max) Drain(now);
  }

  void Drain(MonotonicTime now) override {
    agent_.Leave(&out_);
    finished_ = true;
  }

 private:
  SpopAgent agent_;
  const SessionLimits* const limits_;
  MonotonicTime last_received_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_SPOP_SESSION_H_
