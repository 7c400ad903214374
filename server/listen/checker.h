// What the Enforcement service does with a message, without the wire: validate, decide, tell the observers, translate.
#ifndef SLUICE_SERVER_LISTEN_CHECKER_H_
#define SLUICE_SERVER_LISTEN_CHECKER_H_

#include <vector>

#include "absl/status/status.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "metrics/metrics.h"
#include "server/readiness.h"
#include "sluice/v1/check.pb.h"

namespace sluice {

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
  // what it got; then nothing was decided or spent. Time is read once a message. Thread-safe; does not block on I/O,
  // but for Report, which is in the ledger's journal when it returns OK; where the journal fails (a full disk) it
  // returns that error, nothing was counted, and the caller may report again.
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
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CHECKER_H_
