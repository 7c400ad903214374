// Sockets that listen, and those that they give. For whoever accepts by itself.
#ifndef SLUICE_SERVER_LISTEN_LISTENING_SOCKET_H_
#define SLUICE_SERVER_LISTEN_LISTENING_SOCKET_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"

namespace sluice {

// A socket that listens on `*address`, non-blocking and closed on exec, with the rights that were asked for; of a name
// on the first of its addresses. `*address` gets the real port. The descriptor is the caller's. FAILED_PRECONDITION:
// taken by another process, or not an address of this machine; NOT_FOUND, PERMISSION_DENIED: as the file system says.
absl::StatusOr<int> OpenSocket(const SocketRights& rights, bool make_folder, ListenAddress* address);

// The same on every address of a name that this machine has, with one port for all; "::" takes IPv4 as well.
// REQUIRES: of TCP.
absl::StatusOr<std::vector<int>> OpenTcpSockets(ListenAddress* address);

// A descriptor of our own for a socket that listens already.
absl::StatusOr<int> ShareSocket(const InheritedSocket& socket);

// Of a connection over TCP that was accepted: small answers go out at once, and a peer that is gone is noticed.
void PrepareTcp(int fd);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_LISTENING_SOCKET_H_
