// The access file in force: read at the start, and again whenever it changes.
#ifndef SLUICE_SERVER_ACCESS_SOURCE_H_
#define SLUICE_SERVER_ACCESS_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/access.h"

namespace sluice {

// Thread-safe.
class AccessSource {
 public:
  // Without a path: Access::OwnUserAlone. Errors are those of Access::Load.
  static absl::StatusOr<std::unique_ptr<AccessSource>> Open(const std::string& path);

  std::shared_ptr<const Access> Current() const ABSL_LOCKS_EXCLUDED(mutex_);

  enum class Change : uint8_t { kNone, kTaken };
  // Reads the file again where it changed. An error, told once for each change, means that the last good one stays in
  // force. Blocks on the file system.
  absl::StatusOr<Change> Refresh() ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether the file as it is now is the one in force.
  bool in_step() const ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t refused() const ABSL_LOCKS_EXCLUDED(mutex_);  // changes that could not be taken

 private:
  AccessSource(std::string path, std::string stamp, std::shared_ptr<const Access> access)
      : path_(std::move(path)), stamp_(std::move(stamp)), access_(std::move(access)) {}

  const std::string path_;
  mutable absl::Mutex mutex_;
  std::string stamp_ ABSL_GUARDED_BY(mutex_);  // what tells one state of the file from another
  std::shared_ptr<const Access> access_ ABSL_GUARDED_BY(mutex_);
  bool in_step_ ABSL_GUARDED_BY(mutex_) = true;
  int64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ACCESS_SOURCE_H_
