// Answers a replay in process: a whole node on a simulated clock, with the policy of an export, of policy files, or
// both.
#ifndef SLUICE_CLIENT_POLICY_JUDGE_H_
#define SLUICE_CLIENT_POLICY_JUDGE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/replay.h"
#include "client/simulation.h"
#include "enforcement/pack.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

// The policy is in force before the first line: first the export, then the events of the files, in their order, as if
// they arrived one second before it. Events dated later than the first line are applied when the log reaches their
// time.
//
// A log that begins before the export was taken is replayed so many whole days later that it does not: the question is
// what today's policy would have answered to yesterday's traffic, and the hours of the day stay what they were.
class PolicyJudge final : public ReplayJudge {
 public:
  struct Options {
    NodeOptions node;
    const Pack* pack = nullptr;           // must outlive the judge
    v1::ExportChunk snapshot;             // revision 0 = none
    std::vector<v1::PolicyEvent> events;  // with source and role
  };
  explicit PolicyJudge(Options options);

  // Also INVALID_ARGUMENT where an event of the files is rejected: a policy that is not in force answers no question.
  absl::Status Begin(absl::Time first) override;
  Decision Check(const CheckInput& input, absl::Time at) override;
  void Report(const UsageInput& usage, absl::Time at) override;

  int64_t revision() const { return revision_; }        // of the policy
  absl::Duration shift() const { return shift_; }       // by how much the log is replayed later
  size_t not_reached() const { return later_.size(); }  // events dated after the end of the log
  // Events of the files that were rejected while the log ran, with the reason.
  const std::vector<std::string>& rejected() const { return rejected_; }
  // The first failure of the node itself, such as a full disk; OK where all went well.
  const absl::Status& status() const { return status_; }

 private:
  absl::Status AdvanceTo(absl::Time at);
  absl::Status Apply(std::vector<PolicyEvent> events, std::vector<std::string>* rejected);

  Options options_;
  std::unique_ptr<Simulation> simulation_;
  absl::Duration shift_;
  int64_t revision_ = 0;
  absl::Time now_ = absl::InfinitePast();
  std::deque<PolicyEvent> later_;  // in order of effective_at
  std::vector<std::string> rejected_;
  absl::Status status_;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_POLICY_JUDGE_H_
