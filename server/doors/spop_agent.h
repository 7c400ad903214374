// One connection of HAProxy's SPOE, as its agent: says hello, then answers each NOTIFY with an ACK. Bytes in, bytes
// out; no sockets. Pipelined: HAProxy may send many before it reads; answers carry the ids of their frames. Never
// fragments.
#ifndef SLUICE_SERVER_DOORS_SPOP_AGENT_H_
#define SLUICE_SERVER_DOORS_SPOP_AGENT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/doors/spoe_door.h"
#include "server/doors/spop.h"

namespace sluice {

class SpopAgent {
 public:
  // `door` must outlive this.
  explicit SpopAgent(SpoeDoor* door) : door_(door) {}

  // Takes the whole frames at the front of `bytes`, appends what answers them to `*out`, and returns how much was
  // taken; the rest is to come again with what follows it. Takes nothing more once finished.
  size_t Receive(absl::string_view bytes, std::string* out);

  // Says that the agent goes: HAProxy sends what is left to another connection.
  void Leave(std::string* out);

  // Nothing follows: the connection is to be closed when what was written has been sent.
  bool finished() const { return finished_; }
  // For what the peer sent, not because either side leaves.
  bool refused() const { return refused_; }

  // The largest frame that is taken; HAProxy's own bound is its buffer, 16 kB.
  static constexpr uint32_t kFrameBytesMax = 32768;

 private:
  void OnFrame(absl::string_view bytes, std::string* out);
  void OnHello(const SpopFrame& frame, std::string* out);
  void OnNotify(const SpopFrame& frame, std::string* out);
  void Refuse(SpopError error, absl::string_view message, std::string* out);

  SpoeDoor* const door_;
  bool greeted_ = false;
  bool finished_ = false;
  bool refused_ = false;
  uint32_t frame_bytes_max_ = kFrameBytesMax;  // as agreed on
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_SPOP_AGENT_H_
