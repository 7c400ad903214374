#include "server/admin/peer_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/listening_socket.h"

namespace sluice {
namespace {

constexpr size_t kGroupsMax = 65536;  // the kernel's own bound
// How long the calls of a server that goes may take to finish.
constexpr absl::Duration kLeaveGrace = absl::Seconds(5);

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

void PeerListener::SetServing(bool serving) {
  absl::MutexLock lock(&mutex_);
  serving_ = serving;
  for (const auto& [key, user] : users_) user.endpoint->SetServing(serving);
  if (strangers_ != nullptr) strangers_->SetServing(serving);
}

void PeerListener::Shutdown(std::chrono::system_clock::time_point deadline) {
  if (std::exchange(down_, true)) return;
  if (accept_loop_ != nullptr) accept_loop_->Stop();
  if (own_) unlink(address_.path.c_str());
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  std::list<Leaving> leaving;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, user] : users_) endpoints.push_back(std::move(user.endpoint));
    users_.clear();
    if (strangers_ != nullptr) endpoints.push_back(std::move(strangers_));
    leaving.swap(leaving_);
  }
  // One after the other, all by the same deadline: calls of the later ones go on meanwhile.
  for (const auto& endpoint : endpoints) endpoint->server().Shutdown(deadline);
  for (Leaving& one : leaving) one.thread.join();
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
  if (!known) {
    if (strangers_ == nullptr) strangers_ = Make(absl::nullopt);
    return strangers_.get();
  }
  const std::string key = absl::StrCat(peer.uid, ":", absl::StrJoin(peer.gids, ","));
  auto it = users_.find(key);
  if (it == users_.end()) {
    if (users_.size() >= kPeersMax && !MakePlaceFor(peer)) return nullptr;
    std::unique_ptr<Endpoint> endpoint = Make(peer);
    if (endpoint == nullptr) return nullptr;
    it = users_.emplace(key, User{peer, std::move(endpoint)}).first;
  }
  it->second.last_taken = ++takes_;
  return it->second.endpoint.get();
}

std::unique_ptr<PeerListener::Endpoint> PeerListener::Make(const absl::optional<Credential::Peer>& peer) {
  std::unique_ptr<Endpoint> endpoint = hooks_.make(peer);
  if (endpoint != nullptr) endpoint->SetServing(serving_);
  return endpoint;
}

bool PeerListener::MakePlaceFor(const Credential::Peer& newcomer) {
  for (auto it = leaving_.begin(); it != leaving_.end();) {
    if (it->over->load(std::memory_order_relaxed)) {
      it->thread.join();
      it = leaving_.erase(it);
    } else {
      ++it;
    }
  }
  if (leaving_.size() >= kPeersMax) return false;
  const auto oldest = std::min_element(users_.begin(), users_.end(), [](const auto& a, const auto& b) {
    return a.second.last_taken < b.second.last_taken;
  });
  if (hooks_.on_leave) hooks_.on_leave(oldest->second.peer, newcomer);
  Leaving leaving;
  leaving.over = std::make_shared<std::atomic<bool>>(false);
  // Apart, since a shutdown waits for calls, and here the next connection waits.
  leaving.thread = std::thread(
      [endpoint = std::move(oldest->second.endpoint), over = leaving.over, deadline = DeadlineAfter(kLeaveGrace)] {
        endpoint->Leave();
        endpoint->server().Shutdown(deadline);
        over->store(true, std::memory_order_relaxed);  // all that follows from it is a join
      });
  leaving_.push_back(std::move(leaving));
  users_.erase(oldest);
  return true;
}

}  // namespace sluice
