#include "store/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "store/folder_files.h"
#include "store/store_reader.h"

namespace sluice {
namespace {

constexpr absl::string_view kLockFile = "lock.sluice";

}  // namespace

FolderLock::~FolderLock() {
  if (file_ >= 0) close(file_);
}

absl::Status FolderLock::Take(const std::string& path) {
  file_ = MakeStoreFile(path, kLockFile);
  // Not through a link: root, which takes this lock too, would write its process id to whatever the link names.
  if (file_ < 0 && errno == EEXIST) {
    file_ = open(absl::StrCat(path, "/", kLockFile).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  }
  if (file_ < 0) return StoreError(errno, path, nullptr, absl::StrCat("opening ", kLockFile));
  if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return StoreError(errno, path, nullptr, absl::StrCat("locking ", kLockFile));
    char holder[32] = {};
    const ssize_t size = pread(file_, holder, sizeof(holder) - 1, 0);
    return absl::FailedPreconditionError(
        absl::StrCat("store ", path, " is in use by process ", size > 0 ? absl::StripSuffix(holder, "\n") : "(unknown)",
                     "; stop it, or name another folder as store.path (--store-path)"));
  }
  // Only for whoever reads the error above: a full disk that keeps the number out is no reason to refuse.
  const std::string holder = absl::StrCat(getpid(), "\n");
  if (ftruncate(file_, 0) == 0 && pwrite(file_, holder.data(), holder.size(), 0) < 0) errno = 0;
  return absl::OkStatus();
}

}  // namespace sluice
