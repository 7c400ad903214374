#include "server/access_source.h"

#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Changes with every write and every replacement. ctime too: a copy can carry its mtime with it.
std::string StampOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "none";
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec, ":", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccessSource>> AccessSource::Open(const std::string& path) {
  if (path.empty()) {
    return std::unique_ptr<AccessSource>(new AccessSource("", "", Access::OwnUserAlone(geteuid())));
  }
  // The stamp first: a change meanwhile is seen by the next Refresh.
  std::string stamp = StampOf(path);
  absl::StatusOr<std::shared_ptr<const Access>> access = Access::Load(path);
  if (!access.ok()) return access.status();
  return std::unique_ptr<AccessSource>(new AccessSource(path, std::move(stamp), *std::move(access)));
}

std::shared_ptr<const Access> AccessSource::Current() const {
  absl::MutexLock lock(&mutex_);
  return access_;
}

absl::StatusOr<AccessSource::Change> AccessSource::Refresh() {
  if (path_.empty()) return Change::kNone;
  std::string stamp = StampOf(path_);
  {
    absl::MutexLock lock(&mutex_);
    if (stamp == stamp_) return Change::kNone;
  }
  absl::StatusOr<std::shared_ptr<const Access>> access = Access::Load(path_);  // unlocked: callers go on meanwhile
  absl::MutexLock lock(&mutex_);
  stamp_ = std::move(stamp);
  in_step_ = access.ok();
  if (!access.ok()) {
    ++refused_;
    return access.status();
  }
  access_ = *std::move(access);
  return Change::kTaken;
}

bool AccessSource::in_step() const {
  absl::MutexLock lock(&mutex_);
  return in_step_;
}

int64_t AccessSource::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace sluice
