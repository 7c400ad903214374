#include "decision_log/legal_hold.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "decision_log/record.h"
#include "decision_log/record_text.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

// Whether one of `wildcards` (".x") is what `host` ends with.
bool IsBelow(const std::set<std::string, std::less<>>& wildcards, absl::string_view host) {
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    if (wildcards.contains(host.substr(dot))) return true;
  }
  return false;
}

}  // namespace

absl::optional<std::vector<uint64_t>> HeldTerms(const PolicyIndex& index, const Moment& now,
                                                absl::FunctionRef<bool()> go_on) {
  std::vector<uint64_t> terms;
  const auto add = [&terms](LogTerm term, absl::string_view name) {
    if (!name.empty()) terms.push_back(TermHash(term, name));
  };
  std::set<std::string, std::less<>> wildcards;
  {
    const PolicyIndex::Guard policy = index.Read();
    if (!policy->ready()) return absl::nullopt;
    for (const absl::string_view account : policy->HeldAccounts(now)) add(LogTerm::kAccount, account);
    for (const Rule* rule : policy->evidence()) {
      if (!rule->span.Holds(now)) continue;
      add(LogTerm::kAccount, rule->evidence.account);
      add(LogTerm::kBucket, rule->evidence.bucket);
      add(LogTerm::kHost, rule->evidence.host);
      if (absl::StartsWith(rule->evidence.host, "*.")) wildcards.insert(rule->evidence.host.substr(1));
      const absl::optional<AddressBlock> address = ParseAddressBlock(rule->evidence.client_ip);
      if (address && address->single()) terms.push_back(TermHash(*address));
    }
  }
  if (!wildcards.empty()) {
    constexpr int kHostsAtOnce = 256;
    int hosts = 0;
    bool goes_on = true;
    index.ForEachHost([&](const std::string& host) {
      if (++hosts % kHostsAtOnce == 0) goes_on = goes_on && go_on();
      if (!goes_on || !IsBelow(wildcards, host)) return;
      add(LogTerm::kHost, host);
      const PolicyIndex::Guard policy = index.Read();
      if (const auto domain = policy->FindDomain(host, now.wall)) add(LogTerm::kAccount, domain->account);
    });
    if (!goes_on) return absl::nullopt;
  }
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

}  // namespace sluice
