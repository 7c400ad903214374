// Forward auth: gateways that let a request pass on 200 and give every other answer to the client as it is. Traefik,
// Caddy, HAProxy's Lua client and others describe the request in X-Forwarded-* headers; Envoy's HTTP mode, Traffic
// Server and Varnish repeat the request itself.
//
// A refusal is for the client's eyes, so it carries no X-Sluice-* headers; an allow carries all of them, for the
// gateway.
#ifndef SLUICE_SERVER_DOORS_FORWARD_AUTH_DOOR_H_
#define SLUICE_SERVER_DOORS_FORWARD_AUTH_DOOR_H_

#include "server/doors/door.h"
#include "server/listen/http_message.h"

namespace sluice {

class ForwardAuthDoor {
 public:
  // Both must outlive this.
  ForwardAuthDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // By X-Forwarded-Method, -Uri, -Host and -For. Thread-safe; does not block.
  void Answer(Profile profile, const HttpRequest& request, HttpResponse* response);

  // The request is the client's own, its target `target`. With `below_500`, as Envoy's HTTP mode needs it, a refusal is
  // never a 5xx, which Envoy takes for a failure of ours and may let pass: a throttle is 429, another refusal 403.
  void AnswerReplayed(Profile profile, absl::string_view target, bool below_500, const HttpRequest& request,
                      HttpResponse* response);

 private:
  void Answer(Profile profile, const GatewayRequest& original, bool below_500, HttpResponse* response);

  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_FORWARD_AUTH_DOOR_H_
