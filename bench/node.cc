#include "bench/node.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace sluice::bench {

Node::Node(const Sizes& sizes)
    : fixture_(sizes, absl::Now()),
      system_clock_(absl::Seconds(1)),
      clock_(&system_clock_),
      metrics_({"bench", "default", ""}, &SystemClock::MonotonicNs),
      abuse_(fixture_.pack(), &fixture_.limiter()) {
  fixture_.engine().SetAbuseObserver(&abuse_);
  fixture_.engine().SetUsageObserver(&top_);
  fixture_.SetLimits(3);
  readiness_.SetHasPolicy(true);
}

absl::StatusOr<std::unique_ptr<Node>> Node::Create(const Sizes& sizes, const std::string& log_folder,
                                                   absl::Duration shed_after) {
  std::unique_ptr<Node> node(new Node(sizes));
  DecisionLog::Options options;
  options.folder = log_folder;
  options.node = "bench";
  options.clock = &node->clock_;
  absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(std::move(options));
  if (!log.ok()) return log.status();
  node->log_ = *std::move(log);
  const auto watched_by = [&](std::vector<DecisionObserver*> observers) {
    return std::make_unique<Checker>(&node->fixture_.engine(), &node->clock_, &node->readiness_, &node->metrics_,
                                     std::move(observers));
  };
  node->checker_ = watched_by({&node->metrics_, node->log_.get(), &node->top_});
  node->checker_->SetShedAfter(shed_after);
  node->bare_checker_ = watched_by({});
  return node;
}

}  // namespace sluice::bench
