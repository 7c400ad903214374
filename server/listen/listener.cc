#include "server/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "metrics/wire_metrics.h"
#include "server/listen/event_loop.h"
#include "server/listen/listening_socket.h"

namespace sluice {
namespace {

// So many callers at once; the rest wait until the connections that are there had their turn. A stranger may connect as
// fast as they are taken.
constexpr int kAcceptedMax = 64;

}  // namespace

struct Listener::Impl {
  Options options;
  ListenAddress address;
  int fd = -1;                      // listens; until the first loop has it
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

  // Takes callers that wait. On the thread of the first loop. False where the process has no descriptor or memory
  // left for one, and could not turn it away either.
  bool Accept(int listening) {
    if (spare < 0) spare = OpenSpare();
    for (int taken = 0; taken < kAcceptedMax; ++taken) {
      const int caller = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (caller < 0) {
        if (errno == ECONNABORTED || errno == EINTR) continue;
        if (errno == EMFILE || errno == ENFILE) return TurnOneAway(listening);
        return errno != ENOBUFS && errno != ENOMEM;
      }
      int connections = 0;
      EventLoop* least = loops.front().get();
      for (const auto& loop : loops) {
        connections += loop->connections();
        if (loop->connections() < least->connections()) least = loop.get();
      }
      if (connections >= options.connections_max) {
        Count(WireError::kTooMany);
        close(caller);
        continue;
      }
      if (!address.is_unix()) PrepareTcp(caller);
      least->Adopt(caller);
    }
    return true;
  }

  // The process has no file left: the caller that waits would wake the loop for ever.
  bool TurnOneAway(int listening) {
    if (spare >= 0) close(spare);
    const int caller = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller >= 0) {
      Count(WireError::kNoDescriptor);
      close(caller);
    }
    spare = OpenSpare();
    return caller >= 0;
  }

  void Count(WireError error) {
    counts.front()->OnError(options.make_session ? WireProtocol::kSpoe : WireProtocol::kHttp2, error);
  }

  static int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
};

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const Options& options, const Router* router) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->address = options.inherited ? options.inherited->address : options.address;
  absl::StatusOr<int> fd = options.inherited ? ShareSocket(*options.inherited)
                                             : OpenSocket(options.rights, options.make_folder, &impl->address);
  if (!fd.ok()) return fd.status();
  impl->fd = *fd;
  impl->spare = Impl::OpenSpare();
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
  const int listening = std::exchange(impl->fd, -1);
  absl::Status status = impl->loops.front()->Watch(listening, [raw, listening] { return raw->Accept(listening); });
  if (!status.ok()) return status;
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
  // Whoever is still handed to a loop after this is closed by it; the first closes the socket.
  for (const auto& loop : impl_->loops) loop->Drain(deadline);
  // No name leads to a socket that nobody serves. In one that was inherited callers wait for whoever comes next.
  if (impl_->address.is_unix() && !impl_->options.inherited) unlink(impl_->address.path.c_str());
  for (const auto& loop : impl_->loops) loop->Join();
}

const ListenAddress& Listener::address() const { return impl_->address; }

}  // namespace sluice
