#include "server/doors/spoe_door.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "enforcement/trace_context.h"
#include "server/doors/url.h"
#include "server/listen/grpc_status.h"

namespace sluice {

// The arguments of one message. Text views the frame.
struct SpoeDoor::Arguments {
  absl::string_view method, path, host, profile, request_id, account, requester, bucket, key, operation, headers;
  std::string src;
  int64_t bytes_in = 0, bytes_out = 0;

  void Take(absl::string_view name, const SpopValue& value) {
    const std::pair<absl::string_view, absl::string_view*> texts[] = {{"method", &method},
                                                                      {"path", &path},
                                                                      {"host", &host},
                                                                      {"profile", &profile},
                                                                      {"request_id", &request_id},
                                                                      {"account", &account},
                                                                      {"requester", &requester},
                                                                      {"bucket", &bucket},
                                                                      {"key", &key},
                                                                      {"operation", &operation},
                                                                      {"headers", &headers}};
    if (value.kind == SpopValue::Kind::kText) {
      for (const auto& [each, field] : texts) {
        if (each == name) *field = value.text;
      }
      if (name == "src") src = std::string(value.text);
    } else if (value.kind == SpopValue::Kind::kAddress && name == "src") {
      char literal[INET6_ADDRSTRLEN];
      const int family = value.text.size() == 4 ? AF_INET : AF_INET6;
      if (inet_ntop(family, value.text.data(), literal, sizeof(literal)) != nullptr) src = literal;
    } else if (value.kind == SpopValue::Kind::kNumber) {
      if (name == "bytes_in") bytes_in = value.number;
      if (name == "bytes_out") bytes_out = value.number;
    }
  }
};

namespace {

constexpr SpopScope kScope = SpopScope::kTransaction;
constexpr size_t kHeadersMax = 256;

// The lines of req.hdrs. Names come in lower case into `*names`.
std::vector<HttpHeader> SplitHeaders(absl::string_view block, std::string* names) {
  std::vector<HttpHeader> headers;
  *names = absl::AsciiStrToLower(block);  // of the same length, so that views of both agree
  size_t begin = 0;
  while (begin < block.size() && headers.size() < kHeadersMax) {
    const size_t end = std::min(block.find("\r\n", begin), block.size());
    const size_t colon = block.substr(begin, end - begin).find(':');
    if (colon != absl::string_view::npos) {
      headers.push_back({absl::string_view(*names).substr(begin, colon),
                         absl::StripAsciiWhitespace(block.substr(begin + colon + 1, end - begin - colon - 1))});
    }
    begin = end + 2;
  }
  return headers;
}

bool MapOperation(absl::string_view word, CheckInput* input) {
  if (word.empty()) return true;
  const absl::optional<Operation> operation = ParseOperation(word);
  if (!operation || *operation == Operation::kUnspecified) return false;
  input->operation = *operation;
  return true;
}

void Override(absl::string_view value, absl::string_view* field) {
  if (!value.empty()) *field = value;
}

}  // namespace

void SpoeDoor::Check(const Arguments& arguments, std::string* actions) {
  std::string names;
  const std::vector<HttpHeader> headers = SplitHeaders(arguments.headers, &names);
  GatewayRequest original;
  original.method = arguments.method;
  original.target = arguments.path;
  original.host = arguments.host;
  original.client_ip = arguments.src;
  original.headers = headers;
  const absl::optional<Profile> profile =
      arguments.profile.empty() ? options_->profile : ParseProfile(arguments.profile);
  MappedCheck mapped;
  Decision decision;
  absl::Status status = profile ? Map(options_->mapping, *profile, original, &mapped)
                                : absl::InvalidArgumentError("profile: wanted cdn, s3-path, s3-vhost or kodo");
  CheckInput& input = mapped.input;
  if (status.ok() && !MapOperation(arguments.operation, &input)) {
    status = absl::InvalidArgumentError("operation: wanted a word such as DOWNLOAD");
  }
  if (status.ok()) {
    Override(RequestIdOf(arguments.request_id), &input.request_id);
    Override(arguments.account, &input.owner);
    Override(arguments.requester, &input.requester);
    Override(arguments.bucket, &input.bucket);
    Override(arguments.key, &input.key);
    input.region = options_->region;
    input.door = Door::kHaproxy;
    input.tell_rate = true;
    status = checker_->Check(&input, &decision);
  } else {
    checker_->OnUnreadable();
  }
  if (!status.ok()) {
    status = WithTrace(std::move(status), ParseTraceParent(original.Header("traceparent")));
    AppendSpopSet(kScope, "allowed", false, actions);
    AppendSpopSet(kScope, "verdict", absl::string_view("DENY"), actions);
    AppendSpopSet(kScope, "reason", absl::string_view("UNMAPPED"), actions);
    AppendSpopSet(kScope, "status", int64_t{400}, actions);
    AppendSpopSet(kScope, "body", status.message(), actions);
    AppendSpopSet(kScope, "content_type", absl::string_view("text/plain"), actions);
    return;
  }
  const bool allowed = decision.verdict == Verdict::kAllow;
  AppendSpopSet(kScope, "allowed", allowed, actions);
  AppendSpopSet(kScope, "verdict", Name(decision.verdict), actions);
  if (decision.reason != Reason::kUnspecified) AppendSpopSet(kScope, "reason", Name(decision.reason), actions);
  if (!decision.clause.empty()) AppendSpopSet(kScope, "clause", absl::string_view(decision.clause), actions);
  if (decision.shape_bytes_per_second > 0) {
    AppendSpopSet(kScope, "rate", decision.shape_bytes_per_second, actions);
  }
  ResponseFields client_headers;
  AddClientHeaders(options_->render, decision, &client_headers);
  for (const auto& [name, value] : client_headers) {
    const absl::string_view variable = name == "Link"               ? "link"
                                       : name == "RateLimit"        ? "ratelimit"
                                       : name == "RateLimit-Policy" ? "ratelimit_policy"
                                                                    : "";
    if (!variable.empty()) AppendSpopSet(kScope, variable, absl::string_view(value), actions);
  }
  if (allowed) return;
  AppendSpopSet(kScope, "status", int64_t{decision.http.status}, actions);
  AppendSpopSet(kScope, "code", decision.http.code, actions);
  absl::string_view content_type;
  const std::string body = RenderBody(
      decision, input.dialect, ClientRequestOf(input, original.target, original.Header("accept")), &content_type);
  AppendSpopSet(kScope, "body", absl::string_view(body), actions);
  AppendSpopSet(kScope, "content_type", content_type, actions);
  if (const int64_t seconds = RetryAfterSeconds(decision); seconds > 0) {
    AppendSpopSet(kScope, "retry_after", seconds, actions);
  }
}

void SpoeDoor::Report(const Arguments& arguments) {
  CheckInput named;  // for its operation
  const bool known = MapOperation(arguments.operation, &named);
  UsageInput usage{arguments.account, arguments.bucket, arguments.key, arguments.host, arguments.src};
  std::string decoded;
  if (usage.key.empty() && !arguments.path.empty()) {
    if (const absl::optional<UrlParts> url = SplitTarget(arguments.path)) usage.key = KeyOfPath(url->path, &decoded);
  }
  usage.operation = known && !arguments.operation.empty() ? named.operation : Operation::kPublicRead;
  usage.bytes_in = std::max<int64_t>(arguments.bytes_in, 0);
  usage.bytes_out = std::max<int64_t>(arguments.bytes_out, 0);
  if (!known || !checker_->Report({}, {usage}).ok()) checker_->OnUnreadable();
}

bool SpoeDoor::Answer(absl::string_view payload, std::string* actions) {
  SpopReader reader(payload);
  while (!reader.done()) {
    absl::string_view message, name;
    uint8_t count = 0;
    if (!reader.Text(&message) || !reader.Byte(&count)) return false;
    Arguments arguments;
    for (; count > 0; --count) {
      SpopValue value;
      if (!reader.Text(&name) || !reader.Value(&value)) return false;
      arguments.Take(name, value);
    }
    if (message == "check") {
      Check(arguments, actions);
    } else if (message == "report") {
      Report(arguments);
    }
    // Another message is not for this agent: its variables stay unset, which no rule takes for an allow.
  }
  return true;
}

}  // namespace sluice
