// Live streams: the HTTP callbacks of nginx-rtmp (on_publish, on_play, on_update) and the HTTP hooks of SRS. The hub of
// a stream is its bucket (the application of the server), the stream its key; publishing is judged as an upload,
// playing as a public read of the host in the client's URL.
//
// Tokens that clients put into the arguments of a stream are read by nobody here.
#ifndef SLUICE_SERVER_DOORS_LIVE_DOORS_H_
#define SLUICE_SERVER_DOORS_LIVE_DOORS_H_

#include "server/doors/door.h"
#include "server/listen/http_message.h"

namespace sluice {

// Form-encoded. 200 lets a stream go on, 403 refuses or, at an update, cuts it. The end of a stream (publish_done,
// play_done, done) is always taken note of.
class NginxRtmpDoor {
 public:
  // Both must outlive this.
  NginxRtmpDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}
  // Thread-safe; does not block.
  void Answer(const HttpRequest& request, HttpResponse* response);

 private:
  const DoorOptions* const options_;
  Checker* const checker_;
};

// JSON. {"code":0} lets a stream go on; any other code, with 403, refuses it. Only on_publish and on_play ask anything;
// the other actions tell, and are taken note of.
class SrsDoor {
 public:
  // Both must outlive this.
  SrsDoor(const DoorOptions* options, Checker* checker) : options_(options), checker_(checker) {}
  // Thread-safe; does not block.
  void Answer(const HttpRequest& request, HttpResponse* response);

 private:
  const DoorOptions* const options_;
  Checker* const checker_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_LIVE_DOORS_H_
