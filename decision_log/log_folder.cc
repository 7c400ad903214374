#include "decision_log/log_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "decision_log/segment_format.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kSuffix = ".slog";

absl::Status Failed(int error, absl::string_view what, absl::string_view path) {
  const std::string text = absl::StrCat("cannot ", what, " ", path, ": ", strerror(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EEXIST:
      return absl::AlreadyExistsError(text);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<LogFile>> LogFile::OpenToRead(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed(errno, "open", path);
  return std::shared_ptr<LogFile>(new LogFile(fd, path));
}

absl::StatusOr<std::shared_ptr<LogFile>> LogFile::CreateToWrite(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) return Failed(errno, "create", path);
  return std::shared_ptr<LogFile>(new LogFile(fd, path));
}

LogFile::~LogFile() { close(fd_); }

absl::StatusOr<uint64_t> LogFile::Size() const {
  struct stat stat = {};
  if (fstat(fd_, &stat) != 0) return Failed(errno, "look at", path_);
  return static_cast<uint64_t>(stat.st_size);
}

absl::Status LogFile::Read(uint64_t offset, size_t bytes, std::string* out) const {
  out->resize(bytes);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(fd_, out->data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed(errno, "read", path_);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  out->resize(done);
  return absl::OkStatus();
}

absl::Status LogFile::Write(uint64_t offset, absl::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int error = put < 0 ? errno : ENOSPC;
      // What a torn block leaves behind is found and dropped at the next start, if this fails too.
      [[maybe_unused]] const int ignored = ftruncate(fd_, static_cast<off_t>(offset));
      return Failed(error, "write", path_);
    }
    done += static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

absl::Status LogFile::Sync() const {
  if (lost()) return absl::UnavailableError(absl::StrCat("a sync of ", path_, " failed before"));
  if (fdatasync(fd_) == 0) return absl::OkStatus();
  const int error = errno;
  lost_.store(true, std::memory_order_relaxed);  // orders nothing: the file is looked at again
  return Failed(error, "sync", path_);
}

absl::StatusOr<std::vector<SegmentFile>> ListSegments(const std::string& folder) {
  std::vector<SegmentFile> segments;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) return Failed(error.value(), "list", folder);
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    absl::string_view digits;
    const std::string name = entries->path().filename().string();
    digits = name;
    SegmentFile segment;
    if (!absl::ConsumeSuffix(&digits, kSuffix) || !absl::SimpleAtoi(digits, &segment.segment) || segment.segment < 1 ||
        segment.segment > kNumberMax) {
      continue;
    }
    std::error_code gone;  // removed since it was listed
    segment.bytes = entries->file_size(gone);
    if (gone) continue;
    segment.path = entries->path().string();
    segments.push_back(std::move(segment));
  }
  if (error) return Failed(error.value(), "list", folder);
  std::sort(segments.begin(), segments.end(),
            [](const SegmentFile& a, const SegmentFile& b) { return a.segment < b.segment; });
  return segments;
}

std::string SegmentPath(const std::string& folder, int64_t segment) {
  return absl::StrFormat("%s/%010d%s", folder, segment, kSuffix);
}

absl::Status MakeLogFolder(const std::string& folder) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (error) return Failed(error.value(), "make", folder);
  if (made && chmod(folder.c_str(), 0750) != 0) return Failed(errno, "set the mode of", folder);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed(errno, "open", folder);
  const int failed = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return failed == 0 ? absl::OkStatus() : Failed(failed, "sync", folder);
}

absl::Status CutFile(const std::string& path, uint64_t bytes) {
  return truncate(path.c_str(), static_cast<off_t>(bytes)) == 0 ? absl::OkStatus() : Failed(errno, "cut", path);
}

absl::StatusOr<std::unique_ptr<LogFolderLock>> LogFolderLock::Take(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return Failed(errno, "open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    if (error != EWOULDBLOCK) return Failed(error, "lock", path);
    return absl::FailedPreconditionError(absl::StrCat(folder, ": another process writes this decision log"));
  }
  return std::unique_ptr<LogFolderLock>(new LogFolderLock(fd));
}

LogFolderLock::~LogFolderLock() { close(fd_); }

}  // namespace sluice
