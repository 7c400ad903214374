// Makes what was written to files last through a loss of power, on a thread of its own: a disk that takes a second to
// sync must not hold up the one that empties the rings.
#ifndef SLUICE_DECISION_LOG_FILE_SYNCER_H_
#define SLUICE_DECISION_LOG_FILE_SYNCER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "decision_log/log_folder.h"

namespace sluice {

class FileSyncer {
 public:
  // Syncs what was added every `period`, and the folder where there was anything.
  FileSyncer(std::string folder, absl::Duration period);
  ~FileSyncer();
  FileSyncer(const FileSyncer&) = delete;
  FileSyncer& operator=(const FileSyncer&) = delete;

  // Something was written to `file` since. One of which a sync failed is not synced again. Thread-safe; waits for no
  // disk.
  void Add(std::shared_ptr<LogFile> file) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Result {
    int64_t failures = 0;                        // syncs that failed since the last call
    std::vector<std::shared_ptr<LogFile>> lost;  // the files among them, each once ever
    absl::Status status;                         // of the last period in which there was anything to sync
  };
  // Thread-safe; waits for no disk.
  Result Take() ABSL_LOCKS_EXCLUDED(mutex_);

  // Syncs what is left, and ends.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  Result Sync(const std::vector<std::shared_ptr<LogFile>>& files) const;

  const std::string folder_;
  const absl::Duration period_;
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<LogFile>> files_ ABSL_GUARDED_BY(mutex_);  // each once
  Result result_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_FILE_SYNCER_H_
