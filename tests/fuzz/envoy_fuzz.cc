// Whatever comes as a message of Envoy's services; the first byte chooses which. ext_authz: bytes that are a
// CheckRequest get an answer whose status is set and is not 0, as there is no policy: an empty answer would let the
// request pass. Rate limits: as many statuses as descriptors, and OK only for what is not asked but reported.
#include <algorithm>
#include <string>

#include "envoy/service/auth/v3/external_auth.pb.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "server/doors/envoy_authorization.h"
#include "server/doors/envoy_rate_limit.h"
#include "tests/fuzz/door_node.h"

namespace sluice {
namespace {

namespace auth = envoy::service::auth::v3;
namespace rls = envoy::service::ratelimit::v3;

const DoorOptions& Options() {
  static const DoorOptions* const options = [] {
    auto* const made = new DoorOptions();
    made->mapping.domains = {"s3.example.cn", "kodo.example.cn"};
    made->render.blocked_by = "https://provider.example.cn/legal";
    return made;
  }();
  return *options;
}

void Authorize(absl::string_view bytes) {
  EnvoyAuthorization door(&Options(), &FuzzChecker());
  std::string out;
  auth::CheckRequest request;
  const bool readable = request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const absl::Status status = door.Call(bytes, {}, &out);
  Require(status.ok() == readable);
  if (!readable) {
    Require(out.empty());
    return;
  }
  auth::CheckResponse response;
  Require(response.ParseFromString(out));
  Require(response.status().code() != 0 && response.has_denied_response());
  Require(response.denied_response().status().code() >= 400);
  for (const auto& option : response.denied_response().headers()) {
    Require(option.has_append() && !option.append().value());
    Require(option.header().value().find_first_of("\r\n") == std::string::npos);
  }
}

void Limit(absl::string_view bytes) {
  EnvoyRateLimit door(&Options(), &FuzzChecker());
  std::string out;
  if (!door.Call(bytes, {}, &out).ok()) {
    Require(out.empty());
    return;
  }
  rls::RateLimitRequest request;
  rls::RateLimitResponse response;
  Require(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) && response.ParseFromString(out));
  Require(response.statuses_size() == request.descriptors_size());
  bool over = false;
  for (int i = 0; i < response.statuses_size(); ++i) {
    const auto& descriptor = request.descriptors(i);
    const uint64_t hits = descriptor.has_hits_addend() ? descriptor.hits_addend().value() : request.hits_addend();
    const bool usage = hits > 1 || std::any_of(descriptor.entries().begin(), descriptor.entries().end(),
                                               [](const auto& entry) { return entry.key() == "usage"; });
    Require(response.statuses(i).code() == (usage ? rls::RateLimitResponse::OK : rls::RateLimitResponse::OVER_LIMIT));
    over |= !usage;
  }
  Require(response.overall_code() == (over ? rls::RateLimitResponse::OVER_LIMIT : rls::RateLimitResponse::OK));
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    sluice::Authorize(bytes);
  } else {
    sluice::Limit(bytes);
  }
  return 0;
}
