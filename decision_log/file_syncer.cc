#include "decision_log/file_syncer.h"

#include <algorithm>
#include <utility>

namespace sluice {

FileSyncer::FileSyncer(std::string folder, absl::Duration period)
    : folder_(std::move(folder)), period_(period), thread_([this] { Run(); }) {}

FileSyncer::~FileSyncer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
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
    for (const std::shared_ptr<LogFile>& file : files) file->Sync().IgnoreError();
    if (!files.empty()) SyncFolder(folder_).IgnoreError();
    if (stopping) return;
  }
}

}  // namespace sluice
