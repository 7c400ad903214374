// Reflection of an administration server, for whoever asks. gRPC's own holds a thread for each stream for as long as
// its caller likes, of those that the calls of operators need; this one holds none.
#ifndef SLUICE_SERVER_ADMIN_REFLECTION_SERVICE_H_
#define SLUICE_SERVER_ADMIN_REFLECTION_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <cstddef>
#include <string>
#include <vector>

#include "server/admin/open_calls.h"

namespace sluice {

// Streams that a server keeps open at once. One more, and the oldest is cut: they are no more than a question away.
inline constexpr size_t kReflectionsMax = 64;
// Of one request: no name is longer.
inline constexpr size_t kReflectionBytesMax = 4096;

// Reactions run on gRPC's threads, several at once, and never block.
class ReflectionService final : public grpc::Service {
 public:
  // Lists `services` ("sluice.v1.PolicyAdmin"). Must outlive the server that it is registered with.
  explicit ReflectionService(std::vector<std::string> services);

 private:
  class Stream;

  const std::vector<std::string> services_;
  OpenCalls<Stream> open_{kReflectionsMax};
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_REFLECTION_SERVICE_H_
