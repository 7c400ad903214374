// Decides. Engine::Check answers one question from the policy in force, the limits and the agreement pack; Explain says
// why; Report charges what a request turned out to use. No I/O, no lock that can wait on the data path.
#ifndef SLUICE_ENFORCEMENT_ENGINE_H_
#define SLUICE_ENFORCEMENT_ENGINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "enforcement/check.h"
#include "enforcement/failure_policy.h"
#include "enforcement/fleet_shares.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "enforcement/policy_index.h"

namespace sluice {

// What the engine knows of its node. Plain configuration.
struct NodeOptions {
  std::string region;                   // where answers are served; "cn" is the mainland
  Dialect dialect = Dialect::kGeneric;  // of checks that name none
  int fleet_size = 1;                   // how many sidecars share fleet-wide limits
  FailurePolicy failure;                // what it answers where it cannot decide
};

// Told of every decision, on the thread that made it, after it was made. Must not block. Implemented by metrics/ and by
// the decision log.
class DecisionObserver {
 public:
  virtual ~DecisionObserver() = default;
  virtual void OnDecision(const CheckInput& input, const Decision& decision, Moment now) = 0;
  // After OnDecision of the last of `checks` that came together through `door` and were decided by `now`.
  virtual void OnDecided(Door, size_t /*checks*/, Moment) {}
};

// Told of each report that was counted, with the names that it turned out to be about. As DecisionObserver.
class UsageObserver {
 public:
  virtual ~UsageObserver() = default;
  virtual void OnUsage(const UsageInput& usage, const ObjectView& object, absl::string_view owner,
                       absl::string_view host, Moment now) = 0;
};

// Told of subjects that press on after being throttled, at most once a second each, on the thread of a check. Must not
// block. Implemented by AbuseGuard (abuse_guard.h).
class AbuseObserver {
 public:
  virtual ~AbuseObserver() = default;
  virtual void OnPressing(const LimitRule& limit, const Subject& subject, Moment now) = 0;
};

// What a DescribeRequest asks for. `in_force` are the events that bear on the subject at the moment asked for.
struct Description {
  Subject subject;
  AccountState state = AccountState::kUnspecified;
  TerminationCause cause = TerminationCause::kUnspecified;
  OptionalTime state_since;
  OptionalTime deadline;
  std::vector<EntityKey> in_force;  // in order of kind, then id
  std::string owner;
  int64_t revision = 0;
};

class Engine {
 public:
  // `pack`, `index` and `limiter` must outlive the engine, and `shares` where it is given: else limits of the fleet are
  // granted in equal parts of options.fleet_size.
  Engine(const Pack* pack, const PolicyIndex* index, Limiter* limiter, NodeOptions options,
         const FleetShares* shares = nullptr);

  // Before the first check. Each must outlive the engine; null = nobody.
  void SetAbuseObserver(AbuseObserver* observer) { parts_.abuse = observer; }
  void SetUsageObserver(UsageObserver* observer) { usage_observer_ = observer; }

  // OK, or INVALID_ARGUMENT naming the field, what it wants and what it got: an overlong name, too many hashes, a
  // malformed address. Doors call it before Check; Check itself judges whatever it is given. `*address`, where it is
  // not null, becomes what client_ip says: CheckInput::address, so that Check need not read it again.
  static absl::Status Validate(const CheckInput& input, absl::optional<AddressBlock>* address = nullptr);

  // Overwrites `*decision`. Thread-safe; never blocks on a lock or on I/O. Spends tokens only where nothing denies and
  // every limit has them.
  void Check(const CheckInput& input, Moment now, Decision* decision);
  // The same as a value.
  Decision Check(const CheckInput& input, Moment now) {
    Decision decision;
    Check(input, now, &decision);
    return decision;
  }

  // Decides checks that came together, in their order, each as Check would, and calls `decided(i)` after each: then
  // `*decision` is that of inputs[i]. By memory that is asked for many at once, a third faster than one by one where
  // the policy is larger than the cache.
  void CheckTogether(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                     absl::FunctionRef<void(size_t)> decided);

  // The same decision in full detail, spending nothing and holding no lease. Appends every rule looked at, in order of
  // precedence, to `*steps`, which may be null. With now.wall in the past or the future: what the policy of today says
  // of that moment.
  Decision Explain(const CheckInput& input, Moment now, std::vector<ExplainStep>* steps);

  // Charges usage to every limit that it meets, and ends the leases it names: all of it or none. A `report_id` that was
  // counted before, by this process or an earlier one, changes nothing; "" is none. Once this returns OK what was held
  // and what the day's traffic came to survive the process. Errors are the ledger's journal's (a full disk): nothing
  // was counted, and the caller may report again. Thread-safe; waits for the journal.
  absl::Status Report(absl::string_view report_id, absl::Span<const UsageInput> usages, Moment now);

  // Takes over an amount that an applied event states: SetUsage. Other events leave it as it is, and so does one that
  // is not `fresh` (told again at a start, not just applied) and was taken over before. Thread-safe; waits for the
  // journal, whose error changes nothing: the event is kept, and taken over again at the next start.
  absl::Status TakeOver(const StampedEvent& event, bool fresh, Moment now);

  // Of a canonical subject (CanonicalSubject in names.h).
  Description Describe(const Subject& subject, Moment now) const;

  // The answer of a node that cannot decide, for a reason of FailurePolicy::kReasons: a denial, or, where the failure
  // policy lets the operation pass, an ALLOW with the reason as its warning. Thread-safe; reads no policy.
  // Overwrites `*decision`.
  void CannotDecide(Reason reason, const CheckInput& input, Decision* decision) const;

  int64_t revision() const { return index_->Read()->revision(); }
  const NodeOptions& options() const { return parts_.options; }
  const Pack& pack() const { return *parts_.pack; }

  // What a judgement works with besides the policy. Internal to enforcement/.
  struct Parts {
    const Pack* pack = nullptr;
    Limiter* limiter = nullptr;
    NodeOptions options;
    const FleetShares* shares = nullptr;
    AbuseObserver* abuse = nullptr;
  };

 private:
  struct Charge {
    Hash128 cell;
    TokenBucket bucket;
    int64_t cost = 0;
  };
  // What `usage` changes in the ledger, and what it costs in rates.
  void AddUsage(const UsageInput& usage, Moment now, LedgerRecord* record, std::vector<Charge>* charges) const;
  void TellUsage(absl::Span<const UsageInput> usages, Moment now) const;

  void CheckFew(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                absl::FunctionRef<void(size_t)> decided);
  // Whether `policy` can decide `input`; else `*decision` is what the failure policy says.
  bool MayDecide(const CheckInput& input, const Policy& policy, Decision* decision) const;
  void Decide(const CheckInput& input, Moment now, const Policy& policy, bool spend, std::vector<ExplainStep>* steps,
              Decision* decision) const;
  void CannotRead(const CheckInput& input, const Policy& policy, Decision* decision) const;

  const PolicyIndex* const index_;
  const StaticShares static_shares_;
  Parts parts_;
  UsageObserver* usage_observer_ = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_ENGINE_H_
