#include "store/rule_census.h"

#include <memory>
#include <utility>
#include <variant>

namespace sluice {
namespace {

bool IsOverdue(const Entity& entity, absl::Time now) {
  for (const StampedEvent& event : entity.events) {
    const auto* restriction = std::get_if<Restrict>(&event.event.change);
    if (restriction != nullptr && restriction->review_by && *restriction->review_by <= now) return true;
  }
  return false;
}

}  // namespace

absl::Status CountRules(const Store& store, absl::Time now, Census* census) {
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
      ++*count;
      if (IsOverdue(entity, now)) ++census->reviews_overdue;
      return true;
    });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace sluice
