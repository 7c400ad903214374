#include "server/doors/render.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "enforcement/trace_context.h"
#include "server/doors/json_fields.h"

namespace sluice {
namespace {

constexpr int64_t kRetrySecondsMax = 86400;
constexpr int kUnavailableForLegalReasons = 451;

// A value that is no field value (a control character) is not sent.
bool IsFieldValue(absl::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

std::string XmlText(absl::string_view text) {
  std::string result =
      absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&apos;"}});
  // XML 1.0 has no way to write these at all.
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') c = '?';
  }
  return result;
}

// A member behind others.
std::string JsonTrace(absl::string_view trace_id) {
  return trace_id.empty() ? std::string() : absl::StrCat(",\"trace_id\":\"", trace_id, "\"");
}

absl::string_view Title(int status) {
  switch (status) {
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 410:
      return "Gone";
    case 423:
      return "Locked";
    case 429:
      return "Too Many Requests";
    case 451:
      return "Unavailable For Legal Reasons";
    case 503:
      return "Service Unavailable";
    default:
      return "Refused";
  }
}

}  // namespace

void AddHeader(HttpResponse* response, absl::string_view name, absl::string_view value) {
  if (IsFieldValue(value)) response->headers.emplace_back(name, value);
}

int64_t RetryAfterSeconds(const Decision& decision) {
  const bool called_for =
      decision.verdict == Verdict::kThrottle || decision.http.status == 429 || decision.http.status == 503;
  if (decision.verdict == Verdict::kAllow || !called_for) return 0;
  return std::clamp<int64_t>((decision.retry_after_ms + 999) / 1000, 1, kRetrySecondsMax);
}

void AddClientHeaders(const RenderOptions& options, const Decision& decision, ResponseFields* headers) {
  if (const int64_t seconds = RetryAfterSeconds(decision); seconds > 0) {
    headers->emplace_back("Retry-After", absl::StrCat(seconds));
  }
  if (decision.rate && decision.rate->burst > 0) {
    // draft-ietf-httpapi-ratelimit-headers: a bucket grants q in the w seconds that it takes to fill.
    const RateLeft& rate = *decision.rate;
    const double window = std::max(std::ceil(static_cast<double>(rate.burst) / rate.requests_per_second), 1.0);
    headers->emplace_back("RateLimit-Policy", absl::StrCat("\"requests\";q=", rate.burst,
                                                           ";w=", static_cast<int64_t>(std::min(window, 1e9))));
    headers->emplace_back("RateLimit",
                          absl::StrCat("\"requests\";r=", rate.remaining, ";t=", (rate.full_after_ms + 999) / 1000));
  }
  if (decision.verdict == Verdict::kAllow) return;
  // A refusal that a cache kept would outlive what lifts it: a payment, an appeal, the next second.
  headers->emplace_back("Cache-Control", "no-store");
  if (decision.http.status == kUnavailableForLegalReasons && !options.blocked_by.empty()) {
    headers->emplace_back("Link", absl::StrCat("<", options.blocked_by, ">; rel=\"blocked-by\""));
  }
}

ClientRequest ClientRequestOf(const CheckInput& input, absl::string_view target, absl::string_view accept) {
  return {input.request_id, input.trace_parent, target.substr(0, target.find('?')), accept};
}

std::string RenderBody(const Decision& decision, Dialect dialect, const ClientRequest& request,
                       absl::string_view* content_type) {
  const absl::string_view trace_id = TraceIdOf(request.trace_parent);
  switch (dialect) {
    case Dialect::kS3: {
      *content_type = "application/xml";
      const std::string host_id = trace_id.empty() ? "" : absl::StrCat("<HostId>", trace_id, "</HostId>");
      return absl::StrCat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>", XmlText(decision.http.code),
                          "</Code><Message>", XmlText(decision.http.message), "</Message><Resource>",
                          XmlText(request.resource), "</Resource><RequestId>", XmlText(request.request_id),
                          "</RequestId>", host_id, "</Error>\n");
    }
    case Dialect::kKodo:
      *content_type = "application/json";
      return absl::StrCat("{\"error\":", JsonText(decision.http.message), JsonTrace(trace_id), "}\n");
    default:
      break;
  }
  // A browser asks for HTML; it gets a sentence that it can show.
  if (absl::StrContains(request.accept, "text/") && !absl::StrContains(request.accept, "json")) {
    *content_type = "text/plain; charset=utf-8";
    const std::string trace = trace_id.empty() ? "" : absl::StrCat("trace ", trace_id, "\n");
    return absl::StrCat(decision.http.status, " ", Title(decision.http.status), "\n", decision.http.message, "\n",
                        trace);
  }
  *content_type = "application/problem+json";  // RFC 9457
  return absl::StrCat("{\"type\":\"about:blank\",\"title\":", JsonText(Title(decision.http.status)),
                      ",\"status\":", decision.http.status, ",\"detail\":", JsonText(decision.http.message),
                      JsonTrace(trace_id), "}\n");
}

void RenderForClient(const RenderOptions& options, const Decision& decision, Dialect dialect,
                     const ClientRequest& request, HttpResponse* response) {
  if (decision.verdict == Verdict::kAllow) {
    response->status = 200;
    return;
  }
  response->status = decision.http.status;
  absl::string_view content_type;
  response->body = RenderBody(decision, dialect, request, &content_type);
  AddHeader(response, "Content-Type", content_type);
  if (!request.request_id.empty()) {
    AddHeader(response,
              dialect == Dialect::kS3     ? "x-amz-request-id"
              : dialect == Dialect::kKodo ? "X-Reqid"
                                          : "X-Request-Id",
              request.request_id);
  }
  // A refused HEAD has no body to find it in.
  if (dialect == Dialect::kS3 && !request.trace_parent.empty()) {
    AddHeader(response, "x-amz-id-2", TraceIdOf(request.trace_parent));
  }
  AddClientHeaders(options, decision, &response->headers);
}

void AddGatewayHeaders(const Decision& decision, HttpResponse* response) {
  const bool allowed = decision.verdict == Verdict::kAllow;
  AddHeader(response, "X-Sluice-Verdict", Name(decision.verdict));
  AddHeader(response, "X-Sluice-Reason", decision.reason == Reason::kUnspecified ? "" : Name(decision.reason));
  AddHeader(response, "X-Sluice-Clause", decision.clause);
  AddHeader(response, "X-Sluice-Status", allowed ? "" : absl::StrCat(decision.http.status));
  AddHeader(response, "X-Sluice-Code", decision.http.code);
  AddHeader(response, "X-Sluice-Message", decision.http.message);
  AddHeader(response, "X-Sluice-Rate",
            decision.shape_bytes_per_second > 0 ? absl::StrCat(decision.shape_bytes_per_second) : "");
  AddHeader(response, "X-Sluice-Warning", decision.warnings.empty() ? "" : Name(decision.warnings.front()));
  AddHeader(response, "X-Sluice-Recheck-After",
            decision.recheck_after_ms > 0 ? absl::StrCat(decision.recheck_after_ms / 1000) : "");
  AddHeader(response, "X-Sluice-Lease", decision.lease_id);
  AddHeader(response, "X-Sluice-Revision", absl::StrCat(decision.revision));
}

void RenderUnmapped(const absl::Status& status, absl::string_view trace_parent, HttpResponse* response) {
  response->status = 400;
  response->body = absl::StrCat(
      "{\"type\":\"about:blank\",\"title\":\"This request cannot be judged\",\"status\":400,"
      "\"detail\":",
      JsonText(status.message()), JsonTrace(TraceIdOf(trace_parent)), "}\n");
  AddHeader(response, "Content-Type", "application/problem+json");
  AddHeader(response, "Cache-Control", "no-store");
}

}  // namespace sluice
