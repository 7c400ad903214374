// The data-path listener: gRPC over HTTP/2 and plain HTTP, versions 1.1 and 2, on one address, with one event loop a
// core. What it answers is the router's to say.
//
// Why not gRPC's own server: docs/decisions/2026-11-26-listener.md.
#ifndef SLUICE_SERVER_LISTEN_LISTENER_H_
#define SLUICE_SERVER_LISTEN_LISTENER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"
#include "server/listen/router.h"
#include "server/listen/session.h"

namespace sluice {

class TlsSource;
class WireMetrics;

class Listener {
 public:
  struct Options {
    ListenAddress address;
    SocketRights rights = {.mode = 0660};  // of a Unix socket
    bool make_folder = false;              // of a Unix socket, where it is missing
    int threads = 0;                       // 0 = one a core
    int connections_max = 16384;           // a further one is closed at once
    // Connections of a thread whose callers have not shown who they are: by TLS; without it none has. One more, and the
    // oldest is cut. 0 = no such bound.
    size_t newcomers_max = 0;
    SessionLimits limits;
    BufferBudget* buffers =
        nullptr;  // what all connections may hold together; must outlive the listener; null = no bound
    absl::optional<InheritedSocket> inherited;  // takes the place of `address`, `rights` and `make_folder`
    WireMetrics* metrics = nullptr;             // what is told of the wire; must outlive the listener
    const TlsSource* tls = nullptr;             // of a listener that speaks TLS; must outlive it
    SessionMaker make_session;                  // of a listener that speaks something else than HTTP; empty = HTTP
  };

  // Listens and answers when it returns. `router` must outlive the listener, and be filled. FAILED_PRECONDITION: taken
  // by another process; NOT_FOUND, PERMISSION_DENIED: as the file system says.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const Options& options, const Router* router);
  ~Listener();  // Shutdown without grace
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Asks the methods of every watch again. Thread-safe; does not wait.
  void NotifyWatchers();

  // Takes no new connections: they are refused at once, but by a socket that was inherited. Tells the open ones to
  // finish (GOAWAY, Connection: close), and cuts those that are left after `grace`. Blocks. Not thread-safe; again does
  // nothing.
  void Shutdown(absl::Duration grace);

  // Where it listens, with the real port.
  const ListenAddress& address() const;

 private:
  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_LISTENER_H_
