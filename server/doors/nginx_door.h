// nginx's auth_request: a subrequest that nginx answers by 2xx or 403 alone; every other status becomes 500. So an
// allow is 200, a refusal 403, and X-Sluice-Status says what the client is to get. The body is thrown away by nginx.
// Source: ngx_http_auth_request_module; examples/nginx shows the other half.
#ifndef SLUICE_SERVER_DOORS_NGINX_DOOR_H_
#define SLUICE_SERVER_DOORS_NGINX_DOOR_H_

#include "server/doors/door.h"
#include "server/listen/http_message.h"

namespace sluice {

class NginxDoor {
 public:
  // Both must outlive this.
  NginxDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // The client's request stands in X-Original-URI, X-Original-Method and X-Original-Host, its address in X-Real-IP; its
  // own headers come along. Thread-safe; does not block.
  void Answer(Profile profile, const HttpRequest& request, HttpResponse* response);

  // Says that nothing could be judged, in the one way that auth_request knows; the client is to get 400 and `why`.
  // `trace_parent` is as ParseTraceParent gives it.
  static void Refuse(const absl::Status& why, absl::string_view trace_parent, HttpResponse* response);

 private:
  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_NGINX_DOOR_H_
