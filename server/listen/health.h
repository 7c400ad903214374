// grpc.health.v1.Health on the data path, for orchestrators and for gRPC clients that balance by health.
#ifndef SLUICE_SERVER_LISTEN_HEALTH_H_
#define SLUICE_SERVER_LISTEN_HEALTH_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/listen/router.h"
#include "server/listen/unary_method.h"

namespace sluice {

inline constexpr char kHealthCheckMethod[] = "/grpc.health.v1.Health/Check";
inline constexpr char kHealthWatchMethod[] = "/grpc.health.v1.Health/Watch";
// grpc.health.v1.HealthCheckResponse.ServingStatus
enum class HealthStatus : uint8_t { kNothing = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3 };
// The service that a serialized HealthCheckRequest asks for; empty: the node as a whole. INVALID_ARGUMENT where it is
// none.
absl::StatusOr<absl::string_view> HealthServiceIn(absl::string_view request);
// What Check says of a service that there is not; Watch answers with kServiceUnknown.
absl::Status UnknownHealthService(absl::string_view service);

// Says the same of the node ("") and of every service that `router` has. Thread-safe; never blocks.
class Health {
 public:
  // Starts as NOT_SERVING. Adds itself to `*router`, which must live as long.
  explicit Health(Router* router);
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // True where this is a change: then whoever watches is to be told (Listener::NotifyWatchers).
  bool SetServing(bool serving) { return serving_.exchange(serving, std::memory_order_relaxed) != serving; }

 private:
  class Method final : public UnaryMethod {
   public:
    Method(const Health* health, bool watch) : health_(health), watch_(watch) {}
    // An unknown service is NOT_FOUND to Check, and an answer of its own, SERVICE_UNKNOWN, to Watch.
    absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override;

   private:
    const Health* const health_;
    const bool watch_;
  };
  bool Knows(absl::string_view service) const;

  const Router* const router_;
  std::atomic<bool> serving_{false};
  Method check_{this, false};
  Method watch_{this, true};
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_HEALTH_H_
