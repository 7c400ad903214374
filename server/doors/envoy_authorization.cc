#include "server/doors/envoy_authorization.h"

#include <google/protobuf/arena.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "server/doors/envoy_metadata.h"

namespace sluice {
namespace {

namespace auth = envoy::service::auth::v3;

// Of google.rpc.Code.
constexpr int kOk = 0;
constexpr int kInvalidArgument = 3;
constexpr int kPermissionDenied = 7;
constexpr int kResourceExhausted = 8;

std::vector<HttpHeader> HeadersOf(const auth::AttributeContext::HttpRequest& http) {
  std::vector<HttpHeader> headers;
  headers.reserve(http.headers().size() + static_cast<size_t>(http.header_map().headers_size()));
  for (const auto& [name, value] : http.headers()) headers.push_back({name, value});
  for (const auto& header : http.header_map().headers()) {
    headers.push_back({header.key(), header.raw_value().empty() ? header.value() : header.raw_value()});
  }
  return headers;
}

absl::Status MapExtensions(const google::protobuf::Map<std::string, std::string>& extensions, CheckInput* input) {
  const std::pair<const char*, absl::string_view*> fields[] = {
      {"account", &input->owner}, {"requester", &input->requester}, {"bucket", &input->bucket},
      {"key", &input->key},       {"host", &input->host},           {"region", &input->region}};
  for (const auto& [name, field] : fields) {
    const auto found = extensions.find(name);
    if (found != extensions.end() && !found->second.empty()) *field = found->second;
  }
  const auto word = extensions.find("operation");
  if (word == extensions.end()) return absl::OkStatus();
  const absl::optional<Operation> operation = ParseOperation(word->second);
  if (!operation || *operation == Operation::kUnspecified) {
    return absl::InvalidArgumentError(
        absl::StrCat("context_extensions.operation: wanted an operation such as DOWNLOAD, got \"",
                     word->second.substr(0, 32), "\""));
  }
  input->operation = *operation;
  return absl::OkStatus();
}

using HeaderOption = envoy::config::core::v3::HeaderValueOption;

void Fill(HeaderOption* option, absl::string_view name, absl::string_view value) {
  option->mutable_header()->set_key(std::string(name));
  option->mutable_header()->set_value(std::string(value));
  option->mutable_append()->set_value(false);
}

void Deny(int code, int http_status, std::string body, absl::string_view content_type, auth::CheckResponse* answer) {
  answer->mutable_status()->set_code(code);
  auth::DeniedHttpResponse* denied = answer->mutable_denied_response();
  // The enum is open: 419, 451 and 573 have no name in it and go over as numbers.
  denied->mutable_status()->set_code(static_cast<envoy::type::v3::StatusCode>(http_status));
  denied->set_body(std::move(body));
  Fill(denied->add_headers(), "content-type", content_type);
}

}  // namespace

absl::Status EnvoyAuthorization::Call(absl::string_view request, const CallContext& context, std::string* response) {
  google::protobuf::Arena arena;
  auto* const message = google::protobuf::Arena::CreateMessage<auth::CheckRequest>(&arena);
  auto* const answer = google::protobuf::Arena::CreateMessage<auth::CheckResponse>(&arena);
  if (!message->ParseFromArray(request.data(), static_cast<int>(request.size()))) {
    checker_->OnUnreadable();
    return absl::InvalidArgumentError(
        absl::StrCat("wanted an envoy.service.auth.v3.CheckRequest, got ", request.size(), " bytes that are none"));
  }
  const auth::AttributeContext& attributes = message->attributes();
  const auth::AttributeContext::HttpRequest& http = attributes.request().http();
  const std::vector<HttpHeader> headers = HeadersOf(http);
  GatewayRequest original;
  original.method = http.method();
  original.target = http.path();
  original.host = http.host();
  original.client_ip = attributes.source().address().socket_address().address();
  original.headers = headers;

  absl::optional<Profile> profile = options_->profile;
  const auto named = attributes.context_extensions().find("profile");
  if (named != attributes.context_extensions().end()) profile = ParseProfile(named->second);
  MappedCheck mapped;
  Decision decision;
  absl::Status status = profile ? Map(options_->mapping, *profile, original, &mapped)
                                : absl::InvalidArgumentError(
                                      "context_extensions.profile: wanted cdn, s3-path, s3-vhost "
                                      "or kodo");
  CheckInput& input = mapped.input;
  input.region = options_->region;
  if (status.ok()) status = MapExtensions(attributes.context_extensions(), &input);
  if (status.ok()) {
    if (input.bytes == 0 && http.size() > 0) input.bytes = http.size();
    if (input.request_id.empty()) input.request_id = RequestIdOf(http.id());
    if (input.trace_parent.empty()) input.trace_parent = context.trace_parent;
    input.door = Door::kEnvoyAuthorization;
    input.tell_rate = true;
    status = checker_->Check(&input, &decision);
  } else {
    checker_->OnUnreadable();
  }

  if (!status.ok()) {
    HttpResponse rendered;
    RenderUnmapped(status, input.trace_parent, &rendered);
    Deny(kInvalidArgument, rendered.status, std::move(rendered.body), "application/problem+json", answer);
    answer->mutable_status()->set_message("this request cannot be judged");
  } else if (decision.verdict == Verdict::kAllow) {
    answer->mutable_status()->set_code(kOk);
    auth::OkHttpResponse* const ok = answer->mutable_ok_response();
    ResponseFields client_headers;
    AddClientHeaders(options_->render, decision, &client_headers);
    for (const auto& [name, value] : client_headers) Fill(ok->add_response_headers_to_add(), name, value);
    FillMetadata(decision, answer->mutable_dynamic_metadata());
  } else {
    absl::string_view content_type;
    std::string body = RenderBody(decision, input.dialect,
                                  ClientRequestOf(input, original.target, original.Header("accept")), &content_type);
    Deny(decision.verdict == Verdict::kThrottle ? kResourceExhausted : kPermissionDenied, decision.http.status,
         std::move(body), content_type, answer);
    ResponseFields client_headers;
    AddClientHeaders(options_->render, decision, &client_headers);
    for (const auto& [name, value] : client_headers) {
      Fill(answer->mutable_denied_response()->add_headers(), name, value);
    }
    FillMetadata(decision, answer->mutable_dynamic_metadata());
  }
  answer->AppendToString(response);
  return absl::OkStatus();
}

}  // namespace sluice
