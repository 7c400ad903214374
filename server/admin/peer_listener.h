// A Unix socket whose connections are sorted by who made them. gRPC tells a service nothing of a local caller; the
// kernel does. So the connections are accepted here, asked for their user and groups, and handed to a gRPC server that
// serves this user alone. Servers are made when a user first comes; how many there can be is bounded: where another
// user comes, the server goes that took a connection longest ago, and its users' next calls make a new one.
#ifndef SLUICE_SERVER_ADMIN_PEER_LISTENER_H_
#define SLUICE_SERVER_ADMIN_PEER_LISTENER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "server/access.h"
#include "server/listen/accept_loop.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"

namespace sluice {

// Users, with their groups, that have a server of their own at once, and again of those whose server still goes. Those
// that the access file does not know share one, which stays.
inline constexpr size_t kPeersMax = 32;

class PeerListener {
 public:
  struct Options {
    ListenAddress address;  // REQUIRES: of a Unix socket
    SocketRights rights;
    bool make_folder = false;
    absl::optional<InheritedSocket> inherited;  // takes the place of the three above
  };
  // A server that listens nowhere, with what it serves. The services must outlive it.
  class Endpoint {
   public:
    virtual ~Endpoint() = default;
    virtual grpc::Server& server() = 0;
    virtual grpc::experimental::ExternalConnectionAcceptor& acceptor() = 0;
    // What its health service says of the node.
    virtual void SetServing(bool serving) = 0;
    // Has those of its calls end that would go on by themselves. Does not wait.
    virtual void Leave() = 0;
  };
  struct Hooks {
    // Makes the endpoint of one user, or of all that are not known. Null where it cannot be made.
    std::function<std::unique_ptr<Endpoint>(const absl::optional<Credential::Peer>& peer)> make;
    std::function<bool(const Credential::Peer& peer)> knows;
    // Whether a connection may stay; one of which this says no is closed.
    std::function<bool(int fd, bool known)> let_in;
    // Of a connection from somebody who is not known. May be empty.
    std::function<void(const Credential::Peer& peer, int pid)> on_stranger;
    // Of a user whose server goes for one of `newcomer`. May be empty.
    std::function<void(const Credential::Peer& peer, const Credential::Peer& newcomer)> on_leave;
  };

  // Listens when it returns. Errors say which address and why.
  static absl::StatusOr<std::unique_ptr<PeerListener>> Start(const Options& options, Hooks hooks);
  // Stops accepting and shuts every server down without grace.
  ~PeerListener();
  PeerListener(const PeerListener&) = delete;
  PeerListener& operator=(const PeerListener&) = delete;

  // Of every server that there is and that will be. Thread-safe.
  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(mutex_);

  // Accepts nothing more, removes the socket that it made, and gives calls under way until `deadline`. Blocks. Not
  // thread-safe; again does nothing.
  void Shutdown(std::chrono::system_clock::time_point deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  const ListenAddress& address() const { return address_; }

 private:
  PeerListener(ListenAddress address, bool own, Hooks hooks)
      : address_(std::move(address)), own_(own), hooks_(std::move(hooks)) {}
  // One with groups, and what serves it.
  struct User {
    Credential::Peer peer;
    std::unique_ptr<Endpoint> endpoint;
    int64_t last_taken = 0;  // of takes_
  };
  // What no longer does: a thread waits for its calls, and then it goes.
  struct Leaving {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> over;
  };

  void Take(int fd);
  // Null where there is none and none can be made.
  Endpoint* EndpointFor(const Credential::Peer& peer, bool known) ABSL_LOCKS_EXCLUDED(mutex_);
  std::unique_ptr<Endpoint> Make(const absl::optional<Credential::Peer>& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the server go that took a connection longest ago. False where as many as may be are going already.
  bool MakePlaceFor(const Credential::Peer& newcomer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ListenAddress address_;
  const bool own_;  // as against inherited: to be removed at the end
  const Hooks hooks_;
  absl::Mutex mutex_;
  std::map<std::string, User> users_ ABSL_GUARDED_BY(mutex_);    // by user and groups
  std::unique_ptr<Endpoint> strangers_ ABSL_GUARDED_BY(mutex_);  // null until the first comes
  std::list<Leaving> leaving_ ABSL_GUARDED_BY(mutex_);
  int64_t takes_ ABSL_GUARDED_BY(mutex_) = 0;  // connections of known users so far
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool down_ = false;
  std::unique_ptr<AcceptLoop> accept_loop_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_PEER_LISTENER_H_
