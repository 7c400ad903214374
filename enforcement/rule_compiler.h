// Rules from the events that are retained of them: flags, orders, holds and restrictions, each for the stretch of time
// in which it reads so.
#ifndef SLUICE_ENFORCEMENT_RULE_COMPILER_H_
#define SLUICE_ENFORCEMENT_RULE_COMPILER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/limiter.h"
#include "enforcement/names.h"
#include "enforcement/pack.h"

namespace sluice {

// [from, until): begins at once, ends only when `until` has passed by the slowest clock.
struct Span {
  absl::Time from = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
  bool Holds(const Moment& now) const { return from <= now.wall && !now.Passed(until); }
};

// Bits by Operation number.
using OperationSet = uint32_t;
constexpr OperationSet Bit(Operation operation) { return OperationSet{1} << static_cast<int>(operation); }
// What naming `operations` names: each what is judged as it; CREATE_BUCKET, DELETE_BUCKET and STREAM_* that alone.
// Empty names all but MANAGE_READ and PAY.
OperationSet SetOf(const std::vector<Operation>& operations);

// What lets a narrower subject pass under a flag.
struct Exception {
  SubjectKey subject;
  absl::Time from;
  bool ahead = false;  // written down before its time: it opens only when that has passed by the slowest clock
  bool Holds(const Moment& now) const { return ahead ? now.Passed(from) : from <= now.wall; }
};

// A flag, order, hold or restriction, for the stretch of time in which it reads so.
struct Rule {
  EntityKind kind = EntityKind::kFlag;
  std::string id;
  Role set_by = Role::kUnspecified;
  Span span;
  std::vector<SubjectKey> subjects;
  // Flags.
  const Category* category = nullptr;
  Severity severity = Severity::kUnspecified;
  std::vector<Exception> exceptions;
  // Orders.
  OperationSet operations = 0;
  std::vector<std::string> regions;
  // Restrictions.
  RestrictionKind restriction = RestrictionKind::kUnspecified;
  std::string clause;
  bool victim = false;
  TokenBucket bucket;  // of a sandbox
  double rate = 0;
  Hash128 cell;
  bool automatic = false;  // the node's own; then:
  TokenBucket calm_below;  // requests within it are calm
  TokenBucket calm_after;  // one token: how long a request that is not calm keeps the sandbox up
  bool trial = false;      // evaluated, and changes no answer
  // Of what keeps evidence alone: what it keeps, by name.
  Subject evidence;

  bool keeps_evidence() const {
    return kind == EntityKind::kHold || (kind == EntityKind::kFlag && severity == Severity::kCritical && !trial);
  }
  // Whether it keeps anything at `now`: it is in force, and no exception takes its whole subject out of it.
  bool KeepsNow(const Moment& now) const;
};

// Rules bite on arrival, or at their written time where that is later; what is past acts now (domain.md, section 7).
absl::Time BitesAt(const StampedEvent& event);

// When each of `events`, all SetMaintenance of one region in order of arrival, holds: to its end, or, where it has
// none, until one that came after it begins. So a window without an end can be ended: by another.
std::vector<Span> MaintenanceSpans(const std::vector<StampedEvent>& events);
// Written down before its time.
bool IsAhead(const StampedEvent& event);

// Of a flag, order, hold, restriction or limit the events that people are told of at `now`, oldest first: what is in
// force or dated ahead, and its exceptions while there is any of that. What a later event replaced or ended may be kept
// for what it tells of the rule's birth (see Reduce); it is in force no more. Of any other entity all events. Points
// into `entity`.
std::vector<const StampedEvent*> EventsTold(const Entity& entity, const Moment& now);
// Whether `event` sets a flag, order, hold, restriction or limit, to an end that is not past.
bool SetsStill(const StampedEvent& event, const Moment& now);

// Ends the newest of `pieces` at `t`, and drops those that were to begin later: a later event cuts off earlier ones.
template <typename Piece, typename Until>
void CutAt(absl::Time t, std::vector<std::unique_ptr<Piece>>* pieces, const Until& from_until) {
  while (!pieces->empty()) {
    auto [from, until] = from_until(pieces->back().get());
    if (*from < t) {
      *until = std::min(*until, t);
      return;
    }
    pieces->pop_back();
  }
}

struct CompiledRules {
  std::vector<std::unique_ptr<Rule>> rules;  // oldest first
  std::vector<Subject> subjects;             // of all of them and of their exceptions
};
// What the events of `entity` make of it. Without `pack` a flag has no category, and the severity as it was raised.
CompiledRules CompileRules(const Entity& entity, const Pack* pack);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_RULE_COMPILER_H_
