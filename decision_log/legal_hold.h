// What of the log must not go while the law may ask for it.
#ifndef SLUICE_DECISION_LOG_LEGAL_HOLD_H_
#define SLUICE_DECISION_LOG_LEGAL_HOLD_H_

#include <cstdint>
#include <vector>

#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/policy.h"

namespace sluice {

// The terms of every account, bucket, host and address that a hold or a CRITICAL flag in force at `now` keeps evidence
// of, and of the accounts that own them. nullopt where `policy` is not ready: a store that is empty, or not imported
// yet, says nothing of what is held.
absl::optional<std::vector<uint64_t>> HeldTerms(const Policy& policy, const Moment& now);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LEGAL_HOLD_H_
