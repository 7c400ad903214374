// The data path over gRPC C++: one completion queue and one thread each, with call objects and
// messages that are used again and again. 7 us of server CPU a call is the best that gRPC C++ gives, and this shape is
// how (DESIGN.md).
#ifndef SLUICE_SERVER_LISTEN_CHECK_SERVER_H_
#define SLUICE_SERVER_LISTEN_CHECK_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/listen/address.h"
#include "server/listen/checker.h"
#include "server/listen/inherited_sockets.h"
#include "server/listen/router.h"

namespace sluice {

class CheckServer {
 public:
  struct Options {
    ListenAddress address;
    SocketRights rights = {.mode = 0660};       // of a Unix socket
    bool make_folder = false;                   // of a Unix socket, where it is missing
    int threads = 0;                            // 0 = one a core
    absl::optional<InheritedSocket> inherited;  // takes the place of the three above `threads`
    size_t memory_bytes_max = 0;                // of all its connections together, as gRPC counts; 0 = no bound
  };

  // Listens and answers when it returns: Check, CheckBatch and Report by `checker`, all else by what `router` has,
  // which must be filled. Both must outlive the server. Errors say which address and why.
  static absl::StatusOr<std::unique_ptr<CheckServer>> Start(const Options& options, Checker* checker,
                                                            const Router* router);
  ~CheckServer();  // Shutdown without grace
  CheckServer(const CheckServer&) = delete;
  CheckServer& operator=(const CheckServer&) = delete;

  // Asks the methods of every watch again. Thread-safe; does not wait.
  void NotifyWatchers();

  // Takes no new calls, gives those under way `grace` to finish, then cancels them. Blocks. A stream that its caller
  // keeps open is cut at the end of the grace. Not thread-safe; again does nothing.
  void Shutdown(absl::Duration grace);

  // Where it listens, with the real port.
  const ListenAddress& address() const;

 private:
  struct Impl;
  explicit CheckServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CHECK_SERVER_H_
