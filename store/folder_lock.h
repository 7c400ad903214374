// One process a store. Internal to store/.
#ifndef SLUICE_STORE_FOLDER_LOCK_H_
#define SLUICE_STORE_FOLDER_LOCK_H_

#include <string>

#include "absl/status/status.h"

namespace sluice {

// A lock on a folder, as long as this lives. It dies with its process, so that a killed holder leaves nothing to clean
// up; the file `lock.sluice` stays, with the last holder's process id for whoever is refused.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  // FAILED_PRECONDITION, with the holder's process id, where another has it, be it in this process. Does not wait.
  absl::Status Take(const std::string& path);

 private:
  int file_ = -1;
};

}  // namespace sluice

#endif  // SLUICE_STORE_FOLDER_LOCK_H_
