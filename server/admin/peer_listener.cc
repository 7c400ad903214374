#include "server/admin/peer_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/listening_socket.h"

namespace sluice {
namespace {

constexpr size_t kGroupsMax = 65536;  // the kernel's own bound

absl::StatusOr<Credential::Peer> PeerOf(int fd, int* pid) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::ErrnoToStatus(errno, "asking for the peer of a connection");
  }
  Credential::Peer peer;
  peer.uid = credentials.uid;
  *pid = credentials.pid;
  std::vector<gid_t> groups(64);
  while (true) {
    size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) break;
    if (errno != ERANGE || groups.size() >= kGroupsMax) {
      return absl::ErrnoToStatus(errno, "asking for the groups of a connection's peer");
    }
    groups.resize(std::max<size_t>(groups.size() * 2, size / sizeof(gid_t)));
  }
  groups.resize(size / sizeof(gid_t));
  peer.gids.assign(groups.begin(), groups.end());
  peer.gids.push_back(credentials.gid);
  std::sort(peer.gids.begin(), peer.gids.end());
  peer.gids.erase(std::unique(peer.gids.begin(), peer.gids.end()), peer.gids.end());
  return peer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerListener>> PeerListener::Start(const Options& options, Hooks hooks) {
  ListenAddress address = options.inherited ? options.inherited->address : options.address;
  const absl::StatusOr<int> socket =
      options.inherited ? ShareSocket(*options.inherited) : OpenSocket(options.rights, options.make_folder, &address);
  if (!socket.ok()) return socket.status();
  std::unique_ptr<PeerListener> result(
      new PeerListener(std::move(address), /*own=*/!options.inherited.has_value(), std::move(hooks)));
  absl::StatusOr<std::unique_ptr<AcceptLoop>> accept_loop =
      AcceptLoop::Start({*socket}, [one = result.get()](int fd) { one->Take(fd); });
  if (!accept_loop.ok()) return accept_loop.status();
  result->accept_loop_ = *std::move(accept_loop);
  return result;
}

PeerListener::~PeerListener() { Shutdown(std::chrono::system_clock::now()); }

void PeerListener::SetServing(const std::function<void(grpc::Server&)>& set) {
  absl::MutexLock lock(&mutex_);
  set_serving_ = set;
  for (const auto& [key, endpoint] : endpoints_) set_serving_(endpoint->server());
}

void PeerListener::Shutdown(std::chrono::system_clock::time_point deadline) {
  if (std::exchange(down_, true)) return;
  if (accept_loop_ != nullptr) accept_loop_->Stop();
  if (own_) unlink(address_.path.c_str());
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints;
  {
    absl::MutexLock lock(&mutex_);
    endpoints.swap(endpoints_);
  }
  // One after the other, all by the same deadline: calls of the later ones go on meanwhile.
  for (const auto& [key, endpoint] : endpoints) endpoint->server().Shutdown(deadline);
}

void PeerListener::Take(int fd) {
  int pid = 0;
  const absl::StatusOr<Credential::Peer> peer = PeerOf(fd, &pid);
  const bool known = peer.ok() && hooks_.knows(*peer);
  if (peer.ok() && !known && hooks_.on_stranger) hooks_.on_stranger(*peer, pid);
  Endpoint* const endpoint = peer.ok() && hooks_.let_in(fd, known) ? EndpointFor(*peer, known) : nullptr;
  if (endpoint == nullptr) {
    close(fd);
    return;
  }
  HandOver(fd, &endpoint->acceptor());
}

PeerListener::Endpoint* PeerListener::EndpointFor(const Credential::Peer& peer, bool known) {
  absl::MutexLock lock(&mutex_);
  std::string key = known ? absl::StrCat(peer.uid, ":", absl::StrJoin(peer.gids, ",")) : "";
  // Beyond the bound a user is one of the unknown; a token still tells who it is.
  if (endpoints_.find(key) == endpoints_.end() && endpoints_.size() > kPeersMax) key.clear();
  std::unique_ptr<Endpoint>& endpoint = endpoints_[key];
  if (endpoint == nullptr) {
    endpoint = hooks_.make(key.empty() ? absl::nullopt : absl::make_optional(peer));
    if (endpoint == nullptr) {
      endpoints_.erase(key);
      return nullptr;
    }
    if (set_serving_) set_serving_(endpoint->server());
  }
  return endpoint.get();
}

}  // namespace sluice
