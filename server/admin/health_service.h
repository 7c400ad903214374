// grpc.health.v1.Health of an administration server, for whoever asks. gRPC's own keeps as many calls as are made, each
// of some 12 kB, and reads a message whole before it hears of the call; this one keeps so many.
#ifndef SLUICE_SERVER_ADMIN_HEALTH_SERVICE_H_
#define SLUICE_SERVER_ADMIN_HEALTH_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/admin/open_calls.h"
#include "server/listen/health.h"

namespace sluice {

// Checks and watches that a server keeps open at once. One more, and the oldest is cut.
inline constexpr size_t kHealthCallsMax = 256;
// Of one request: no name is longer.
inline constexpr size_t kHealthBytesMax = 4096;

// Reactions run on gRPC's threads, several at once, and never block.
class HealthService final : public grpc::Service {
 public:
  // Of each of `services` ("sluice.v1.PolicyAdmin") it says SERVING; of the node as a whole NOT_SERVING at first. Must
  // outlive the server that it is registered with.
  explicit HealthService(std::vector<std::string> services);

  // What it says of the node as a whole; those who watch it are told of a change. Thread-safe.
  void SetServing(bool serving);

 private:
  class Call;
  HealthStatus StatusOf(absl::string_view service) const;

  const std::vector<std::string> services_;
  std::atomic<bool> serving_{false};
  OpenCalls<Call> open_{kHealthCallsMax};
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_HEALTH_SERVICE_H_
