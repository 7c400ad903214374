// What every door does with a check, whatever its wire: validate, decide, tell the observers. And the methods of
// sluice.v1.Enforcement as bytes in, bytes out, so that both servers of it give the same answers.
#ifndef SLUICE_SERVER_LISTEN_CHECKER_H_
#define SLUICE_SERVER_LISTEN_CHECKER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "metrics/metrics.h"
#include "server/listen/unary_method.h"
#include "server/readiness.h"

namespace sluice {

class Checker {
 public:
  // All must outlive this; `metrics` is told of malformed checks, and is an observer only where it is among
  // `observers`.
  Checker(Engine* engine, const Clock* clock, const Readiness* readiness, Metrics* metrics,
          std::vector<DecisionObserver*> observers)
      : engine_(engine), clock_(clock), readiness_(readiness), metrics_(metrics), observers_(std::move(observers)) {}
  // Checks that may have waited for longer are answered OVERLOADED, without a look at the policy; those that are asked
  // again anyhow (LIST, PROCESS, FETCH) after half as long. Never, unless it is set. Before the first check.
  void SetShedAfter(absl::Duration after) { shed_after_ = after; }

  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  // In plain values, for doors: the decision on `input`, whose door is set, at the time of the call. `*decision` is
  // overwritten. INVALID_ARGUMENT names the field, what it wants and what it got; then nothing was decided or spent,
  // and no observer was told. Sets input->address. Thread-safe; does not block on I/O.
  absl::Status Check(CheckInput* input, Decision* decision);
  // In the ledger's journal when it returns OK, so it waits for write(2); where the journal fails (a full disk) it
  // returns that error, nothing was counted, and the caller may report again.
  absl::Status Report(absl::string_view report_id, absl::Span<const UsageInput> usages);
  // The same decision, spending nothing; neither counted nor logged, since nothing is served on it.
  absl::Status Peek(CheckInput* input, Decision* decision);
  // What asked could not be read: counts it as malformed.
  void OnUnreadable() { metrics_->OnMalformedCheck(); }

  // Each reads a serialized message and appends the serialized answer to `*response`, or returns INVALID_ARGUMENT: the
  // bytes are no such message, or as above. Time is read once a message. Thread-safe; does not block on I/O.
  absl::Status CheckBytes(absl::string_view request, const CallContext& context, std::string* response);
  // The same for several that came together, decided at one moment (Engine::CheckTogether).
  void CheckBytesTogether(absl::Span<const AskedCall> calls, AnswerSink* answers);
  // All or none: one malformed request refuses the batch.
  absl::Status CheckBatchBytes(absl::string_view request, const CallContext& context, std::string* response);
  absl::Status ReportBytes(absl::string_view request, const CallContext& context, std::string* response);

 private:
  // What was asked cannot be read, or breaks a bound.
  absl::Status Malformed(absl::Status status);
  // Whether it keeps to the bounds; sets input->address.
  absl::Status ValidateCheck(CheckInput* input);
  // A CheckRequest, and whether it keeps to the bounds.
  absl::Status Read(absl::string_view request, const CallContext& context, CheckInput* input);
  bool Sheds(Operation operation) const;
  void Judge(const CheckInput& input, Moment now, Decision* decision);
  // The same for each of `inputs`, which came through one door, in their order, with `decided(i)` after each.
  void JudgeTogether(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                     absl::FunctionRef<void(size_t)> decided);
  // What is left to do when `*decision` is made: `stale` policies give warnings, and the observers want to know.
  void Conclude(const CheckInput& input, bool stale, Moment now, Decision* decision);
  void TellDecided(Door door, size_t checks, Moment now);

  Engine* const engine_;
  const Clock* const clock_;
  const Readiness* const readiness_;
  Metrics* const metrics_;
  const std::vector<DecisionObserver*> observers_;
  absl::Duration shed_after_ = absl::InfiniteDuration();
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CHECKER_H_
