// What the form of an event demands before anybody asks what it would do.
#ifndef SLUICE_ENFORCEMENT_EVENT_FORM_H_
#define SLUICE_ENFORCEMENT_EVENT_FORM_H_

#include "absl/status/status.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"

namespace sluice {

// Brings every name in `change` into its one form. INVALID_ARGUMENT where it has no alternative, lacks a field that it
// needs, names a category, parameter or word that there is not, or has a value out of bounds: "field: want X, got Y".
// Thread-safe.
absl::Status CheckForm(const Pack& pack, Change* change);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_EVENT_FORM_H_
