// HAProxy's SPOE: what an agent does with the messages of a NOTIFY frame.
//
// Message "check" asks. Arguments: method, path (with its query), host, src; and where there are any: profile,
// request_id, account, requester, bucket, key, operation (a word of the contract), and headers (req.hdrs), from which a
// signature is seen. The answer is variables of the transaction: allowed (bool), verdict, reason, clause, status,
// retry_after (seconds), rate (bytes a second; absent = unshaped), code, body, content_type, link; and of an allow too
// ratelimit and ratelimit_policy, the values of the response fields of these names.
// Message "report" charges usage: host, path (of a download domain: the key), bucket, key, src, account, operation,
// bytes_in, bytes_out. It answers nothing.
//
// What cannot be mapped is answered with allowed=false, status 400 and reason UNMAPPED, like any refusal.
#ifndef SLUICE_SERVER_DOORS_SPOE_DOOR_H_
#define SLUICE_SERVER_DOORS_SPOE_DOOR_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/doors/door.h"
#include "server/doors/spop.h"

namespace sluice {

class SpoeDoor {
 public:
  // Both must outlive this.
  SpoeDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}

  // Appends the actions that answer the messages in `payload`, the payload of a NOTIFY frame. False where it cannot be
  // read: then the connection is to be closed. Thread-safe; does not block.
  bool Answer(absl::string_view payload, std::string* actions);

 private:
  struct Arguments;
  void Check(const Arguments& arguments, std::string* actions);
  void Report(const Arguments& arguments);

  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_SPOE_DOOR_H_
