// A thread that accepts connections on a socket which somebody else opened, and gives each to a function. For gRPC,
// which can take over a connection but not a listening socket.
#ifndef SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_
#define SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"

namespace sluice {

class AcceptLoop {
 public:
  // Accepts on `listening_fd`, which must be non-blocking and stay open; `take` is called on the loop's thread and owns
  // the descriptor that it gets (non-blocking, closed on exec).
  static absl::StatusOr<std::unique_ptr<AcceptLoop>> Start(int listening_fd, std::function<void(int fd)> take);
  ~AcceptLoop();  // Stop
  AcceptLoop(const AcceptLoop&) = delete;
  AcceptLoop& operator=(const AcceptLoop&) = delete;

  // Accepts no more; who connects from now on waits for whoever accepts next. Not thread-safe; again does nothing.
  void Stop();

 private:
  AcceptLoop(int listening_fd, int stop_fd, std::function<void(int fd)> take);
  void Run();

  const int listening_fd_;
  const int stop_fd_;  // an eventfd
  const std::function<void(int fd)> take_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_
