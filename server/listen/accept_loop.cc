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

absl::StatusOr<std::unique_ptr<AcceptLoop>> AcceptLoop::Start(std::vector<int> listening_fds,
                                                              std::function<void(int fd)> take,
                                                              std::function<bool()> look) {
  const int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0) {
    const int error = errno;
    for (const int fd : listening_fds) close(fd);
    return absl::ErrnoToStatus(error, "an eventfd for accepting connections");
  }
  return std::unique_ptr<AcceptLoop>(
      new AcceptLoop(std::move(listening_fds), stop_fd, std::move(take), std::move(look)));
}

AcceptLoop::AcceptLoop(std::vector<int> listening_fds, int stop_fd, std::function<void(int fd)> take,
                       std::function<bool()> look)
    : listening_fds_(std::move(listening_fds)),
      stop_fd_(stop_fd),
      take_(std::move(take)),
      look_(std::move(look)),
      thread_([this] { Run(); }) {}

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
  for (const int fd : listening_fds_) close(fd);
}

void AcceptLoop::Run() {
  std::vector<pollfd> waits = {{stop_fd_, POLLIN, 0}};
  for (const int fd : listening_fds_) waits.push_back({fd, POLLIN, 0});
  bool again = false;
  while (true) {
    poll(waits.data(), waits.size(), again ? static_cast<int>(absl::ToInt64Milliseconds(kLookEvery)) : -1);
    if (waits.front().revents != 0) return;
    bool exhausted = false;
    for (size_t i = 1; i < waits.size(); ++i) {
      if (waits[i].revents != 0 && !AcceptOne(waits[i].fd)) exhausted = true;
    }
    again = look_ && look_();
    if (exhausted) poll(waits.data(), 1, kExhaustedPauseMs);
  }
}

bool AcceptLoop::AcceptOne(int listening_fd) {
  const int fd = accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) take_(fd);
  return fd >= 0 || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
}

}  // namespace sluice
