#include "server/doors/nginx_door.h"

#include "absl/strings/str_cat.h"
#include "enforcement/trace_context.h"

namespace sluice {

namespace {

// Of refusals alone: a page that nginx makes of one can name it.
void AddTrace(absl::string_view trace_parent, HttpResponse* response) {
  if (!trace_parent.empty()) AddHeader(response, "X-Sluice-Trace-Id", TraceIdOf(trace_parent));
}

}  // namespace

void NginxDoor::Refuse(const absl::Status& why, absl::string_view trace_parent, HttpResponse* response) {
  response->status = 403;
  AddTrace(trace_parent, response);
  AddHeader(response, "X-Sluice-Verdict", "DENY");
  AddHeader(response, "X-Sluice-Reason", "UNMAPPED");
  AddHeader(response, "X-Sluice-Status", "400");
  AddHeader(response, "X-Sluice-Message", why.message());
  AddHeader(response, "Cache-Control", "no-store");
}

void NginxDoor::Answer(Profile profile, const HttpRequest& request, HttpResponse* response) {
  GatewayRequest original;
  absl::Status status = ReadDescription(request, "x-original-method", &original.method);
  status.Update(ReadDescription(request, "x-original-uri", &original.target));
  original.host = request.Header("x-original-host");
  original.client_ip = request.Header("x-real-ip");
  original.headers = request.headers;
  MappedCheck mapped;
  Decision decision;
  if (status.ok()) {
    status = MapAndCheck(*options_, profile, original, Door::kNginx, checker_, &mapped, &decision);
  } else {
    checker_->OnUnreadable();
  }
  if (!status.ok()) {
    Refuse(status, request.trace_parent(), response);
    return;
  }
  AddGatewayHeaders(decision, response);
  if (decision.verdict == Verdict::kAllow) {
    response->status = 200;
    AddClientHeaders(options_->render, decision, &response->headers);
    // For proxy_cache in the location of the subrequest.
    const int64_t seconds = decision.cache_for_ms / 1000;
    AddHeader(response, "Cache-Control", seconds > 0 ? absl::StrCat("max-age=", seconds) : "no-store");
    return;
  }
  response->status = 403;
  AddTrace(request.trace_parent(), response);
  AddClientHeaders(options_->render, decision, &response->headers);
}

}  // namespace sluice
