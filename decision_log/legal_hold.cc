#include "decision_log/legal_hold.h"

#include <algorithm>

#include "decision_log/record.h"
#include "decision_log/record_text.h"
#include "enforcement/names.h"

namespace sluice {

absl::optional<std::vector<uint64_t>> HeldTerms(const Policy& policy, const Moment& now) {
  if (!policy.ready()) return absl::nullopt;
  std::vector<uint64_t> terms;
  const auto add = [&terms](LogTerm term, absl::string_view name) {
    if (!name.empty()) terms.push_back(TermHash(term, name));
  };
  for (const absl::string_view account : policy.HeldAccounts(now)) add(LogTerm::kAccount, account);
  for (const Rule* rule : policy.evidence()) {
    if (!rule->span.Holds(now)) continue;
    add(LogTerm::kAccount, rule->evidence.account);
    add(LogTerm::kBucket, rule->evidence.bucket);
    add(LogTerm::kHost, rule->evidence.host);
    const absl::optional<AddressBlock> address = ParseAddressBlock(rule->evidence.client_ip);
    if (address && address->single()) terms.push_back(TermHash(*address));
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

}  // namespace sluice
