// A decision log that lives and dies with the process: for simulations, scenarios and tests.
#ifndef SLUICE_DECISION_LOG_MEMORY_LOG_H_
#define SLUICE_DECISION_LOG_MEMORY_LOG_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "decision_log/decision_source.h"
#include "decision_log/record.h"
#include "enforcement/engine.h"

namespace sluice {

// Keeps every decision, plain allows too.
class MemoryLog final : public DecisionObserver, public DecisionSource {
 public:
  struct Options {
    size_t capacity = 65536;   // records; about a third of a kilobyte each
    bool keep_oldest = false;  // full: drop the new record (as a full disk) rather than the oldest one
    std::string node;
  };
  explicit MemoryLog(Options options) : options_(std::move(options)) {}

  // Thread-safe; waits at most for another thread's pointer to be pushed.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override ABSL_LOCKS_EXCLUDED(mutex_);

  // Records that are pushed out meanwhile are missing. Holds up no check while `visit` runs.
  absl::Status Query(const v1::LogQuery& query, LogCursor* cursor,
                     const std::function<bool(const v1::DecisionRecord&)>& visit) const override
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Records that were not taken, since the start. What a newer record pushes out was taken.
  int64_t dropped(LogClass log_class) const { return Load(dropped_, log_class); }
  // Records that were taken, pushed out since or not.
  int64_t taken(LogClass log_class) const { return Load(taken_, log_class); }

 private:
  using Record = std::shared_ptr<const std::string>;
  using Counts = std::array<std::atomic<int64_t>, kLogClassCount>;

  static int64_t Load(const Counts& counts, LogClass log_class) {
    return counts[static_cast<size_t>(log_class)].load(std::memory_order_relaxed);
  }

  const Options options_;
  mutable absl::Mutex mutex_;
  std::deque<Record> records_ ABSL_GUARDED_BY(mutex_);
  int64_t pushed_out_ ABSL_GUARDED_BY(mutex_) = 0;  // so the number of records_[0], counted from the start
  Counts taken_{}, dropped_{};
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_MEMORY_LOG_H_
