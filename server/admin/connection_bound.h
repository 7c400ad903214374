// How many connections of administration are open at once, and who goes where there are too many. gRPC owns a
// connection that it was given and tells nobody when it closes it, so that those that are open are known here by their
// descriptor and its socket.
//
// Newcomers, who have shown no credential that the access file knows, have a bound of their own. Where they are too
// many, or all together are, a newcomer goes: of the address that has the most of them, the oldest. So who opens many
// cuts its own, and keeps nobody out who comes from elsewhere; from the same address only by opening as many as
// newcomers have places while the other makes its first call. Where all who are there are known, the one that comes is
// refused.
//
// Nor may a newcomer send much: gRPC keeps what it reads of a message until the message is whole, however long it says
// that it is, and asks nobody before. Health and reflection, which need no credential, want some hundred bytes a call.
#ifndef SLUICE_SERVER_ADMIN_CONNECTION_BOUND_H_
#define SLUICE_SERVER_ADMIN_CONNECTION_BOUND_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/clock.h"
#include "metrics/wire_counts.h"
#include "server/log/logger.h"

namespace sluice {

class ConnectionBound {
 public:
  struct Bounds {
    size_t connections_max = 0;
    size_t newcomers_max = 0;         // of them, and again of those that are cut and not yet closed
    uint64_t newcomer_bytes_max = 0;  // that one may send, from its first byte on, TLS included
  };
  // All must outlive it. `logger` and `counts` may be null; `counts` is of the thread that calls LetIn and Look.
  // REQUIRES: the bounds > 0.
  ConnectionBound(const Bounds& bounds, const Clock* clock, const Logger* logger, WireCounts* counts)
      : bounds_(bounds), clock_(clock), logger_(logger), counts_(counts) {}
  ConnectionBound(const ConnectionBound&) = delete;
  ConnectionBound& operator=(const ConnectionBound&) = delete;

  // Whether `fd`, a connection that was accepted and that gRPC is to get after this, may stay; another may be cut for
  // it. `known`: that the kernel's word on its user is a credential that the access file knows. Those that were cut are
  // gRPC's to close, and soon are: until then they count apart, and where they are too many nobody else is let in.
  // Called on one thread; does not wait for any peer.
  bool LetIn(int fd, bool known) ABSL_LOCKS_EXCLUDED(mutex_);

  // Cuts the newcomers that have sent more than they may, of TCP: of a Unix socket the kernel does not count. True
  // where there are such newcomers, who are to be looked at again. A system call or two for each. On the thread of
  // LetIn.
  bool Look() ABSL_LOCKS_EXCLUDED(mutex_);

  // Someone whom the access file knows has called over the connection of which gRPC says that it comes from `origin`
  // ("ipv4:10.0.0.7:51234"). Thread-safe.
  void OnKnown(absl::string_view origin) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // What tells a socket from every other that has or had its descriptor.
  struct Socket {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Socket& other) const { return device == other.device && inode == other.inode; }
  };
  struct Connection {
    int fd = -1;
    Socket socket;
    std::string origin;  // "10.0.0.7:51234"; empty over a Unix socket
    std::string source;  // who it counts for: an address, of IPv6 its network of 64 bits; a user
    bool known = false;
    bool cut = false;  // and not yet closed
  };

  static Socket SocketOf(int fd);
  static Connection Describe(int fd);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether there is a place for one more, which may have to be made.
  bool HasPlaceFor(const Connection& one) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False where nobody may be cut for one of `source`.
  bool CutOneFor(const std::string& source) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is told of at most once a minute.
  struct Telling {
    const absl::string_view event;
    const WireError error;
    int64_t untold = 0;  // ended since the last line in the log
    bool told = false;
    MonotonicTime told_at;
  };
  void Tell(const std::string& origin, absl::string_view outcome, Telling* telling)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False where it could not.
  bool Cut(Connection* one, Telling* telling) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Bounds bounds_;
  const Clock* const clock_;
  const Logger* const logger_;
  WireCounts* const counts_;
  absl::Mutex mutex_;
  std::vector<Connection> open_ ABSL_GUARDED_BY(mutex_);  // oldest first; and some that were closed since
  Telling too_many_ ABSL_GUARDED_BY(mutex_) = {"too many connections of administration", WireError::kTooMany};
  Telling too_large_ ABSL_GUARDED_BY(mutex_) = {"too many bytes without a credential", WireError::kTooLarge};
};

// Of the admin listener.
inline constexpr size_t kAdminConnectionsMax = 1024;
inline constexpr size_t kAdminNewcomersMax = 256;
// Sixteen calls at once can begin with as much before the first of them has shown who it is: 64 KiB each, which is what
// flow control grants before a service wants to read.
inline constexpr uint64_t kAdminNewcomerBytesMax = 1 << 20;

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_CONNECTION_BOUND_H_
