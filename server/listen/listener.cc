#include "server/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "metrics/wire_metrics.h"
#include "server/listen/event_loop.h"

namespace sluice {
namespace {

constexpr int kBacklog = 1024;
// A TCP peer that has gone without a word is noticed by the kernel after about a minute.
constexpr int kTcpKeepaliveSeconds = 30;
constexpr int kTcpUserTimeoutMs = 60'000;

absl::Status CannotListen(const ListenAddress& address, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", FormatListenAddress(address), ": ", why));
}

absl::Status CannotListen(const ListenAddress& address, int error) {
  if (error == EADDRINUSE || error == EADDRNOTAVAIL) {
    return CannotListen(address, "taken by another process, or not an address of this machine");
  }
  return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", FormatListenAddress(address)));
}

absl::StatusOr<int> BindAndListen(int family, const sockaddr* name, socklen_t size, const ListenAddress& address) {
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return CannotListen(address, errno);
  const int one = 1;
  if (family != AF_UNIX) {
    // Takes over from connections that are still closing. Not SO_REUSEPORT: two processes would share the checks.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  }
  if (bind(fd, name, size) != 0 || listen(fd, kBacklog) != 0) {
    const int error = errno;
    close(fd);
    return CannotListen(address, error);
  }
  return fd;
}

absl::StatusOr<int> ListenUnix(const ListenAddress& address) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, address.path.data(), std::min(address.path.size(), sizeof name.sun_path - 1));
  PrivateFiles private_files;
  return BindAndListen(AF_UNIX, reinterpret_cast<const sockaddr*>(&name), sizeof name, address);
}

absl::StatusOr<int> ListenTcp(ListenAddress* address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address->host.c_str(), absl::StrCat(address->port).c_str(), &hints, &found);
  if (error != 0) return CannotListen(*address, gai_strerror(error));
  absl::StatusOr<int> fd = BindAndListen(found->ai_family, found->ai_addr, found->ai_addrlen, *address);
  freeaddrinfo(found);
  if (!fd.ok()) return fd;
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  if (getsockname(*fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0) {
    address->port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                                      : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  }
  return fd;
}

void PrepareTcp(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kTcpKeepaliveSeconds, sizeof kTcpKeepaliveSeconds);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpUserTimeoutMs, sizeof kTcpUserTimeoutMs);
}

// A socket of its own: bound, listening, with the rights that were asked for. `*address` gets the real port.
absl::StatusOr<int> OpenSocket(const Listener::Options& options, ListenAddress* address) {
  if (absl::Status status = PrepareSocket(options.address, options.make_folder); !status.ok()) return status;
  absl::StatusOr<int> fd = options.address.is_unix() ? ListenUnix(options.address) : ListenTcp(address);
  if (!fd.ok()) return fd;
  if (absl::Status status = SetSocketRights(options.address, options.rights); !status.ok()) {
    close(*fd);
    return status;
  }
  return fd;
}

// A descriptor of our own for a socket that listens already.
absl::StatusOr<int> ShareSocket(const InheritedSocket& socket) {
  const int fd = fcntl(socket.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CannotListen(socket.address, errno);
  return fd;
}

}  // namespace

struct Listener::Impl {
  Options options;
  ListenAddress address;
  int fd = -1;
  int spare = -1;                   // an open file, to have one when there are no more
  WireMetrics own_metrics;          // where nobody else is told
  std::vector<WireCounts*> counts;  // of each loop
  std::vector<std::unique_ptr<EventLoop>> loops;
  bool down = false;

  ~Impl() {
    loops.clear();
    if (fd >= 0) close(fd);
    if (spare >= 0) close(spare);
  }

  // Takes every caller that waits. On the thread of the first loop.
  void Accept() {
    while (true) {
      const int caller = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (caller < 0) {
        if (errno == ECONNABORTED || errno == EINTR) continue;
        if (errno == EMFILE || errno == ENFILE) TurnOneAway();
        return;
      }
      int connections = 0;
      EventLoop* least = loops.front().get();
      for (const auto& loop : loops) {
        connections += loop->connections();
        if (loop->connections() < least->connections()) least = loop.get();
      }
      if (connections >= options.connections_max) {
        counts.front()->OnError(options.make_session ? WireProtocol::kSpoe : WireProtocol::kHttp2, WireError::kTooMany);
        close(caller);
        continue;
      }
      if (!address.is_unix()) PrepareTcp(caller);
      least->Adopt(caller);
    }
  }

  // The process has no file left: the caller that waits would wake the loop for ever.
  void TurnOneAway() {
    close(spare);
    const int caller = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller >= 0) close(caller);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
};

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const Options& options, const Router* router) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->address = options.inherited ? options.inherited->address : options.address;
  absl::StatusOr<int> fd = options.inherited ? ShareSocket(*options.inherited) : OpenSocket(options, &impl->address);
  if (!fd.ok()) return fd.status();
  impl->fd = *fd;
  impl->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 0; i < threads; ++i) {
    impl->counts.push_back((options.metrics != nullptr ? options.metrics : &impl->own_metrics)->AddThread());
    absl::StatusOr<std::unique_ptr<EventLoop>> loop =
        EventLoop::Create(router, &impl->options.limits, &impl->options.make_session, options.buffers,
                          impl->counts.back(), options.tls, options.newcomers_max);
    if (!loop.ok()) return loop.status();
    impl->loops.push_back(*std::move(loop));
  }
  Impl* const raw = impl.get();
  if (absl::Status status = impl->loops.front()->Watch(impl->fd, [raw] { raw->Accept(); }); !status.ok()) {
    return status;
  }
  for (const auto& loop : impl->loops) loop->Start();
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() { Shutdown(absl::ZeroDuration()); }

void Listener::NotifyWatchers() {
  for (const auto& loop : impl_->loops) loop->NotifyWatchers();
}

void Listener::Shutdown(absl::Duration grace) {
  if (std::exchange(impl_->down, true)) return;
  const MonotonicTime deadline = {MonotonicNow().ns + absl::ToInt64Nanoseconds(grace)};
  // Whoever is still handed to a loop after this is closed by it.
  for (const auto& loop : impl_->loops) loop->Drain(deadline);
  // No name leads to a socket that nobody serves. In one that was inherited callers wait for whoever comes next.
  if (impl_->address.is_unix() && !impl_->options.inherited) unlink(impl_->address.path.c_str());
  for (const auto& loop : impl_->loops) loop->Join();
  close(std::exchange(impl_->fd, -1));
}

const ListenAddress& Listener::address() const { return impl_->address; }

}  // namespace sluice
