#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace sluice {
namespace {

// Takes a variable out of the environment.
std::string Take(const char* name) {
  const char* value = getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

// "/run/systemd/notify", or "@name" in the abstract namespace.
absl::StatusOr<std::string> SocketAddress(absl::string_view name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if ((name[0] != '/' && name[0] != '@') || name.size() < 2 || name.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("$NOTIFY_SOCKET: wanted /PATH or @NAME of at most ",
                                                   sizeof(address.sun_path) - 1, " bytes, got '", name, "'"));
  }
  memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  // The length counts: a name in the abstract namespace has no end of its own.
  const size_t size = offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/' ? 1 : 0);
  return std::string(reinterpret_cast<const char*>(&address), size);
}

// Half of the manager's patience; zero where it watches nobody, or another process.
absl::StatusOr<absl::Duration> WatchdogInterval(const std::string& microseconds, const std::string& pid) {
  if (microseconds.empty()) return absl::ZeroDuration();
  int64_t value = 0;
  if (!absl::SimpleAtoi(microseconds, &value) || value <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("$WATCHDOG_USEC: wanted a number of microseconds above 0, got '", microseconds, "'"));
  }
  int64_t watched = getpid();
  if (!pid.empty() && !absl::SimpleAtoi(pid, &watched)) {
    return absl::InvalidArgumentError(absl::StrCat("$WATCHDOG_PID: wanted the number of a process, got '", pid, "'"));
  }
  return watched == getpid() ? absl::Microseconds(value) / 2 : absl::ZeroDuration();
}

// A message is lines: what people read must not look like one.
std::string OneLine(absl::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

}  // namespace

absl::StatusOr<ServiceManager> ServiceManager::FromEnvironment() {
  const std::string socket_name = Take("NOTIFY_SOCKET");
  const std::string watchdog = Take("WATCHDOG_USEC");
  const std::string watched = Take("WATCHDOG_PID");
  if (socket_name.empty()) return ServiceManager(-1, "", absl::ZeroDuration());
  absl::StatusOr<std::string> address = SocketAddress(socket_name);
  if (!address.ok()) return address.status();
  const absl::StatusOr<absl::Duration> interval = WatchdogInterval(watchdog, watched);
  if (!interval.ok()) return interval.status();
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "a socket for the service manager");
  return ServiceManager(fd, *std::move(address), *interval);
}

ServiceManager::ServiceManager(int fd, std::string address, absl::Duration watchdog_interval)
    : fd_(fd), address_(std::move(address)), watchdog_interval_(watchdog_interval) {}

ServiceManager::ServiceManager(ServiceManager&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      address_(std::move(other.address_)),
      watchdog_interval_(other.watchdog_interval_) {}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::Ready(absl::string_view status) const { Send(absl::StrCat("READY=1\nSTATUS=", OneLine(status))); }

void ServiceManager::Status(absl::string_view status) const { Send(absl::StrCat("STATUS=", OneLine(status))); }

void ServiceManager::Reloading() const {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  // The time tells the manager, from version 253 on, which of two reloads a READY=1 answers.
  Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", absl::ToInt64Microseconds(absl::DurationFromTimespec(now))));
}

void ServiceManager::Stopping() const { Send("STOPPING=1\nSTATUS=draining"); }
void ServiceManager::Alive() const { Send("WATCHDOG=1"); }

void ServiceManager::Send(absl::string_view message) const {
  if (fd_ < 0) return;
  ssize_t sent;
  do {
    sent = sendto(fd_, message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(address_.data()),
                  static_cast<socklen_t>(address_.size()));
  } while (sent < 0 && errno == EINTR);
}

}  // namespace sluice
