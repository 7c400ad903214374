// Where a listener listens: a Unix socket or a TCP port. No gRPC here; configuration uses it too.
#ifndef SLUICE_SERVER_LISTEN_ADDRESS_H_
#define SLUICE_SERVER_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct ListenAddress {
  std::string path;  // of a Unix socket; empty for TCP
  std::string host;  // "127.0.0.1", "::1", "localhost"
  int port = 0;      // 0 = any free one

  bool is_unix() const { return !path.empty(); }
  // A Unix socket, or an address that no other machine reaches. A name other than "localhost" is never taken for one.
  bool is_local() const;
};

// "unix:/run/sluice/check.sock", "127.0.0.1:9700", "[::1]:9700". INVALID_ARGUMENT says what was wanted.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text);
std::string FormatListenAddress(const ListenAddress& address);

// Whether a socket could be made at `address`: its folder is there and writable, and what stands at its path is a
// socket. Changes nothing. `make_folder`: a missing folder is no fault, since PrepareSocket makes it.
absl::Status CheckSocketPath(const ListenAddress& address, bool make_folder);

// Makes room for a Unix socket; nothing to do for TCP. A socket file of a process that is gone is removed.
// FAILED_PRECONDITION where a living one answers, or where the path is something else than a socket. Blocks on the file
// system.
absl::Status PrepareSocket(const ListenAddress& address, bool make_folder);

// Who may connect to a Unix socket.
struct SocketRights {
  uint32_t mode = 0600;  // as in chmod
  // Names of a user and of a group of this machine; empty = as the process makes it.
  std::string owner;
  std::string group;
};
// Gives a socket that was just made its owner, group and mode, in this order: nobody is let in before all three stand.
// NOT_FOUND: no such user or group; PERMISSION_DENIED: only root gives to others, anyone to a group of its own. Nothing
// to do for TCP.
absl::Status SetSocketRights(const ListenAddress& address, const SocketRights& rights);

// While this lives, new files of the process are its user's alone: between bind() and SetSocketRights() nobody else may
// connect. Of the whole process, so for the start alone.
class PrivateFiles {
 public:
  PrivateFiles();
  ~PrivateFiles();
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

 private:
  const uint32_t before_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_ADDRESS_H_
