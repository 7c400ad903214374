// POST /v1/check and /v1/report: sluice.v1 in its JSON form, for whoever has an HTTP client and no gRPC. As over gRPC,
// a denial is an answer (200); what cannot be read is 400.
#ifndef SLUICE_SERVER_DOORS_CHECK_DOOR_H_
#define SLUICE_SERVER_DOORS_CHECK_DOOR_H_

#include "server/listen/checker.h"
#include "server/listen/http_message.h"

namespace sluice {

class CheckDoor {
 public:
  // `checker` must outlive this.
  explicit CheckDoor(Checker* checker) : checker_(checker) {}

  // Thread-safe; do not block.
  void Check(const HttpRequest& request, HttpResponse* response);
  void Report(const HttpRequest& request, HttpResponse* response);

 private:
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_CHECK_DOOR_H_
