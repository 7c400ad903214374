#include "decision_log/file_syncer.h"

#include <algorithm>
#include <utility>

namespace sluice {

FileSyncer::FileSyncer(std::string folder, absl::Duration period)
    : folder_(std::move(folder)), period_(period), thread_([this] { Run(); }) {}

FileSyncer::~FileSyncer() { Stop(); }

void FileSyncer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

FileSyncer::Result FileSyncer::Take() {
  absl::MutexLock lock(&mutex_);
  Result taken = result_;
  result_.failures = 0;
  result_.lost.clear();
  return taken;
}

FileSyncer::Result FileSyncer::Sync(const std::vector<std::shared_ptr<LogFile>>& files) const {
  Result result;
  const auto note = [&result](const absl::Status& status) {
    result.failures += status.ok() ? 0 : 1;
    result.status.Update(status);
  };
  for (const std::shared_ptr<LogFile>& file : files) {
    note(file->Sync());
    if (file->lost()) result.lost.push_back(file);
  }
  note(SyncFolder(folder_));
  return result;
}

void FileSyncer::Add(std::shared_ptr<LogFile> file) {
  absl::MutexLock lock(&mutex_);
  if (std::find(files_.begin(), files_.end(), file) == files_.end()) files_.push_back(std::move(file));
}

void FileSyncer::Run() {
  while (true) {
    std::vector<std::shared_ptr<LogFile>> files;
    bool stopping;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), period_);
      stopping = stopping_;
      files.swap(files_);
    }
    // Was added when it had failed already, or just before: that says nothing new of the disk.
    files.erase(std::remove_if(files.begin(), files.end(), [](const auto& file) { return file->lost(); }), files.end());
    if (!files.empty()) {
      Result result = Sync(files);
      absl::MutexLock lock(&mutex_);
      result_.failures += result.failures;
      result_.lost.insert(result_.lost.end(), result.lost.begin(), result.lost.end());
      result_.status = std::move(result.status);
    }
    if (stopping) return;
  }
}

}  // namespace sluice
