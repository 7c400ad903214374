#include "server/doors/forward_auth_door.h"

#include "absl/strings/str_cat.h"
#include "enforcement/trace_context.h"
#include "server/doors/url.h"

namespace sluice {

void ForwardAuthDoor::Answer(Profile profile, const HttpRequest& request, HttpResponse* response) {
  GatewayRequest original;
  absl::Status status = ReadDescription(request, "x-forwarded-method", &original.method);
  status.Update(ReadDescription(request, "x-forwarded-uri", &original.target));
  if (!status.ok()) {
    checker_->OnUnreadable();
    RenderUnmapped(status, request.trace_parent(), response);
    return;
  }
  original.host = request.Header("x-forwarded-host");
  original.client_ip = ForwardedAddress(request.Header("x-forwarded-for"), options_->mapping.forwarded_hops);
  original.headers = request.headers;
  Answer(profile, original, /*below_500=*/false, response);
}

void ForwardAuthDoor::AnswerReplayed(Profile profile, absl::string_view target, bool below_500,
                                     const HttpRequest& request, HttpResponse* response) {
  GatewayRequest original;
  original.method = request.method;
  original.target = target;
  original.host = request.host;
  original.client_ip = ForwardedAddress(request.Header("x-forwarded-for"), options_->mapping.forwarded_hops);
  original.headers = request.headers;
  Answer(profile, original, below_500, response);
}

void ForwardAuthDoor::Answer(Profile profile, const GatewayRequest& original, bool below_500, HttpResponse* response) {
  MappedCheck mapped;
  Decision decision;
  const absl::Status status =
      MapAndCheck(*options_, profile, original, Door::kForwardAuth, checker_, &mapped, &decision);
  if (!status.ok()) {
    RenderUnmapped(status, ParseTraceParent(original.Header("traceparent")), response);
    return;
  }
  if (decision.verdict == Verdict::kAllow) {
    response->status = 200;
    AddGatewayHeaders(decision, response);
    AddClientHeaders(options_->render, decision, &response->headers);
    AddHeader(response, "Cache-Control", "no-store");  // Traffic Server would use an answer again
    return;
  }
  if (below_500 && decision.http.status >= 500) {
    decision.http.status = decision.verdict == Verdict::kThrottle ? 429 : 403;
  }
  RenderForClient(options_->render, decision, mapped.input.dialect,
                  ClientRequestOf(mapped.input, original.target, original.Header("accept")), response);
}

}  // namespace sluice
