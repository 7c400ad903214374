#include "server/listen/inherited_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

constexpr int kFirstFd = 3;  // behind stdin, stdout and stderr, as the protocol has it
constexpr int kSocketsMax = 16;

std::string Take(const char* name) {
  const char* value = getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

int Option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// Where `fd` listens; no value where that is neither a path nor an address with a port.
absl::optional<ListenAddress> AddressOf(int fd) {
  union {
    sockaddr any;
    sockaddr_un local;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } name = {};
  socklen_t size = sizeof(name);
  if (getsockname(fd, &name.any, &size) != 0) return absl::nullopt;
  ListenAddress address;
  char text[INET6_ADDRSTRLEN] = {};
  switch (name.any.sa_family) {
    case AF_UNIX:
      if (name.local.sun_path[0] != '/') return absl::nullopt;  // abstract: no file whose mode says who may connect
      address.path = name.local.sun_path;
      return address;
    case AF_INET:
      address.host = inet_ntop(AF_INET, &name.v4.sin_addr, text, sizeof(text));
      address.port = ntohs(name.v4.sin_port);
      return address;
    case AF_INET6:
      address.host = inet_ntop(AF_INET6, &name.v6.sin6_addr, text, sizeof(text));
      address.port = ntohs(name.v6.sin6_port);
      return address;
    default:
      return absl::nullopt;
  }
}

absl::Status Fault(absl::string_view what, absl::string_view wanted, absl::string_view got) {
  return absl::InvalidArgumentError(absl::StrCat("inherited sockets: ", what, ": wanted ", wanted, ", got ", got));
}

absl::StatusOr<InheritedSocket> TakeSocket(int fd, absl::string_view name) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return Fault(name, "an open descriptor", absl::StrCat("none at ", fd));
  const absl::optional<ListenAddress> address = AddressOf(fd);
  if (Option(fd, SO_ACCEPTCONN) != 1 || Option(fd, SO_TYPE) != SOCK_STREAM || !address) {
    return Fault(name, "a listening stream socket of a path or of TCP (ListenStream=, Accept=no)",
                 absl::StrCat("something else at descriptor ", fd));
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, name);
  return InheritedSocket{fd, *address};
}

}  // namespace

absl::StatusOr<InheritedSockets> TakeInheritedSockets() {
  const std::string pid = Take("LISTEN_PID");
  const std::string count_text = Take("LISTEN_FDS");
  const std::string names_text = Take("LISTEN_FDNAMES");
  InheritedSockets sockets;
  // Meant for another process, from which this one was started.
  if (count_text.empty() || pid != absl::StrCat(getpid())) return sockets;
  int count = 0;
  if (!absl::SimpleAtoi(count_text, &count) || count < 0 || count > kSocketsMax) {
    return Fault("$LISTEN_FDS", absl::StrCat("a number from 0 to ", kSocketsMax), absl::StrCat("'", count_text, "'"));
  }
  const std::vector<std::string> names = absl::StrSplit(names_text, ':');
  for (int i = 0; i < count; ++i) {
    const std::string name = static_cast<size_t>(i) < names.size() ? names[static_cast<size_t>(i)] : "";
    absl::optional<InheritedSocket>* place = nullptr;
    if (name == "check") place = &sockets.check;
    if (name == "admin") place = &sockets.admin;
    if (place == nullptr) {
      return Fault("$LISTEN_FDNAMES", "check or admin (FileDescriptorName=)", absl::StrCat("'", name, "'"));
    }
    if (place->has_value()) return Fault(name, "one socket of this name", "another one");
    absl::StatusOr<InheritedSocket> socket = TakeSocket(kFirstFd + i, name);
    if (!socket.ok()) return socket.status();
    *place = *std::move(socket);
  }
  if (sockets.admin && !sockets.admin->address.is_local()) {
    return Fault("admin", "a Unix socket or an address of this machine", FormatListenAddress(sockets.admin->address));
  }
  return sockets;
}

}  // namespace sluice
