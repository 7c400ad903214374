// Decisions kept under 3.1.7, in memory for now: a bounded ring of the most recent ones, and a count of those it could
// not take. Answers LogQuery.
#ifndef SLUICE_STORE_DECISION_LOG_H_
#define SLUICE_STORE_DECISION_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/engine.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

class DecisionLog final : public DecisionObserver {
 public:
  struct Options {
    size_t capacity = 65536;   // records; about half a kilobyte each
    bool keep_oldest = false;  // full: drop the new record (a full disk) rather than the oldest one
    // Plain allows, without a warning, too. Refusals, throttles, what was let through with a remark, and what the
    // content scanner and an evidence reader ask are always kept.
    bool log_allowed = true;
    std::string node;
  };
  explicit DecisionLog(Options options) : options_(std::move(options)) {}

  // Keeps owner, bucket, key and host as the engine resolved them, and the whole answer, whatever detail the check
  // asked for. Bytes that are no UTF-8 are kept percent-encoded: a message cannot carry them. Thread-safe; waits at
  // most for another thread's copy of one record.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls `visit` for each record that meets `query`, oldest first, until it returns false or query.limit (0 = none) is
  // reached. `from` is inclusive, `to` exclusive; an account meets owner or requester; bucket, key and host are the
  // resolved ones; a reason is the one that the answer gave first. Records that are pushed out meanwhile are missing.
  // Thread-safe; holds up no check while `visit` runs.
  void Query(const v1::LogQuery& query, const std::function<bool(const v1::DecisionRecord&)>& visit) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Records that were not taken, since the start. What a newer record pushes out was taken.
  int64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  using Record = std::shared_ptr<const v1::DecisionRecord>;

  const Options options_;
  mutable absl::Mutex mutex_;
  std::deque<Record> records_ ABSL_GUARDED_BY(mutex_);
  int64_t pushed_out_ ABSL_GUARDED_BY(mutex_) = 0;  // so the number of records_[0], counted from the start
  std::atomic<int64_t> dropped_{0};
};

}  // namespace sluice

#endif  // SLUICE_STORE_DECISION_LOG_H_
