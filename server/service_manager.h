// What systemd, or whatever speaks its protocol, is told about this process: that it is ready, what it is doing, that
// it is alive. sd_notify(3) in the few lines that are needed of it; docs/decisions/2026-11-26-systemd-by-hand.md says
// why not libsystemd. Without a service manager ($NOTIFY_SOCKET) every call does nothing.
#ifndef SLUICE_SERVER_SERVICE_MANAGER_H_
#define SLUICE_SERVER_SERVICE_MANAGER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// Thread-safe: each call is one datagram on a socket that never blocks.
class ServiceManager {
 public:
  // Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID and takes them out of the environment, so that no child
  // speaks for this process: call it before the first thread. INVALID_ARGUMENT where one of them is no such value.
  static absl::StatusOr<ServiceManager> FromEnvironment();

  ~ServiceManager();
  ServiceManager(ServiceManager&& other) noexcept;
  ServiceManager& operator=(ServiceManager&&) = delete;

  // Whether somebody listens.
  bool present() const { return fd_ >= 0; }
  // How often Alive() has to be called at the latest: half of what the manager waits for. Zero = no watchdog.
  absl::Duration watchdog_interval() const { return watchdog_interval_; }

  // `status` is one line for people, shown by `systemctl status`. A message that cannot be delivered is lost: the
  // manager finds out by its own time limits, and there is nobody else to tell.
  void Ready(absl::string_view status) const;
  void Status(absl::string_view status) const;
  // Between Reloading and Ready a new configuration is being read.
  void Reloading() const;
  void Stopping() const;
  void Alive() const;

 private:
  ServiceManager(int fd, std::string address, absl::Duration watchdog_interval);
  void Send(absl::string_view message) const;

  int fd_;
  std::string address_;  // the bytes of a sockaddr_un
  absl::Duration watchdog_interval_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_SERVICE_MANAGER_H_
