#include "server/admin/connection_bound.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>  // the C library's own knows no tcpi_bytes_received
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/listen/address.h"

namespace sluice {
namespace {

// A flood has a line a minute, not one a connection.
constexpr int64_t kTellEveryNs = 60'000'000'000;

union SocketName {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_storage all;
};

// An address that IPv6 has only to carry one of IPv4 is that one, as gRPC has it.
void Unmap(SocketName* name) {
  if (name->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&name->v6.sin6_addr)) return;
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = name->v6.sin6_port;
  memcpy(&v4.sin_addr, &name->v6.sin6_addr.s6_addr[12], sizeof v4.sin_addr);
  name->v4 = v4;
}

std::string OriginOf(const SocketName& name) {
  char text[INET6_ADDRSTRLEN] = {};
  ListenAddress address;
  if (name.any.sa_family == AF_INET) {
    address.host = inet_ntop(AF_INET, &name.v4.sin_addr, text, sizeof text);
    address.port = ntohs(name.v4.sin_port);
  } else {
    address.host = inet_ntop(AF_INET6, &name.v6.sin6_addr, text, sizeof text);
    if (name.v6.sin6_scope_id != 0) absl::StrAppend(&address.host, "%", name.v6.sin6_scope_id);
    address.port = ntohs(name.v6.sin6_port);
  }
  return FormatListenAddress(address);
}

// Who has an address of IPv6 has the 2^64 of its network.
std::string SourceOf(const SocketName& name) {
  if (name.any.sa_family == AF_INET) {
    return std::string(reinterpret_cast<const char*>(&name.v4.sin_addr), sizeof name.v4.sin_addr);
  }
  return std::string(reinterpret_cast<const char*>(&name.v6.sin6_addr), sizeof name.v6.sin6_addr / 2);
}

// All that came over a connection, also what nobody has read yet; 0 where the kernel does not say.
uint64_t BytesFrom(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

}  // namespace

ConnectionBound::Socket ConnectionBound::SocketOf(int fd) {
  struct stat info = {};
  // As fstat does. ThreadSanitizer takes that for a use of the descriptor, which would race with whoever has its number
  // by now; here it is asked for nothing else.
  if (fstatat(fd, "", &info, AT_EMPTY_PATH) != 0 || !S_ISSOCK(info.st_mode)) return {};
  return {info.st_dev, info.st_ino};
}

ConnectionBound::Connection ConnectionBound::Describe(int fd) {
  Connection one;
  one.fd = fd;
  one.socket = SocketOf(fd);
  SocketName name = {};
  socklen_t size = sizeof name;
  if (getpeername(fd, &name.any, &size) != 0) return one;  // gone already
  if (name.any.sa_family == AF_UNIX) {
    ucred user = {};
    size = sizeof user;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) == 0) one.source = absl::StrCat("user ", user.uid);
    return one;
  }
  Unmap(&name);
  one.origin = OriginOf(name);
  one.source = SourceOf(name);
  return one;
}

bool ConnectionBound::LetIn(int fd, bool known) {
  Connection one = Describe(fd);
  one.known = known;
  absl::MutexLock lock(&mutex_);
  if (!HasPlaceFor(one)) {
    Tell(one.origin, "refused", &too_many_);
    return false;
  }
  open_.push_back(std::move(one));
  return true;
}

void ConnectionBound::OnKnown(absl::string_view origin) {
  // gRPC writes "ipv6:%5B::1%5D:51234".
  const std::string plain =
      absl::StrReplaceAll(origin, {{"ipv4:", ""}, {"ipv6:", ""}, {"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  absl::MutexLock lock(&mutex_);
  for (Connection& one : open_) {
    if (one.origin == plain) one.known = true;
  }
}

void ConnectionBound::ForgetClosed() {
  open_.erase(std::remove_if(open_.begin(), open_.end(),
                             [](const Connection& one) { return !(SocketOf(one.fd) == one.socket); }),
              open_.end());
}

bool ConnectionBound::Look() {
  absl::MutexLock lock(&mutex_);
  ForgetClosed();
  bool again = false;
  for (Connection& one : open_) {
    if (one.known || one.cut || one.origin.empty()) continue;
    const bool cut = BytesFrom(one.fd) > bounds_.newcomer_bytes_max && Cut(&one, &too_large_);
    again |= !cut;
  }
  return again;
}

bool ConnectionBound::HasPlaceFor(const Connection& one) {
  if (open_.size() < bounds_.newcomers_max) return true;
  ForgetClosed();
  size_t known = 0, newcomers = 0, cut = 0;
  for (const Connection& other : open_) ++(other.cut ? cut : other.known ? known : newcomers);
  if (known + newcomers < bounds_.connections_max && (one.known || newcomers < bounds_.newcomers_max)) return true;
  return cut < bounds_.newcomers_max && CutOneFor(one.source);
}

bool ConnectionBound::CutOneFor(const std::string& source) {
  absl::flat_hash_map<absl::string_view, int> counts = {{source, 1}};
  Connection* oldest = nullptr;
  int most = 0;
  for (Connection& one : open_) {
    if (!one.known && !one.cut) most = std::max(most, ++counts[one.source]);
  }
  for (Connection& one : open_) {
    if (one.known || one.cut || counts[one.source] != most) continue;
    oldest = &one;
    break;
  }
  return oldest != nullptr && Cut(oldest, &too_many_);
}

bool ConnectionBound::Cut(Connection* one, Telling* telling) {
  // gRPC may close it in this very moment, and its number be another's. A descriptor of our own stays what it is.
  const int own = fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return false;
  one->cut = true;
  Tell(one->origin, "cut", telling);
  if (SocketOf(own) == one->socket) shutdown(own, SHUT_RDWR);  // gRPC reads its end, and closes it
  close(own);
  return true;
}

void ConnectionBound::Tell(const std::string& origin, absl::string_view outcome, Telling* telling) {
  if (counts_ != nullptr) counts_->OnError(WireProtocol::kHttp2, telling->error);
  ++telling->untold;
  const MonotonicTime now = clock_->Now().mono;
  if (logger_ == nullptr || (telling->told && now.ns - telling->told_at.ns < kTellEveryNs)) return;
  logger_->Warning(telling->event, {{"origin", origin}, {"outcome", outcome}, {"ended", telling->untold}});
  telling->untold = 0;
  telling->told = true;
  telling->told_at = now;
}

}  // namespace sluice
