#include "server/listen/health.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "proto/wire.h"

namespace sluice {

absl::StatusOr<absl::string_view> HealthServiceIn(absl::string_view request) {
  absl::string_view service;
  WireReader fields(request);
  bool text = true;
  while (fields.Next()) {
    if (fields.number() != 1 || fields.type() != WireReader::Type::kBytes) continue;
    service = fields.bytes();
    text &= IsUtf8(service);
  }
  if (!fields.ok() || !text) return absl::InvalidArgumentError("wanted a grpc.health.v1.HealthCheckRequest");
  return service;
}

absl::Status UnknownHealthService(absl::string_view service) {
  return absl::NotFoundError(absl::StrCat("no service '", service, "' here"));
}

Health::Health(Router* router) : router_(router) {
  router->AddGrpc(kHealthCheckMethod, &check_);
  router->AddGrpc(kHealthWatchMethod, &watch_, GrpcRoute::Flow::kWatch);
}

bool Health::Knows(absl::string_view service) const {
  if (service.empty()) return true;
  const std::vector<std::string> services = router_->GrpcServices();
  return std::find(services.begin(), services.end(), service) != services.end();
}

absl::Status Health::Method::Call(absl::string_view request, const CallContext& context, std::string* response) {
  const absl::StatusOr<absl::string_view> service = HealthServiceIn(request);
  if (!service.ok()) return service.status();
  HealthStatus status =
      health_->serving_.load(std::memory_order_relaxed) ? HealthStatus::kServing : HealthStatus::kNotServing;
  if (!health_->Knows(*service)) {
    if (!watch_) return UnknownHealthService(*service);
    status = HealthStatus::kServiceUnknown;
  }
  AppendNumberField(1, static_cast<uint64_t>(status), response);
  return absl::OkStatus();
}

}  // namespace sluice
