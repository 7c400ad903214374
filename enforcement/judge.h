// The judgement of one check: collects what is in force on whom it meets, and puts it in order of precedence. One
// object a check, on the stack; engine.h is the way in.
#ifndef SLUICE_ENFORCEMENT_JUDGE_H_
#define SLUICE_ENFORCEMENT_JUDGE_H_

#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "enforcement/check.h"
#include "enforcement/engine.h"
#include "enforcement/fleet_shares.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "enforcement/policy.h"
#include "enforcement/target.h"

namespace sluice {

enum class Effect : uint8_t { kWarn, kThrottle, kDeny };

// One thing that speaks for or against a request. Views memory of the policy and the pack.
struct Finding {
  Reason reason = Reason::kUnspecified;
  Effect effect = Effect::kWarn;
  Fault fault = Fault::kUnspecified;
  Role set_by = Role::kUnspecified;
  uint8_t severity = 0;  // among findings of one reason the highest speaks, then the smallest id
  absl::string_view clause;
  absl::string_view rule_id;
  Dimension dimension = Dimension::kUnspecified;  // of a limit
  // Answers of their own within QUOTA_EXCEEDED and RATE_LIMITED.
  bool bucket_quota = false;
  bool object_rate = false;
};

class Judge {
 public:
  // All must outlive the judge. With `steps` (which may be null) every rule looked at is written down.
  Judge(const CheckInput& input, Moment now, const Policy& policy, const Engine::Parts& parts,
        std::vector<ExplainStep>* steps);

  // Fills `*decision`, which is as one that was just made; with `spend`, tokens are taken and a lease is held where
  // everything allows it.
  void Run(bool spend, Decision* decision);
  // The same in steps, in this order, of which all but the last spend and decide nothing: see Target.
  void NameTarget() { target_.Name(input_, policy_); }
  void ReachNames() const { target_.ReachNames(policy_); }  // may be left out
  void BindTarget() { target_.Bind(policy_, now_.wall); }
  void OwnTarget();
  void Decide(bool spend, Decision* decision);
  // Whether something that bears on the decision could not be read. REQUIRES: Run was called. Nothing was spent then.
  bool unreadable() const { return unreadable_; }

 private:
  struct Applicable {
    const LimitRule* limit;
    Hash128 cell;     // of its tokens and leases
    Hash128 subject;  // of its held amounts
    double rate;      // this node's part
    TokenBucket bucket;
    Limiter::Spot spot;
  };
  struct Sandbox {
    const Rule* rule;
    Limiter::Spot spot;
  };

  // judge.cc: what is prohibited, and the account's standing.
  void JudgeRules(const Target& target, Operation judged, bool source);
  void JudgeRule(const Rule& rule, Via via, const Target& target, Operation judged, bool source);
  void JudgeFlag(const Rule& rule, Via via, const Target& target, Operation judged);
  void JudgeEvidence(const Rule& rule, Via via, Operation judged);
  void JudgeEvidenceInside();
  void JudgeEvidenceOfOwner();
  void AddEvidence(const Rule& rule);
  void JudgeOrder(const Rule& rule, Operation operation);
  void JudgeRestriction(const Rule& rule, Operation judged);
  void JudgeStanding(absl::string_view account, Hash128 hash, Operation judged, absl::string_view whose);
  void JudgeTerms();
  void JudgeMaintenance();
  bool IsExcepted(const Rule& rule, const Target& target) const;

  // judge_permits.cc: 3.1.3.1 and test domains.
  void JudgePermits();
  void JudgeTestDomain();
  enum class Standing : uint8_t { kInvalid, kOutdated, kValid };
  // Of the nearest record of `kind` among `records`, those of the host and of the names above it, nearest first.
  using PermitRecords = absl::InlinedVector<const HostPermits*, 4>;
  Standing PermitStanding(const PermitRecords& records, absl::string_view kind) const;
  void NoteRegistry(absl::string_view registry, absl::string_view account);

  // judge_limits.cc: what is used too much.
  void CollectLimits();
  void JudgeQuotas();
  void JudgeRates(bool spend, Decision* decision);
  void JudgeRate(Applicable* each, bool spend);
  void JudgeConnections(const Applicable& each);
  void JudgeSandbox(Sandbox* sandbox, bool spend);
  void AddSandbox(const Rule& rule, Effect effect);
  void Spend(Decision* decision);
  void GiveBack(size_t limits, size_t sandboxes);
  void SpendOnTrial();
  bool TakeLease(Decision* decision);
  void Pace(Decision* decision);
  void TellRate(Decision* decision) const;
  void Throttle(int64_t wait_ns);
  void Press(const Applicable& each);
  absl::Duration LeaseLasts() const;

  // Adds what speaks for or against the request; while a rule on trial is looked at, to what would have.
  Finding& Add(Reason reason, Effect effect, absl::string_view clause = {}, absl::string_view rule_id = {},
               Role set_by = Role::kUnspecified, uint8_t severity = 0);
  void AddLimit(Reason reason, Effect effect, const LimitRule& limit);
  void NoteWithin(Reason reason, const LimitRule& limit) {
    if (steps_ != nullptr) WriteWithin(reason, limit);
  }
  void WriteWithin(Reason reason, const LimitRule& limit);
  bool TrialRefuses() const;
  void Conclude(Decision* decision);
  void ConcludeTrial(const Finding* first, Decision* decision) const;
  void Answer(const Finding& finding, Decision* decision) const;

  // judge_explain.cc: writes down a rule that was looked at, where anyone wants to know.
  // Not `answers`: whether anything of this reason matched is still to be said.
  void Note(Reason reason, std::string rule, bool matched, absl::string_view clause, std::string text,
            bool answers = true);
  void NoteStanding(absl::string_view account, const Segment& segment, Reason reason, Permission permission,
                    absl::string_view whose);
  void FinishSteps();

  const CheckInput& input_;
  const Moment now_;
  const Policy& policy_;
  const Pack& pack_;
  const NodeOptions& options_;
  const FleetShares& shares_;
  AbuseObserver* const abuse_;
  Limiter* const limiter_;
  std::vector<ExplainStep>* const steps_;

  Operation operation_;
  Operation judged_;
  absl::string_view region_;
  Target target_;
  ReadRules read_;  // findings view them
  bool unreadable_ = false;
  absl::InlinedVector<Finding, 8> findings_;
  absl::InlinedVector<Applicable, 8> limits_;
  absl::InlinedVector<Sandbox, 2> sandboxes_;
  absl::InlinedVector<Finding, 1> trial_findings_;
  bool denied_ = false, throttled_ = false;  // by one of the findings
  bool trying_ = false;                      // a rule on trial is being looked at
  int64_t retry_after_ns_ = 0;
  // Of the limits collected: whether one is a quota, sets a pace; of limits and sandboxes, whether one is on trial.
  bool has_quotas_ = false, has_paces_ = false, has_trials_ = false;
  bool forever_ = false;  // throttled by a rate of 0
  bool shares_pace_ = false;
  bool metered_ = false;  // a limit or sandbox was looked at: the answer is good for this once

  struct Noted {
    int order;
    bool answers;
    ExplainStep step;
  };
  std::vector<Noted> noted_;
};

// Fills verdict, http and fault of a decision from the reason that gives it; for the node that could not decide too.
void FillAnswer(const Pack& pack, Reason reason, Dialect dialect, Decision* decision);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_JUDGE_H_
