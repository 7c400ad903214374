// What a timeline says of moments that may not have come yet by the slowest clock. For lifecycle.cc alone.
#ifndef SLUICE_ENFORCEMENT_LIFECYCLE_DOUBT_H_
#define SLUICE_ENFORCEMENT_LIFECYCLE_DOUBT_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "enforcement/lifecycle.h"

namespace sluice {

// A segment that begins at a written time waits for it, and the segment before it says how the account stands until
// then. An event that arrives while that is still open would end the doubt, or leave it, by what it means in either
// case: to a freeze whose written end may not have come, `unfreeze` ends it for certain and `payment_pending` ends
// nothing. So for each of `arrivals` (the times of events that were not dated ahead, and of what was over when it was
// told, in order) what `if_slow` says is put before the standing: how the account stands by clocks that have come to
// `reached` only, just before each of `written` (the written times of the timeline, in order).
//
// Costs a life for each written time that events came after, which is none for most accounts.
Timeline WithDoubts(Timeline timeline, const std::vector<absl::Time>& written, const std::vector<absl::Time>& arrivals,
                    absl::FunctionRef<Timeline(absl::Time reached)> if_slow);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIFECYCLE_DOUBT_H_
