// MinIO's access management plugin (policy_plugin): one POST or more for each call of an authenticated account,
// answered by {"result":true} or {"result":false}. An empty POST comes when MinIO reads its configuration.
//
// The plugin stands in place of MinIO's own policies, so what is allowed here is allowed for good. Hence, beside the
// decision: the root account may do everything; any other account may act on the buckets that are bound to it, list its
// buckets and make new ones, and do what MinIO itself would let it do unless forbidden (denyOnly). Anonymous requests
// never reach the plugin.
//
// The message carries the client's headers, Authorization among them. They are dropped while it is read.
#ifndef SLUICE_SERVER_DOORS_MINIO_DOOR_H_
#define SLUICE_SERVER_DOORS_MINIO_DOOR_H_

#include "server/doors/door.h"
#include "server/listen/http_message.h"

namespace sluice {

class MinioDoor {
 public:
  // Both must outlive this.
  MinioDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // Thread-safe; does not block.
  void Answer(const HttpRequest& request, HttpResponse* response);

 private:
  bool IsAllowed(const HttpRequest& request);

  const DoorOptions* const options_;
  Checker* const checker_;
};

// What an action of S3, of MinIO's administration or of its key store does; nothing for an unknown one.
absl::optional<Operation> OperationOfMinioAction(absl::string_view action);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_MINIO_DOOR_H_
