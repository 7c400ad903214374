#include "server/access_source.h"

#include <unistd.h>

#include "server/file_stamp.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<AccessSource>> AccessSource::Open(const std::string& path) {
  if (path.empty()) {
    return std::unique_ptr<AccessSource>(new AccessSource("", "", Access::OwnUserAlone(geteuid())));
  }
  // The stamp first: a change meanwhile is seen by the next Refresh.
  std::string stamp = FileStamp(path);
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
  std::string stamp = FileStamp(path_);
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
