// Which entity an event belongs to.
#ifndef SLUICE_STORE_ENTITY_OF_H_
#define SLUICE_STORE_ENTITY_OF_H_

#include "absl/types/optional.h"
#include "enforcement/event.h"

namespace sluice {

// The entity that Reduce keeps an accepted `change` under: an export lists events alone, and an import puts them
// together again. Nothing for a change that is kept nowhere (none, order_deletion).
absl::optional<EntityKey> EntityOf(const Change& change);

}  // namespace sluice

#endif  // SLUICE_STORE_ENTITY_OF_H_
