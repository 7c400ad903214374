// envoy.service.auth.v3.Authorization/Check: Envoy's ext_authz filter over gRPC.
//
// What the filter reads is status.code alone, and an unset one lets the request pass: it is set in every answer.
// Headers come with append=false, the one way to overwrite that all versions of Envoy understand. A refusal is never an
// RPC error, which failure_mode_allow is about; what cannot be mapped is refused with 400.
#ifndef SLUICE_SERVER_DOORS_ENVOY_AUTHORIZATION_H_
#define SLUICE_SERVER_DOORS_ENVOY_AUTHORIZATION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/doors/door.h"
#include "server/listen/unary_method.h"

namespace sluice {

class EnvoyAuthorization final : public UnaryMethod {
 public:
  static constexpr char kPath[] = "/envoy.service.auth.v3.Authorization/Check";
  // Where an answer's dynamic metadata lands in Envoy.
  static constexpr char kMetadataNamespace[] = "envoy.filters.http.ext_authz";

  // Both must outlive this.
  EnvoyAuthorization(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // Context extensions of the route (profile, account, requester, bucket, key, host, region, operation) go before what
  // the request itself says. INVALID_ARGUMENT only for bytes that are no CheckRequest.
  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override;

 private:
  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_ENVOY_AUTHORIZATION_H_
