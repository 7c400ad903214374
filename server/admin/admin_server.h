// sluice.v1.PolicyAdmin and sluice.v1.DecisionLog over gRPC, on a listener of their own. Here calls may block: on the
// disk, on another's commit, on a watcher's patience. None of them touches a thread that answers checks.
//
// Who calls is asked of every call, and each event is authorized by role (server/access.h). Health and reflection alone
// ask for nothing: they tell nothing of the policy. How many connections there are has a bound (connection_bound.h).
#ifndef SLUICE_SERVER_ADMIN_ADMIN_SERVER_H_
#define SLUICE_SERVER_ADMIN_ADMIN_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "decision_log/decision_source.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/top.h"
#include "metrics/trust_counters.h"
#include "metrics/wire_metrics.h"
#include "server/access_source.h"
#include "server/admin/pace_guard.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"
#include "server/listen/tls_files.h"
#include "server/log/logger.h"
#include "store/policy_writer.h"
#include "store/store.h"

namespace sluice {

class AdminServer {
 public:
  struct Options {
    ListenAddress address;
    SocketRights rights;                        // of a Unix socket
    bool make_folder = false;                   // of a Unix socket, where it is missing
    absl::optional<InheritedSocket> inherited;  // takes the place of the three above
    // Of TCP. Without a certificate the listener is plain, for a token on this machine.
    TlsFiles tls;
    Pace pace;  // of exports and imports; falling behind breaks them off
  };
  // What it serves. All must outlive the server.
  struct Parts {
    Engine* engine = nullptr;
    const Store* store = nullptr;
    PolicyWriter* writer = nullptr;
    const DecisionSource* decisions = nullptr;
    const Clock* clock = nullptr;
    const Top* top = nullptr;
    const AccessSource* access = nullptr;
    const Logger* logger = nullptr;     // may be null
    TrustCounters* counters = nullptr;  // may be null
    WireMetrics* wire = nullptr;        // may be null
    // Called after the policy changed, before the caller is told. May be empty.
    std::function<void()> on_applied;
  };

  // Listens and answers when it returns. Errors say which address and why.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const Options& options, Parts parts);
  ~AdminServer();  // Shutdown without grace
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // What grpc.health.v1 says of the node as a whole; of sluice.v1.PolicyAdmin and sluice.v1.DecisionLog it says SERVING
  // until Shutdown. Thread-safe.
  void SetServing(bool serving);

  // Ends watches with UNAVAILABLE, so that watchers resume elsewhere; gives other calls `grace` to finish, then cancels
  // them. Blocks. Not thread-safe; again does nothing.
  void Shutdown(absl::Duration grace);

  // Where it listens, with the real port.
  const ListenAddress& address() const;

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// Bounds of one call.
inline constexpr int kEventsMax = 10'000;  // in an ApplyRequest
inline constexpr int kWatchersMax = 64;    // at once
inline constexpr int kExportsMax = 4;      // at once
inline constexpr size_t kChunkBytesMax = 1'000'000;

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_ADMIN_SERVER_H_
