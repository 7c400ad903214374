// Counts the rules that a store holds, from a snapshot: it holds up neither checks nor the writer.
#ifndef SLUICE_STORE_RULE_CENSUS_H_
#define SLUICE_STORE_RULE_CENSUS_H_

#include "absl/status/status.h"
#include "enforcement/census.h"
#include "enforcement/check.h"
#include "store/store.h"

namespace sluice {

// Fills flags, orders, holds, restrictions, limits and reviews_overdue of `*census`: of each entity what is in force at
// `now` or dated ahead, not what was replaced or has ended. Reads every rule: a microsecond each.
absl::Status CountRules(const Store& store, const Moment& now, Census* census);

}  // namespace sluice

#endif  // SLUICE_STORE_RULE_CENSUS_H_
