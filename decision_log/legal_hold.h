// What of the log must not go while the law may ask for it.
#ifndef SLUICE_DECISION_LOG_LEGAL_HOLD_H_
#define SLUICE_DECISION_LOG_LEGAL_HOLD_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/policy_index.h"

namespace sluice {

// The terms of every account, bucket, host and address that a hold or a CRITICAL flag in force at `now` keeps evidence
// of, of the hosts below it where it is on "*.x", and of the accounts that own them. nullopt where there is no policy
// yet: a store that is empty, or not imported, says nothing of what is held.
//
// Thread-safe. Where something is held by "*.x" it takes a walk through all hosts, for which the policy's writer does
// not wait; it calls `go_on` meanwhile, and gives nullopt once that is false.
absl::optional<std::vector<uint64_t>> HeldTerms(const PolicyIndex& index, const Moment& now,
                                                absl::FunctionRef<bool()> go_on);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LEGAL_HOLD_H_
