// 3.1.3.1: what may be served under a domain on the mainland, and the provider's own test domains.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/judge.h"

namespace sluice {
namespace {

constexpr absl::string_view kMainland = "cn";

// The records of `host`, then of each name above it, nearest first.
absl::InlinedVector<const HostPermits*, 4> RecordsUpwards(const Policy& policy, absl::string_view host,
                                                          Hash128 host_hash) {
  absl::InlinedVector<const HostPermits*, 4> records;
  const auto add = [&](Hash128 name) {
    if (const HostPermits* permits = policy.FindPermits(name)) records.push_back(permits);
  };
  auto dots = static_cast<size_t>(std::count(host.begin(), host.end(), '.'));
  if (policy.HasPermits(dots, /*wildcard=*/false)) add(host_hash);
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    const absl::string_view above = host.substr(dot + 1);
    // "*.x" has as many dots as the name that it is above.
    if (policy.HasPermits(dots, /*wildcard=*/true)) add(SubjectHash(SubjectKind::kHostsBelow, above));
    if (policy.HasPermits(--dots, /*wildcard=*/false)) add(SubjectHash(SubjectKind::kHost, above));
  }
  return records;
}

bool IsIcp(absl::string_view kind) { return kind == "icp-filing" || kind == "icp-licence"; }

}  // namespace

Judge::Standing Judge::PermitStanding(const PermitRecords& records, absl::string_view kind) const {
  // The nearest record counts, whatever it says. While a record written ahead may not have begun yet, what stood before
  // it counts too, and the worse of the two holds.
  Standing worst = Standing::kValid;
  for (const HostPermits* record : records) {
    const Dated<Permit>* dated = record->Find(kind);
    if (dated == nullptr) continue;
    bool recorded = true;
    dated->ForEachPossible(now_, [&](const Permit* permit) {
      if (permit == nullptr) {
        recorded = false;
        return;
      }
      Standing standing = Standing::kInvalid;
      if (now_.wall < permit->end) {
        if (permit->status == PermitStatus::kValid) standing = Standing::kValid;
        if (permit->status == PermitStatus::kOutdated) standing = Standing::kOutdated;
      }
      worst = std::min(worst, standing);
    });
    if (recorded) return worst;
  }
  return Standing::kInvalid;
}

void Judge::NoteRegistry(absl::string_view registry, absl::string_view account) {
  const absl::Time* read = policy_.FindRegistry(registry);
  if (read == nullptr) return;  // one that never synced is not missed
  absl::Duration silence;
  // Checked when it was set.
  absl::ParseDuration(std::string(policy_.parameters().ValueAt("registry.silence", account, now_.wall)), &silence);
  if (now_.wall - *read > silence) Add(Reason::kPermitUnverified, Effect::kWarn);
}

void Judge::JudgePermits() {
  if (input_.bucket_of_host && target_.bucket.empty()) {
    Add(Reason::kDomainUnknown, Effect::kDeny);
    return;
  }
  if (judged_ != Operation::kPublicRead && judged_ != Operation::kFetch) return;
  if (target_.host.empty() || region_ != kMainland) return;
  const Domain* domain = target_.domain;
  if (domain != nullptr && domain->geo == Geo::kForeign) return;
  if (domain == nullptr || domain->account.empty()) {
    Add(Reason::kDomainUnknown, Effect::kDeny);
    return;
  }
  if (policy_.parameters().ValueAt("permit.check", domain->account, now_.wall) != "on") return;

  const PermitRecords records = RecordsUpwards(policy_, target_.host, target_.host_hash);
  // Of the two icp permits one that is valid is enough.
  Standing worst = PermitStanding(records, "icp-filing");
  if (worst != Standing::kValid) worst = std::max(worst, PermitStanding(records, "icp-licence"));
  NoteRegistry("icp", domain->account);
  for (const HostPermits* record : records) {
    bool classified = true;
    record->required.ForEachPossible(now_, [&](const std::vector<std::string>* required) {
      if (required == nullptr) {
        classified = false;
        return;
      }
      for (const std::string& kind : *required) {
        // Asked for by name: one icp permit does not make good the other.
        worst = std::min(worst, PermitStanding(records, kind));
        if (!IsIcp(kind)) NoteRegistry(kind, domain->account);
      }
    });
    if (classified) break;
  }
  if (worst == Standing::kInvalid) Add(Reason::kPermitInvalid, Effect::kDeny);
  if (worst == Standing::kOutdated) Add(Reason::kPermitOutdated, Effect::kWarn);
}

void Judge::JudgeTestDomain() {
  if (judged_ != Operation::kPublicRead && judged_ != Operation::kFetch) return;
  const Domain* domain = target_.domain;
  if (domain == nullptr || !domain->test) return;
  const absl::Time end = policy_.parameters().Deadline("test_domain.days", domain->account, domain->test_since,
                                                       domain->test_since, now_.wall);
  if (now_.wall >= end) Add(Reason::kPermitInvalid, Effect::kDeny, pack_.test_domain_clause);
}

}  // namespace sluice
