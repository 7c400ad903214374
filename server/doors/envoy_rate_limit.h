// envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit: Envoy's rate limit filter, answered from the same policy
// as every other door.
//
// A descriptor is a check. Its entries name what it is about: account (or owner), requester, bucket, key (or object),
// host, path, method, operation, remote_address (or client_ip), region. generic_key and header_match are Envoy's own
// labels and say nothing. Any other entry cannot be mapped: INVALID_ARGUMENT, which Envoy treats by failure_mode_deny.
//
// Hits: 1 asks and spends. 0, which only a descriptor can say, looks and spends nothing. More than 1, or an entry
// "usage" (bytes_out or bytes_in), is what a stream turned out to use: it is charged as bytes and always answered OK,
// as after apply_on_stream_done nobody waits for the answer. With a host, the path of a usage is its key. A
// descriptor's own limit is not heeded.
#ifndef SLUICE_SERVER_DOORS_ENVOY_RATE_LIMIT_H_
#define SLUICE_SERVER_DOORS_ENVOY_RATE_LIMIT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/doors/door.h"
#include "server/listen/unary_method.h"

namespace sluice {

class EnvoyRateLimit final : public UnaryMethod {
 public:
  static constexpr char kPath[] = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

  // Both must outlive this.
  EnvoyRateLimit(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override;

 private:
  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_ENVOY_RATE_LIMIT_H_
