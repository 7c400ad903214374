// The pure step of the control path: state' = Reduce(state, event). Who may send what, what is stale or a duplicate,
// what the form demands, and what an event leaves of the entities it touches (domain.md, section 7, Events).
#ifndef SLUICE_ENFORCEMENT_REDUCER_H_
#define SLUICE_ENFORCEMENT_REDUCER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"
#include "enforcement/policy.h"

namespace sluice {

// The retained policy as the writer sees it, its own changes not yet committed among them.
class EntitySource {
 public:
  virtual ~EntitySource() = default;
  virtual absl::optional<Entity> Get(const EntityKey& key) const = 0;
  // Whether an event with this id was accepted from this source before.
  virtual bool Seen(absl::string_view source, absl::string_view event_id) const = 0;
  // The highest sequence accepted of this account from this source; 0 = none.
  virtual int64_t LastSequence(absl::string_view account, absl::string_view source) const = 0;
};

struct Reduction {
  Outcome outcome = Outcome::kUnspecified;
  std::string error;                        // of REJECTED: what, wanted, got
  std::vector<Entity> upserts;              // the entities as they are from now on; without events = gone
  std::vector<Announcement> announcements;  // revision unset
  // The event as accepted: names in their one form, effective_at and role set. Of APPLIED alone.
  PolicyEvent event;
};

// Decides on one event that arrived at `now` and would get `revision`. Changes nothing itself. `policy` is the compiled
// state of what `source` holds.
Reduction Reduce(const PolicyEvent& event, int64_t revision, const Moment& now, const Policy& policy,
                 const EntitySource& source, const Pack& pack);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_REDUCER_H_
