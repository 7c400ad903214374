#include "client/log_follower.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/line_reader.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

absl::StatusOr<int> OpenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot read"));
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path, ": wanted a regular file, which can be followed"));
  }
  return fd;
}

// A file that was not seen before: from its first byte on.
LogPosition PositionOf(int fd) {
  LogPosition position;
  struct stat status = {};
  fstat(fd, &status);
  position.log_id = NewId("log");
  position.device = status.st_dev;
  position.inode = status.st_ino;
  return position;
}

int64_t SizeOf(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 ? status.st_size : 0;
}

bool IsFileOf(const struct stat& status, const LogPosition& position) {
  return status.st_dev == position.device && status.st_ino == position.inode;
}

// Opens the file of `position`, wherever it stands beside `path`; nothing where it is gone.
absl::optional<int> OpenRotated(const std::string& path, const LogPosition& position) {
  const std::filesystem::path log(path);
  std::error_code error;
  const std::filesystem::path folder = log.has_parent_path() ? log.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!absl::StartsWith(entry.path().filename().string(), log.filename().string())) continue;
    struct stat status = {};
    if (stat(entry.path().c_str(), &status) != 0 || !IsFileOf(status, position)) continue;
    absl::StatusOr<int> fd = OpenFile(entry.path().string());
    if (fd.ok()) return *fd;
  }
  return absl::nullopt;
}

}  // namespace

LogFollower::LogFollower(Options options, int fd, LogPosition position)
    : options_(std::move(options)), fd_(fd), position_(std::move(position)) {}

LogFollower::~LogFollower() { close(fd_); }

absl::StatusOr<std::unique_ptr<LogFollower>> LogFollower::Open(Options options) {
  bool lost = false;
  if (options.from) {
    const absl::optional<int> fd = OpenRotated(options.path, *options.from);
    if (fd && SizeOf(*fd) >= options.from->offset) {
      LogPosition from = *options.from;
      return std::unique_ptr<LogFollower>(new LogFollower(std::move(options), *fd, std::move(from)));
    }
    if (fd) close(*fd);
    lost = true;
  }
  absl::StatusOr<int> fd = OpenFile(options.path);
  if (!fd.ok()) return fd.status();
  LogPosition position = PositionOf(*fd);
  // After a loss everything that is there is new.
  if (!options.from_start && !lost) position.offset = SizeOf(*fd);
  auto follower = std::unique_ptr<LogFollower>(new LogFollower(std::move(options), *fd, std::move(position)));
  follower->lost_ = lost;
  return follower;
}

absl::Status LogFollower::Fill() {
  buffer_.erase(0, given_);
  given_ = 0;
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kReadBytes);
  ssize_t got = 0;
  do {
    got = pread(fd_, buffer_.data() + kept, kReadBytes, position_.offset + static_cast<int64_t>(kept));
  } while (got < 0 && errno == EINTR);
  buffer_.resize(kept + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat(options_.path, ": cannot read on"));
  return absl::OkStatus();
}

absl::StatusOr<bool> LogFollower::Rotate(absl::Time now) {
  const auto begin = [this](int fd) {
    close(fd_);
    fd_ = fd;
    position_ = PositionOf(fd);
    buffer_.clear();
    given_ = 0;
    rotated_at_ = absl::InfiniteFuture();
  };
  struct stat status = {};
  if (stat(options_.path.c_str(), &status) != 0) return false;  // renamed, and the new one not made yet
  if (IsFileOf(status, position_)) {
    if (status.st_size >= position_.offset) return false;
    absl::StatusOr<int> again = OpenFile(options_.path);  // cut in place (copytruncate)
    if (!again.ok()) return again.status();
    begin(*again);
    return true;
  }
  rotated_at_ = std::min(rotated_at_, now);
  if (now - rotated_at_ < options_.rotation_patience) return false;
  absl::StatusOr<int> next = OpenFile(options_.path);
  if (!next.ok()) return next.status();
  begin(*next);
  return true;
}

absl::StatusOr<bool> LogFollower::Next(absl::Time now, absl::string_view* line) {
  for (;;) {
    const size_t end = buffer_.find('\n', given_);
    if (end != std::string::npos) {
      *line = absl::string_view(buffer_).substr(given_, std::min(end - given_, kLineBytesMax + 1));
      if (absl::EndsWith(*line, "\r")) line->remove_suffix(1);
      position_.offset += static_cast<int64_t>(end + 1 - given_);
      given_ = end + 1;
      return true;
    }
    const size_t before = buffer_.size() - given_;
    if (absl::Status status = Fill(); !status.ok()) return status;
    if (buffer_.size() == before) {  // at the end of this file
      absl::StatusOr<bool> rotated = Rotate(now);
      if (!rotated.ok() || !*rotated) return rotated;
    }
  }
}

}  // namespace sluice
