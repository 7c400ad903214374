#include "server/listen/accept_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace sluice {
namespace {

// Out of descriptors or memory: what waits stays waiting, and a loop that asks at once would burn a core.
constexpr int kExhaustedPauseMs = 100;

}  // namespace

absl::StatusOr<std::unique_ptr<AcceptLoop>> AcceptLoop::Start(int listening_fd, std::function<void(int fd)> take) {
  const int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0) return absl::ErrnoToStatus(errno, "an eventfd for accepting connections");
  return std::unique_ptr<AcceptLoop>(new AcceptLoop(listening_fd, stop_fd, std::move(take)));
}

AcceptLoop::AcceptLoop(int listening_fd, int stop_fd, std::function<void(int fd)> take)
    : listening_fd_(listening_fd), stop_fd_(stop_fd), take_(std::move(take)), thread_([this] { Run(); }) {}

AcceptLoop::~AcceptLoop() {
  Stop();
  close(stop_fd_);
}

void AcceptLoop::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  while (write(stop_fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
}

void AcceptLoop::Run() {
  pollfd waits[] = {{stop_fd_, POLLIN, 0}, {listening_fd_, POLLIN, 0}};
  while (true) {
    poll(waits, 2, -1);
    if (waits[0].revents != 0) return;
    const int fd = accept4(listening_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      take_(fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      poll(waits, 1, kExhaustedPauseMs);
    }
  }
}

}  // namespace sluice
