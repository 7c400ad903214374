// Whatever comes on a connection of HAProxy's SPOE: it must not break, must answer the same however the bytes arrive,
// and without a policy must allow nothing.
#include <string>

#include "server/doors/spop_agent.h"
#include "tests/fuzz/door_node.h"

namespace sluice {
namespace {

std::string Converse(absl::string_view bytes, size_t piece) {
  static const DoorOptions* const options = new DoorOptions();
  SpoeDoor door(options, &FuzzChecker());
  SpopAgent agent(&door);
  std::string unread, out;
  for (size_t at = 0; at < bytes.size() && !agent.finished();) {
    const absl::string_view more = bytes.substr(at, piece);
    unread.append(more.data(), more.size());
    at += more.size();
    unread.erase(0, agent.Receive(unread, &out));
  }
  return out;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = sluice::Converse(bytes, size + 1);
  sluice::Require(whole == sluice::Converse(bytes, 1));
  // The variable "allowed" as true: its name, then the type with the flag.
  sluice::Require(whole.find("allowed\x11") == std::string::npos);
  return 0;
}
