// The folder of a log: one file a segment, "0000000001.slog", and a lock that keeps two writers apart.
#ifndef SLUICE_DECISION_LOG_LOG_FOLDER_H_
#define SLUICE_DECISION_LOG_LOG_FOLDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// An open file, closed with its last owner. Reads and writes at given places, whole or not at all.
class LogFile {
 public:
  // NOT_FOUND, RESOURCE_EXHAUSTED for a full disk or quota, else UNAVAILABLE, each with path and reason.
  static absl::StatusOr<std::shared_ptr<LogFile>> OpenToRead(const std::string& path);
  // ALREADY_EXISTS too.
  static absl::StatusOr<std::shared_ptr<LogFile>> CreateToWrite(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  absl::StatusOr<uint64_t> Size() const;
  // Reads up to `bytes` at `offset` into `*out`; fewer only where the file ends.
  absl::Status Read(uint64_t offset, size_t bytes, std::string* out) const;
  // Writes all of it, or cuts the file back to `offset` and says why.
  absl::Status Write(uint64_t offset, absl::string_view bytes);
  // Blocks until what was written is on disk. Once it failed it fails always: what the kernel could not write it may
  // have dropped, and of that it tells no second time.
  absl::Status Sync() const;
  bool lost() const { return lost_.load(std::memory_order_relaxed); }  // a Sync failed. Thread-safe
  const std::string& path() const { return path_; }

 private:
  LogFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  const int fd_;
  const std::string path_;
  mutable std::atomic<bool> lost_{false};
};

struct SegmentFile {
  int64_t segment = 0;
  uint64_t bytes = 0;
  std::string path;
};

// In order of number. NOT_FOUND where there is no such folder; other files in it are left out.
absl::StatusOr<std::vector<SegmentFile>> ListSegments(const std::string& folder);
std::string SegmentPath(const std::string& folder, int64_t segment);

// Makes the folder, with those above it, mode 0750.
absl::Status MakeLogFolder(const std::string& folder);
// So that a new or removed file of the folder is so after a loss of power too.
absl::Status SyncFolder(const std::string& folder);
absl::Status CutFile(const std::string& path, uint64_t bytes);

// Held while it lives. FAILED_PRECONDITION where another process holds it.
class LogFolderLock {
 public:
  static absl::StatusOr<std::unique_ptr<LogFolderLock>> Take(const std::string& folder);
  ~LogFolderLock();
  LogFolderLock(const LogFolderLock&) = delete;
  LogFolderLock& operator=(const LogFolderLock&) = delete;

 private:
  explicit LogFolderLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LOG_FOLDER_H_
