// Ceph RGW's authorization hook (rgw_use_opa_authz): one POST for each S3 or Swift call, answered by {"result":true} or
// {"result":false} and nothing else. radosgw aborts on a result that is an object, an array, null or text, and reports
// every other status than 200 to its client as an error of its own, so the answer is always 200 and a literal boolean:
// a refusal is 403 AccessDenied, and neither a throttle nor 451 can be told apart from it.
//
// The message carries the secret keys of the user. They are dropped while it is read (json_fields.h).
#ifndef SLUICE_SERVER_DOORS_CEPH_RGW_DOOR_H_
#define SLUICE_SERVER_DOORS_CEPH_RGW_DOOR_H_

#include "server/doors/door.h"
#include "server/listen/http_message.h"

namespace sluice {

class CephRgwDoor {
 public:
  // Both must outlive this.
  CephRgwDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // Thread-safe; does not block.
  void Answer(const HttpRequest& request, HttpResponse* response);

 private:
  bool IsAllowed(const HttpRequest& request);

  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_CEPH_RGW_DOOR_H_
