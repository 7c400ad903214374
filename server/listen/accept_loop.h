// A thread that accepts connections and gives each to a function. For gRPC, which can take over a connection but not a
// listening socket, and has no bound on those that it accepts.
#ifndef SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_
#define SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice {

inline constexpr absl::Duration kLookEvery = absl::Milliseconds(100);

class AcceptLoop {
 public:
  // Accepts on each of `listening_fds`, which must be non-blocking, and owns them, also where it fails; `take` is
  // called on the loop's thread and owns the descriptor that it gets (non-blocking, closed on exec). `look`, which may
  // be empty, is called there too: behind whatever was accepted, and every kLookEvery from then on while it says so.
  static absl::StatusOr<std::unique_ptr<AcceptLoop>> Start(std::vector<int> listening_fds,
                                                           std::function<void(int fd)> take,
                                                           std::function<bool()> look = nullptr);
  ~AcceptLoop();  // Stop
  AcceptLoop(const AcceptLoop&) = delete;
  AcceptLoop& operator=(const AcceptLoop&) = delete;

  // Accepts no more, and closes its sockets; where another process has one of them too, who connects from now on waits
  // for it. Not thread-safe; again does nothing.
  void Stop();

 private:
  AcceptLoop(std::vector<int> listening_fds, int stop_fd, std::function<void(int fd)> take, std::function<bool()> look);
  void Run();
  // False where the process has no descriptor or memory left for it.
  bool AcceptOne(int listening_fd);

  const std::vector<int> listening_fds_;
  const int stop_fd_;  // an eventfd
  const std::function<void(int fd)> take_;
  const std::function<bool()> look_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_ACCEPT_LOOP_H_
