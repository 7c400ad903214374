#include "store/rule_census.h"

#include <memory>
#include <utility>
#include <variant>

#include "enforcement/rule_compiler.h"

namespace sluice {
namespace {

bool IsOverdue(const StampedEvent& event, const Moment& now) {
  const auto* restriction = std::get_if<Restrict>(&event.event.change);
  return restriction != nullptr && restriction->review_by && *restriction->review_by <= now.wall;
}

}  // namespace

absl::Status CountRules(const Store& store, const Moment& now, Census* census) {
  const absl::StatusOr<std::unique_ptr<StoreReader>> snapshot = store.Snapshot();
  if (!snapshot.ok()) return snapshot.status();
  const std::pair<EntityKind, int64_t*> kinds[] = {{EntityKind::kFlag, &census->flags},
                                                   {EntityKind::kOrder, &census->orders},
                                                   {EntityKind::kHold, &census->holds},
                                                   {EntityKind::kRestriction, &census->restrictions},
                                                   {EntityKind::kLimit, &census->limits}};
  census->reviews_overdue = 0;
  for (const auto& [kind, count] : kinds) {
    *count = 0;
    const absl::Status status = (*snapshot)->ForEachEntityOf(kind, "", [&, count = count](const Entity& entity) {
      bool set = false, overdue = false;
      for (const StampedEvent* event : EventsTold(entity, now)) {
        if (!SetsStill(*event, now)) continue;
        set = true;
        overdue = overdue || IsOverdue(*event, now);
      }
      *count += set;
      census->reviews_overdue += overdue;
      return true;
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace sluice
