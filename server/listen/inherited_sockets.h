// Sockets that a service manager opened for this process and hands over at its start ("socket activation",
// sd_listen_fds(3)): $LISTEN_FDS, $LISTEN_PID and $LISTEN_FDNAMES. They outlive a restart, so that callers wait a
// moment instead of being refused.
#ifndef SLUICE_SERVER_LISTEN_INHERITED_SOCKETS_H_
#define SLUICE_SERVER_LISTEN_INHERITED_SOCKETS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/listen/address.h"

namespace sluice {

// A socket that listens already. The descriptor is of whoever holds this value; nobody closes it before the process
// ends: the manager keeps its own.
struct InheritedSocket {
  int fd = -1;
  ListenAddress address;  // where it listens
};

struct InheritedSockets {
  absl::optional<InheritedSocket> check;  // FileDescriptorName=check
  absl::optional<InheritedSocket> admin;  // FileDescriptorName=admin
};

// Reads the three variables and takes them out of the environment: call it before the first thread. Nothing inherited
// is no error. INVALID_ARGUMENT: a name that is neither "check" nor "admin", or given twice; a descriptor that is no
// listening stream socket of a Unix path or of TCP; an admin socket that other machines reach.
absl::StatusOr<InheritedSockets> TakeInheritedSockets();

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_INHERITED_SOCKETS_H_
