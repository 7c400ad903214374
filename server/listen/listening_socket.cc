#include "server/listen/listening_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int kBacklog = 1024;
// A TCP peer that has gone without a word is noticed by the kernel after about a minute.
constexpr int kTcpKeepaliveSeconds = 30;
constexpr int kTcpUserTimeoutMs = 60'000;

using Found = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::Status CannotListen(const ListenAddress& address, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", FormatListenAddress(address), ": ", why));
}

absl::Status CannotListen(const ListenAddress& address, int error) {
  if (error == EADDRINUSE || error == EADDRNOTAVAIL) {
    return CannotListen(address, "taken by another process, or not an address of this machine");
  }
  return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", FormatListenAddress(address)));
}

// -1 with errno where it cannot.
int BindAndListen(int family, const sockaddr* name, socklen_t size, bool v6_only) {
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int one = 1;
  if (family != AF_UNIX) {
    // Takes over from connections that are still closing. Not SO_REUSEPORT: two processes would share the callers.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const int only = v6_only ? 1 : 0;
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  }
  if (bind(fd, name, size) != 0 || listen(fd, kBacklog) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

int ListenUnix(const ListenAddress& address) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, address.path.data(), std::min(address.path.size(), sizeof name.sun_path - 1));
  PrivateFiles private_files;
  return BindAndListen(AF_UNIX, reinterpret_cast<const sockaddr*>(&name), sizeof name, /*v6_only=*/true);
}

absl::StatusOr<Found> Resolve(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (error != 0) return CannotListen(address, gai_strerror(error));
  return Found(found, freeaddrinfo);
}

in_port_t* PortIn(sockaddr* name) {
  return name->sa_family == AF_INET6 ? &reinterpret_cast<sockaddr_in6*>(name)->sin6_port
                                     : &reinterpret_cast<sockaddr_in*>(name)->sin_port;
}

void SetRealPort(int fd, ListenAddress* address) {
  union {
    sockaddr any;
    sockaddr_storage all;
  } bound = {};
  socklen_t size = sizeof bound;
  if (getsockname(fd, &bound.any, &size) == 0) address->port = ntohs(*PortIn(&bound.any));
}

}  // namespace

absl::StatusOr<int> OpenSocket(const SocketRights& rights, bool make_folder, ListenAddress* address) {
  if (absl::Status status = PrepareSocket(*address, make_folder); !status.ok()) return status;
  int fd = -1;
  if (address->is_unix()) {
    fd = ListenUnix(*address);
  } else {
    const absl::StatusOr<Found> found = Resolve(*address);
    if (!found.ok()) return found.status();
    const addrinfo& first = **found;
    fd = BindAndListen(first.ai_family, first.ai_addr, first.ai_addrlen, /*v6_only=*/true);
  }
  if (fd < 0) return CannotListen(*address, errno);
  if (!address->is_unix()) SetRealPort(fd, address);
  if (absl::Status status = SetSocketRights(*address, rights); !status.ok()) {
    close(fd);
    return status;
  }
  return fd;
}

absl::StatusOr<std::vector<int>> OpenTcpSockets(ListenAddress* address) {
  const absl::StatusOr<Found> found = Resolve(*address);
  if (!found.ok()) return found.status();
  std::vector<int> fds;
  std::set<std::string> seen;  // a name may have an address twice
  int error = 0;
  for (addrinfo* one = found->get(); one != nullptr; one = one->ai_next) {
    if (!seen.emplace(reinterpret_cast<const char*>(one->ai_addr), one->ai_addrlen).second) continue;
    *PortIn(one->ai_addr) = htons(static_cast<uint16_t>(address->port));
    const int fd = BindAndListen(one->ai_family, one->ai_addr, one->ai_addrlen, address->host != "::");
    if (fd >= 0) {
      fds.push_back(fd);
      SetRealPort(fd, address);
      continue;
    }
    error = errno;
    // A machine without IPv6 may have it in its names all the same. Anything else is a fault: callers that try this
    // address could reach somebody else.
    if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) continue;
    for (const int opened : fds) close(opened);
    return CannotListen(*address, error);
  }
  if (fds.empty()) return CannotListen(*address, error);
  return fds;
}

absl::StatusOr<int> ShareSocket(const InheritedSocket& socket) {
  const int fd = fcntl(socket.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CannotListen(socket.address, errno);
  return fd;
}

void PrepareTcp(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kTcpKeepaliveSeconds, sizeof kTcpKeepaliveSeconds);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpUserTimeoutMs, sizeof kTcpUserTimeoutMs);
}

}  // namespace sluice
