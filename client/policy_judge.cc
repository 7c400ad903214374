#include "client/policy_judge.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/calendar.h"
#include "proto/translate.h"

namespace sluice {
namespace {

constexpr size_t kRejectedShownMax = 10;
// Events of one call; a whole file of a million events must not be one transaction.
constexpr size_t kBatch = 1000;

}  // namespace

PolicyJudge::PolicyJudge(Options options) : options_(std::move(options)) {}

absl::Status PolicyJudge::Begin(absl::Time first) {
  const absl::Time taken = FromProto(options_.snapshot.policy_time());
  const bool has_snapshot = options_.snapshot.revision() > 0;
  if (has_snapshot && first - absl::Seconds(1) < taken) {
    const absl::Duration lack = taken - (first - absl::Seconds(1));
    shift_ = absl::Ceil(lack, absl::Hours(24));
  }
  Simulation::Options options;
  options.node = options_.node;
  options.start = first + shift_ - absl::Seconds(1);
  options.log_decisions = false;
  options.keep_usage = false;
  absl::StatusOr<std::unique_ptr<Simulation>> simulation = Simulation::Create(options_.pack, options);
  if (!simulation.ok()) return simulation.status();
  simulation_ = *std::move(simulation);
  if (has_snapshot) {
    if (absl::Status status = simulation_->Import(options_.snapshot); !status.ok()) return status;
    revision_ = options_.snapshot.revision();
  }
  std::vector<PolicyEvent> now;
  for (const v1::PolicyEvent& message : options_.events) {
    PolicyEvent event = FromProto(message);
    if (event.effective_at.has_value() && *event.effective_at > first + shift_) {
      later_.push_back(std::move(event));
    } else {
      now.push_back(std::move(event));
    }
  }
  std::stable_sort(later_.begin(), later_.end(),
                   [](const PolicyEvent& a, const PolicyEvent& b) { return *a.effective_at < *b.effective_at; });
  std::vector<std::string> rejected;
  if (absl::Status status = Apply(std::move(now), &rejected); !status.ok()) return status;
  if (!rejected.empty()) {
    const size_t shown = std::min(rejected.size(), kRejectedShownMax);
    return absl::InvalidArgumentError(
        absl::StrCat(rejected.size(), " of the policy's events would be rejected, so that it cannot be tried:\n  ",
                     absl::StrJoin(rejected.begin(), rejected.begin() + static_cast<std::ptrdiff_t>(shown), "\n  "),
                     shown < rejected.size() ? "\n  ..." : ""));
  }
  return AdvanceTo(first + shift_);
}

absl::Status PolicyJudge::Apply(std::vector<PolicyEvent> events, std::vector<std::string>* rejected) {
  for (size_t begin = 0; begin < events.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, events.size());
    std::vector<PolicyEvent> batch(events.begin() + static_cast<std::ptrdiff_t>(begin),
                                   events.begin() + static_cast<std::ptrdiff_t>(end));
    absl::StatusOr<ApplyResult> result = simulation_->Apply(std::move(batch));
    if (!result.ok()) return result.status();
    revision_ = result->revision;
    for (size_t i = 0; i < result->results.size(); ++i) {
      if (result->results[i].outcome != Outcome::kRejected) continue;
      rejected->push_back(absl::StrCat("event ", begin + i + 1, ", ", ChangeName(events[begin + i].change.index()),
                                       ": ", result->results[i].error));
    }
  }
  return absl::OkStatus();
}

absl::Status PolicyJudge::AdvanceTo(absl::Time at) {
  while (!later_.empty() && *later_.front().effective_at <= at) {
    PolicyEvent event = std::move(later_.front());
    later_.pop_front();
    const absl::Time due = std::max(*event.effective_at, simulation_->wall());
    if (absl::Status status = simulation_->AdvanceTo(due); !status.ok()) return status;
    std::vector<PolicyEvent> events;
    events.push_back(std::move(event));
    if (absl::Status status = Apply(std::move(events), &rejected_); !status.ok()) return status;
  }
  now_ = at;
  return simulation_->AdvanceTo(std::max(at, simulation_->wall()));
}

Decision PolicyJudge::Check(const CheckInput& input, absl::Time at) {
  // Most lines of a busy log share their second with the one before.
  if (at + shift_ > now_) status_.Update(AdvanceTo(at + shift_));
  absl::StatusOr<Decision> decision = simulation_->Check(input);
  if (decision.ok()) return *std::move(decision);
  status_.Update(decision.status());
  return Decision();
}

void PolicyJudge::Report(const UsageInput& usage, absl::Time at) { status_.Update(simulation_->Report(usage)); }

}  // namespace sluice
