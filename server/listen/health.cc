#include "server/listen/health.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "proto/wire.h"

namespace sluice {
namespace {

// grpc.health.v1.HealthCheckResponse.ServingStatus
constexpr uint64_t kServing = 1;
constexpr uint64_t kNotServing = 2;
constexpr uint64_t kServiceUnknown = 3;

}  // namespace

Health::Health(Router* router) : router_(router) {
  router->AddGrpc("/grpc.health.v1.Health/Check", &check_);
  router->AddGrpc("/grpc.health.v1.Health/Watch", &watch_, GrpcRoute::Flow::kWatch);
}

bool Health::Knows(absl::string_view service) const {
  if (service.empty()) return true;
  const std::vector<std::string> services = router_->GrpcServices();
  return std::find(services.begin(), services.end(), service) != services.end();
}

absl::Status Health::Method::Call(absl::string_view request, const CallContext& context, std::string* response) {
  absl::string_view service;
  WireReader fields(request);
  bool text = true;
  while (fields.Next()) {
    if (fields.number() != 1 || fields.type() != WireReader::Type::kBytes) continue;
    service = fields.bytes();
    text &= IsUtf8(service);
  }
  if (!fields.ok() || !text) return absl::InvalidArgumentError("wanted a grpc.health.v1.HealthCheckRequest");
  uint64_t status = health_->serving_.load(std::memory_order_relaxed) ? kServing : kNotServing;
  if (!health_->Knows(service)) {
    if (!watch_) return absl::NotFoundError(absl::StrCat("no service '", service, "' here"));
    status = kServiceUnknown;
  }
  AppendNumberField(1, status, response);
  return absl::OkStatus();
}

}  // namespace sluice
