#include "server/doors/envoy_rate_limit.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "server/doors/envoy_metadata.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

namespace rls = envoy::service::ratelimit::v3;
using Descriptor = envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;

constexpr int kDescriptorsMax = 64;
// What a message may charge at once: Envoy's own bound on an addend.
constexpr uint64_t kAddendMax = 1000000000;

// One descriptor, read.
struct Asked {
  MappedCheck mapped;
  uint64_t hits = 1;
  bool usage = false;
  bool inward = false;  // of usage: bytes_in
};

absl::Status BadEntry(absl::string_view key, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("entry ", key.substr(0, 64), ": wanted ", wanted));
}

absl::Status ReadDescriptor(const Descriptor& descriptor, uint32_t addend, Asked* asked) {
  CheckInput& input = asked->mapped.input;
  bool about_something = false;
  for (const Descriptor::Entry& entry : descriptor.entries()) {
    const absl::string_view key = entry.key();
    const std::pair<absl::string_view, absl::string_view*> names[] = {{"account", &input.owner},
                                                                      {"owner", &input.owner},
                                                                      {"requester", &input.requester},
                                                                      {"bucket", &input.bucket},
                                                                      {"key", &input.key},
                                                                      {"object", &input.key},
                                                                      {"host", &input.host},
                                                                      {"remote_address", &input.client_ip},
                                                                      {"client_ip", &input.client_ip},
                                                                      {"region", &input.region}};
    const auto* const name =
        std::find_if(std::begin(names), std::end(names), [key](const auto& each) { return each.first == key; });
    if (name != std::end(names)) {
      *name->second = entry.value();
      about_something |= !entry.value().empty() && key != "region";
    } else if (key == "path") {
      const absl::optional<UrlParts> url = SplitTarget(entry.value());
      if (!url) return BadEntry(key, "a path with a leading \"/\"");
      input.path = url->path;
    } else if (key == "method") {
      if (absl::Status status = MapMethod(entry.value(), &asked->mapped); !status.ok()) return status;
    } else if (key == "operation") {
      const absl::optional<Operation> operation = ParseOperation(entry.value());
      if (!operation || *operation == Operation::kUnspecified) return BadEntry(key, "an operation such as DOWNLOAD");
      input.operation = *operation;
    } else if (key == "usage") {
      if (entry.value() != "bytes_out" && entry.value() != "bytes_in") return BadEntry(key, "bytes_out or bytes_in");
      asked->usage = true;
      asked->inward = entry.value() == "bytes_in";
    } else if (key != "generic_key" && key != "header_match") {
      return BadEntry(key, "one that names an account, bucket, key, host, path, method, operation or address");
    }
  }
  if (!about_something) {
    return absl::InvalidArgumentError(
        "descriptor: wanted an entry that names an account, bucket, key, host or address");
  }
  if (input.operation == Operation::kUnspecified) input.operation = Operation::kPublicRead;
  asked->hits = descriptor.has_hits_addend() ? descriptor.hits_addend().value() : std::max<uint32_t>(addend, 1);
  asked->usage |= asked->hits > 1;
  return absl::OkStatus();
}

uint32_t Bounded(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, std::numeric_limits<uint32_t>::max()));
}

// What Envoy writes as X-RateLimit-Limit: whole requests in the shortest unit that has any.
void FillLimit(const RateLeft& rate, rls::RateLimitResponse::RateLimit* limit) {
  using RateLimit = rls::RateLimitResponse::RateLimit;
  const std::pair<RateLimit::Unit, double> units[] = {{RateLimit::SECOND, 1},
                                                      {RateLimit::MINUTE, 60},
                                                      {RateLimit::HOUR, 3600},
                                                      {RateLimit::DAY, 86400},
                                                      {RateLimit::WEEK, 604800}};
  limit->set_name("requests");
  for (const auto& [unit, seconds] : units) {
    const double requests = std::min(std::floor(rate.requests_per_second * seconds + 1e-9), 4294967295.0);
    limit->set_unit(unit);
    limit->set_requests_per_unit(static_cast<uint32_t>(requests));
    if (requests >= 1) return;
  }
}

void FillStatus(const Decision& decision, rls::RateLimitResponse::DescriptorStatus* status) {
  const bool over = decision.verdict != Verdict::kAllow;
  status->set_code(over ? rls::RateLimitResponse::OVER_LIMIT : rls::RateLimitResponse::OK);
  int64_t reset_ms = over ? decision.retry_after_ms : 0;
  if (decision.rate) {
    FillLimit(*decision.rate, status->mutable_current_limit());
    status->set_limit_remaining(over ? 0 : Bounded(decision.rate->remaining));
    if (!over) reset_ms = decision.rate->full_after_ms;
  }
  if (reset_ms > 0) {
    status->mutable_duration_until_reset()->set_seconds(reset_ms / 1000);
    status->mutable_duration_until_reset()->set_nanos(static_cast<int32_t>(reset_ms % 1000) * 1000000);
  }
}

}  // namespace

absl::Status EnvoyRateLimit::Call(absl::string_view request, const CallContext& context, std::string* response) {
  google::protobuf::Arena arena;
  auto* const message = google::protobuf::Arena::CreateMessage<rls::RateLimitRequest>(&arena);
  auto* const answer = google::protobuf::Arena::CreateMessage<rls::RateLimitResponse>(&arena);
  if (!message->ParseFromArray(request.data(), static_cast<int>(request.size()))) {
    checker_->OnUnreadable();
    return absl::InvalidArgumentError(absl::StrCat("wanted an envoy.service.ratelimit.v3.RateLimitRequest, got ",
                                                   request.size(), " bytes that are none"));
  }
  const int size = message->descriptors_size();
  if (size < 1 || size > kDescriptorsMax) {
    checker_->OnUnreadable();
    return absl::InvalidArgumentError(absl::StrCat("descriptors: wanted 1 to ", kDescriptorsMax, ", got ", size));
  }
  // All are read before the first spends anything.
  std::vector<Asked> asked(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    const absl::Status status = ReadDescriptor(message->descriptors(i), message->hits_addend(), &asked[i]);
    if (!status.ok()) {
      checker_->OnUnreadable();
      return absl::InvalidArgumentError(absl::StrCat("descriptors[", i, "].", status.message()));
    }
  }

  answer->set_overall_code(rls::RateLimitResponse::OK);
  const Decision* worst = nullptr;
  std::vector<Decision> decisions(asked.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    CheckInput& input = asked[i].mapped.input;
    if (input.region.empty()) input.region = options_->region;
    input.dialect = DialectOf(options_->profile);
    input.door = Door::kEnvoyRateLimit;
    input.tell_rate = true;
    input.trace_parent = context.trace_parent;
    rls::RateLimitResponse::DescriptorStatus* const status = answer->add_statuses();
    if (asked[i].usage) {
      UsageInput usage{input.owner, input.bucket, input.key, input.host, input.client_ip};
      if (usage.key.empty() && !input.path.empty()) usage.key = KeyOfPath(input.path, &asked[i].mapped.key);
      usage.operation = input.operation;
      (asked[i].inward ? usage.bytes_in : usage.bytes_out) = static_cast<int64_t>(std::min(asked[i].hits, kAddendMax));
      if (absl::Status charged = checker_->Report({}, {usage}); !charged.ok()) return charged;
      status->set_code(rls::RateLimitResponse::OK);
      continue;
    }
    const absl::Status checked =
        asked[i].hits == 0 ? checker_->Peek(&input, &decisions[i]) : checker_->Check(&input, &decisions[i]);
    if (!checked.ok()) return checked;
    FillStatus(decisions[i], status);
    if (decisions[i].verdict == Verdict::kAllow) continue;
    answer->set_overall_code(rls::RateLimitResponse::OVER_LIMIT);
    // Of several the one that denies, else the one that makes wait longest, answers the client.
    if (worst == nullptr || decisions[i].verdict > worst->verdict ||
        (decisions[i].verdict == worst->verdict && decisions[i].retry_after_ms > worst->retry_after_ms)) {
      worst = &decisions[i];
    }
  }
  if (worst != nullptr) {
    absl::string_view content_type;
    answer->set_raw_body(
        RenderBody(*worst, DialectOf(options_->profile), {{}, context.trace_parent, {}, {}}, &content_type));
    ResponseFields headers;
    AddClientHeaders(options_->render, *worst, &headers);
    headers.emplace_back("content-type", content_type);
    for (const auto& [name, value] : headers) {
      auto* const header = answer->add_response_headers_to_add();
      header->set_key(std::string(name));
      header->set_value(value);
    }
    FillMetadata(*worst, answer->mutable_dynamic_metadata());
  }
  answer->AppendToString(response);
  return absl::OkStatus();
}

}  // namespace sluice
