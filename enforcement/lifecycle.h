// The lifecycle of an account as a function of time: its facts, in, and the segments of its standing, out.
//
// Nothing here happens at a timer. A timeline says, for any moment, which state holds, since when, until when, and
// which row of the table of operations applies; a check looks the moment up (domain.md, section 2 and section 7,
// Lifecycle).
#ifndef SLUICE_ENFORCEMENT_LIFECYCLE_H_
#define SLUICE_ENFORCEMENT_LIFECYCLE_H_

#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"
#include "enforcement/parameters.h"

namespace sluice {

// One stretch of an account's standing, from `from` to the next segment's. Of several that begin at one moment the last
// is the standing; those before it are how the account may stand still by slow clocks.
struct Segment {
  absl::Time from;
  // A time that was written down beforehand: until it has passed by the slowest clock, what this segment relaxes
  // against the one before it is held back. Its own beginning, or, where events have arrived since, an earlier one.
  OptionalTime waits_for;
  AccountState state = AccountState::kUnspecified;
  TerminationCause cause = TerminationCause::kUnspecified;  // in RETENTION, RECLAIMABLE, RECLAIMED
  // What is permitted: the stricter of the rows where more than one clock runs.
  PermissionRow permissions{};
  absl::Time since;       // when this state began
  OptionalTime deadline;  // of the clocks begun so far
  bool payment_pending = false;
  // In RECLAIMABLE: the first moment at which it may be announced, obstacles aside.
  OptionalTime announce_at;
  // FROZEN: freeze.allow_delete is read at the check.
  bool delete_by_parameter = false;
};

struct Timeline {
  absl::InlinedVector<Segment, 6> segments;  // in order of time

  // nullptr before the account was opened.
  const Segment* At(absl::Time t) const;
  // What `now` permits for a judged operation: what a written time would relax is held back until it has passed by the
  // slowest clock, and the stricter segment decides until then. `delete_opened`: the parameter freeze.allow_delete is
  // on.
  // `*decided_by` is set to the segment that gives the answer, nullptr where the account may not be known yet.
  Permission Permits(Operation judged, const Moment& now, bool delete_opened, const Segment** decided_by) const;
};

// Segments before the present that an account's record keeps: each costs some 20 bytes there, and every check reads
// them.
inline constexpr size_t kPastSegmentsKept = 64;

// Of the segments that had begun by `reached` drops all but the last kPastSegmentsKept: an account that is frozen and
// paid for a thousand times answers as fast as any. The oldest one kept begins where the timeline began. Where it would
// wait for a written time, it is as strict as all those before it that may decide until then: from `reached` on nothing
// is permitted that was not before, and the same is unless more than kPastSegmentsKept segments are in doubt.
void ForgetPast(absl::Time reached, Timeline* timeline);

// What became of one event of an account, in its place among the others.
struct LifecycleOutcome {
  bool accepted = false;
  bool changes = false;  // false: it already held there, or was refused
  std::string error;     // where it is not accepted
};

// Why a RECLAIMED account does not take a change; empty where it does, and nothing comes of it.
std::string WhyNotOnceReclaimed(const Change& change);

// The timeline of an account from its accepted events (of the lifecycle alone, in any order; judged in the order of
// effective_at, then revision). With `outcomes`, also says what became of each, at the same index as in `facts`: one
// that was accepted when it arrived may be refused, or change nothing, behind one that arrived later and is dated
// before it, and the other way round.
Timeline BuildTimeline(const std::vector<StampedEvent>& facts, absl::string_view account, const Parameters& parameters,
                       const Pack& pack, std::vector<LifecycleOutcome>* outcomes = nullptr);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIFECYCLE_H_
