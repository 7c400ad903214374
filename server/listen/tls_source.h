// The certificates of a listener of the data path, and the authorities that its callers have to have theirs from: read
// at the start, and again whenever a file changes.
#ifndef SLUICE_SERVER_LISTEN_TLS_SOURCE_H_
#define SLUICE_SERVER_LISTEN_TLS_SOURCE_H_

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/listen/tls_files.h"
#include "server/listen/tls_stream.h"

namespace sluice {

// TLS 1.2 or later, with ciphers of forward secrecy alone, without renegotiation, compression and resumption: whom the
// authorities do not know any more has to show a certificate again. Thread-safe.
class TlsSource {
 public:
  // REQUIRES: all three files are named. INVALID_ARGUMENT says which file, what was wanted, and why it is not that.
  static absl::StatusOr<std::unique_ptr<TlsSource>> Open(const TlsFiles& files);

  enum class Change : uint8_t { kNone, kTaken };
  // Reads the files again where one changed. An error, told once for each change, means that the last good ones stay in
  // force. Connections that are there stay as they are. Blocks on the file system.
  absl::StatusOr<Change> Refresh() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the files as they were last read are in force.
  bool in_step() const ABSL_LOCKS_EXCLUDED(mutex_);
  // When the first of the certificates that are shown ends.
  absl::Time ends() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The server's side of TLS on `fd`, which is borrowed; null where there is no memory for it.
  std::unique_ptr<TlsStream> Accept(int fd) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  TlsSource(TlsFiles files, std::string stamp, std::shared_ptr<SSL_CTX> context)
      : files_(std::move(files)), stamp_(std::move(stamp)), context_(std::move(context)) {}

  const TlsFiles files_;
  mutable absl::Mutex mutex_;
  std::string stamp_ ABSL_GUARDED_BY(mutex_);  // what tells one state of the files from another
  std::shared_ptr<SSL_CTX> context_ ABSL_GUARDED_BY(mutex_);
  bool in_step_ ABSL_GUARDED_BY(mutex_) = true;
};

// When the first certificate of the chain in the file (PEM) at `path` ends; nothing where it holds none.
absl::optional<absl::Time> EndOfCertificates(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_TLS_SOURCE_H_
