// Decides. Engine::Check answers one question from the policy in force, the limits and the agreement pack; Explain says
// why; Report charges what a request turned out to use. No I/O, no lock that can wait on the data path.
#ifndef SLUICE_ENFORCEMENT_ENGINE_H_
#define SLUICE_ENFORCEMENT_ENGINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/left_right.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "enforcement/policy.h"

namespace sluice {

using PolicyIndex = LeftRight<Policy>;

// What the engine knows of its node. Plain configuration.
struct NodeOptions {
  std::string region;                   // where answers are served; "cn" is the mainland
  Dialect dialect = Dialect::kGeneric;  // of checks that name none
  int fleet_size = 1;                   // how many sidecars share fleet-wide limits
};

// Told of every decision, on the thread that made it, after it was made. Must not block. Implemented by metrics/ and by
// the decision log.
class DecisionObserver {
 public:
  virtual ~DecisionObserver() = default;
  virtual void OnDecision(const CheckInput& input, const Decision& decision, Moment now) = 0;
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
  // `pack`, `index` and `limiter` must outlive the engine.
  Engine(const Pack* pack, const PolicyIndex* index, Limiter* limiter, NodeOptions options)
      : pack_(pack), index_(index), limiter_(limiter), options_(std::move(options)) {}

  // OK, or INVALID_ARGUMENT naming the field, what it wants and what it got: an overlong name, too many hashes, a
  // malformed address. Doors call it before Check; Check itself judges whatever it is given.
  static absl::Status Validate(const CheckInput& input);

  // Thread-safe; never blocks on a lock or on I/O. Spends tokens only where nothing denies and every limit has them.
  Decision Check(const CheckInput& input, Moment now);

  // The same decision in full detail, spending nothing and holding no lease. Appends every rule looked at, in order of
  // precedence, to `*steps`, which may be null. With now.wall in the past or the future: what the policy of today says
  // of that moment.
  Decision Explain(const CheckInput& input, Moment now, std::vector<ExplainStep>* steps);

  // Charges usage to every limit that it meets, and ends the lease it names. Thread-safe.
  void Report(const UsageInput& usage, Moment now);

  // Takes over an amount that an applied event states: SetUsage. Other events leave it as it is. Thread-safe.
  void TakeOver(const PolicyEvent& event, Moment now);

  // Of a canonical subject (CanonicalSubject in names.h).
  Description Describe(const Subject& subject, Moment now) const;

  // The answer of a node that could not decide: NOT_READY or STALE_POLICY.
  Decision CannotDecide(Reason reason, Dialect dialect) const;

  int64_t revision() const { return index_->Read()->revision(); }
  const NodeOptions& options() const { return options_; }
  const Pack& pack() const { return *pack_; }

 private:
  const Pack* const pack_;
  const PolicyIndex* const index_;
  Limiter* const limiter_;
  const NodeOptions options_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_ENGINE_H_
