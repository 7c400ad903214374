// What sluiced has behind its listeners, over a policy made for a benchmark: the engine, and a checker with the
// observers of a node beside one that nobody watches.
#ifndef SLUICE_BENCH_NODE_H_
#define SLUICE_BENCH_NODE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/fixture.h"
#include "decision_log/decision_log.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/clock.h"
#include "enforcement/top.h"
#include "metrics/metrics.h"
#include "server/listen/checker.h"
#include "server/readiness.h"
#include "server/system_clock.h"

namespace sluice::bench {

class Node {
 public:
  // Over a policy of `sizes` with three default request limits (account, bucket, address). The decision log goes to
  // `log_folder`. `shed_after`: of the watched checker, by default sluiced's own. REQUIRES: Validate(sizes).
  static absl::StatusOr<std::unique_ptr<Node>> Create(const Sizes& sizes, const std::string& log_folder,
                                                      absl::Duration shed_after = absl::Seconds(1));
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // With metrics, decision log and the names that ask most, as sluiced makes them by its defaults.
  Checker* checker() { return checker_.get(); }
  // Without any of them.
  Checker* bare_checker() { return bare_checker_.get(); }

 private:
  explicit Node(const Sizes& sizes);

  Fixture fixture_;
  const SystemClock system_clock_;
  const PolicyClock clock_;
  Readiness readiness_;
  Metrics metrics_;
  AbuseGuard abuse_;
  Top top_;
  std::unique_ptr<DecisionLog> log_;
  std::unique_ptr<Checker> checker_, bare_checker_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_NODE_H_
