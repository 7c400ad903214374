#include "store/folder_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Gives what was just made, and is open as `file`, to the owner of `folder` where root made it. By its descriptor: its
// name may mean something else by now. Returns 0, or errno.
int GiveToOwner(int file, const std::string& folder) {
  if (geteuid() != 0) return 0;
  struct stat owner, made;
  if (stat(folder.c_str(), &owner) != 0 || fstat(file, &made) != 0) return errno;
  // Root without CAP_CHOWN, as in a container, has nothing to give away in folders of its own.
  if (made.st_uid == owner.st_uid && made.st_gid == owner.st_gid) return 0;
  return fchown(file, owner.st_uid, owner.st_gid) == 0 ? 0 : errno;
}

}  // namespace

int MakeStoreFile(const std::string& folder, absl::string_view name) {
  const std::string path = absl::StrCat(folder, "/", name);
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return -1;
  const int error = GiveToOwner(file, folder);
  if (error == 0) return file;
  unlink(path.c_str());
  close(file);
  errno = error;
  return -1;
}

absl::Status MakeStoreFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("making ", path));
  const std::string parent = absl::StrCat(path, "/..");
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const int error = folder < 0 ? errno : GiveToOwner(folder, parent);
  if (folder >= 0) close(folder);
  if (error != 0) {
    rmdir(path.c_str());
    return absl::ErrnoToStatus(error, absl::StrCat("giving ", path, " to the owner of the folder that it is in"));
  }
  SyncStoreFolder(parent).IgnoreError();  // whoever may make a name there may not always read it
  return absl::OkStatus();
}

absl::Status SyncStoreFolder(const std::string& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("opening ", folder));
  const int error = fsync(file) == 0 ? 0 : errno;
  close(file);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, absl::StrCat("making durable ", folder));
}

}  // namespace sluice
