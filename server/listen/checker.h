// What the Enforcement service does with a message, without the wire: validate, decide, tell the observers, translate.
#ifndef SLUICE_SERVER_LISTEN_CHECKER_H_
#define SLUICE_SERVER_LISTEN_CHECKER_H_

#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/names.h"
#include "metrics/metrics.h"
#include "server/readiness.h"
#include "sluice/v1/check.pb.h"

namespace sluice {

// The most recent ids of reports, so that a repeated one is not counted twice. Bounded: a report that is repeated after
// 65,536 others counts again.
class ReportLedger {
 public:
  // True where `report_id` was not seen before, or is empty. Thread-safe; waits only for other reports.
  bool Admit(absl::string_view report_id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kIdsMax = 65536;
  absl::Mutex mutex_;
  absl::flat_hash_set<Hash128> ids_ ABSL_GUARDED_BY(mutex_);
  std::deque<Hash128> order_ ABSL_GUARDED_BY(mutex_);
};

class Checker {
 public:
  // All must outlive this; `metrics` is told of malformed checks, and is an observer only where it is among
  // `observers`.
  Checker(Engine* engine, const Clock* clock, const Readiness* readiness, Metrics* metrics,
          std::vector<DecisionObserver*> observers)
      : engine_(engine), clock_(clock), readiness_(readiness), metrics_(metrics), observers_(std::move(observers)) {}
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  // Each fills `*response`, whose memory is reused, or returns INVALID_ARGUMENT that names the field, what it wants and
  // what it got; then nothing was decided or spent. Time is read once a message. Thread-safe; does not block on I/O.
  absl::Status Check(const v1::CheckRequest& request, v1::CheckResponse* response);
  // All or none: one malformed request refuses the batch.
  absl::Status CheckBatch(const v1::CheckBatchRequest& request, v1::CheckBatchResponse* response);
  absl::Status Report(const v1::ReportRequest& request, v1::ReportResponse* response);

  // A message that was none of those above.
  void OnUnreadable() { metrics_->OnMalformedCheck(); }

 private:
  void Decide(const CheckInput& input, Moment now, v1::CheckResponse* response);

  Engine* const engine_;
  const Clock* const clock_;
  const Readiness* const readiness_;
  Metrics* const metrics_;
  const std::vector<DecisionObserver*> observers_;
  ReportLedger reports_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CHECKER_H_
