// All doors of a node, on the paths where gateways find them:
//
//   POST /v1/check, /v1/report       sluice.v1 as JSON
//   /nginx[/PROFILE]                 nginx's auth_request
//   /forward[/PROFILE]               forward auth: Traefik, Caddy, HAProxy's Lua, Varnish, h2o
//   /envoy/PROFILE/...               Envoy's ext_authz in its HTTP mode
//   POST /ceph-rgw, /v1/data/ceph/authz   Ceph RGW
//   POST /minio                      MinIO's policy plugin
//   POST /nginx-rtmp, /srs           live streams
//   every other path                 where a fallback profile is set: the request itself, as Traffic Server repeats it
//
// and Envoy's Authorization and RateLimitService over gRPC.
#ifndef SLUICE_SERVER_DOORS_DOORS_H_
#define SLUICE_SERVER_DOORS_DOORS_H_

#include <memory>
#include <vector>

#include "absl/types/optional.h"
#include "server/doors/ceph_rgw_door.h"
#include "server/doors/check_door.h"
#include "server/doors/door.h"
#include "server/doors/envoy_authorization.h"
#include "server/doors/envoy_rate_limit.h"
#include "server/doors/forward_auth_door.h"
#include "server/doors/live_doors.h"
#include "server/doors/minio_door.h"
#include "server/doors/nginx_door.h"
#include "server/doors/spoe_door.h"
#include "server/listen/router.h"

namespace sluice {

class Doors {
 public:
  // Adds every door to `*router`, before it is listened on. `checker` and `router` must outlive this, and this whoever
  // uses the router.
  Doors(DoorOptions options, Checker* checker, Router* router);
  ~Doors();
  Doors(const Doors&) = delete;
  Doors& operator=(const Doors&) = delete;

  // For the listener of HAProxy's SPOE.
  SpoeDoor* spoe() { return &spoe_; }

 private:
  class Handler;
  template <typename Answer>
  HttpHandler* Make(Answer answer);
  void AddHooks(Router* router);
  void AddProxies(Router* router);

  const DoorOptions options_;
  Checker* const checker_;
  CheckDoor check_;
  NginxDoor nginx_;
  ForwardAuthDoor forward_;
  CephRgwDoor rgw_;
  MinioDoor minio_;
  NginxRtmpDoor rtmp_;
  SrsDoor srs_;
  EnvoyAuthorization authorization_;
  EnvoyRateLimit rate_limit_;
  SpoeDoor spoe_;
  std::vector<std::unique_ptr<HttpHandler>> handlers_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_DOORS_H_
