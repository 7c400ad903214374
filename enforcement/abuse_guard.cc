#include "enforcement/abuse_guard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "enforcement/limit_cells.h"

namespace sluice {
namespace {

bool IsSandboxed(const Policy& policy, const Subject& subject, Moment now) {
  bool sandboxed = false;
  ReadRules read;
  const SubjectKey key = KeyOf(subject);
  policy.ForEachRule(key.kind, key.hash, &read,
                     [&](const Rule& rule) { sandboxed |= rule.automatic && rule.span.Holds(now); });
  return sandboxed;
}

}  // namespace

AbuseGuard::AbuseGuard(const Pack& pack, const Limiter* limiter)
    : rule_(pack.abuse),
      role_(pack.RolesFor(Restrict()).empty() ? Role::kUnspecified : pack.RolesFor(Restrict()).front()),
      limiter_(limiter) {}

void AbuseGuard::OnPressing(const LimitRule& limit, const Subject& subject, Moment now) {
  if (!mutex_.TryLock()) return;
  if (waiting_.size() < kWaitingMax) waiting_.push_back({subject, limit.id, limit.rate});
  mutex_.Unlock();
}

PolicyEvent AbuseGuard::Sandbox(const Pressing& pressing, Moment now) {
  PolicyEvent event;
  event.source = std::string(kSource);
  event.role = role_;
  event.note = absl::StrCat("pressed on at ", rule_.factor, " times limit ", pressing.limit_id, " of ", pressing.rate,
                            " a second");
  Restrict restriction;
  restriction.restriction_id = absl::StrCat("auto-", absl::ToUnixMillis(now.wall), "-", ++given_);
  restriction.subject = pressing.subject;
  restriction.kind = RestrictionKind::kSandbox;
  restriction.clause = rule_.clause;
  restriction.requests_per_second = pressing.rate * rule_.sandbox_share;
  restriction.automatic = true;
  event.change = std::move(restriction);
  return event;
}

PolicyEvent AbuseGuard::Release(absl::string_view id) const {
  PolicyEvent event;
  event.source = std::string(kSource);
  event.role = role_;
  event.note = "its requests have stayed within the limit";
  event.change = Unrestrict{std::string(id)};
  return event;
}

std::vector<PolicyEvent> AbuseGuard::Due(const Policy& policy, Moment now) {
  std::vector<Pressing> pressing;
  {
    absl::MutexLock lock(&mutex_);
    pressing.swap(waiting_);
  }
  std::vector<PolicyEvent> events;
  if (role_ == Role::kUnspecified) return events;
  absl::flat_hash_set<Hash128> sandboxed;
  for (const Pressing& each : pressing) {
    // A request may name what no event can, such as a bucket with a NUL byte: its limit alone meets that.
    if (!CanonicalSubject(each.subject).ok()) continue;
    if (IsSandboxed(policy, each.subject, now) || !sandboxed.insert(KeyOf(each.subject).hash).second) continue;
    events.push_back(Sandbox(each, now));
  }

  absl::flat_hash_map<std::string, MonotonicTime> known_since;
  for (const Rule* rule : policy.automatic()) {
    const auto known = known_since_.find(rule->id);
    const MonotonicTime since = known == known_since_.end() ? now.mono : known->second;
    known_since[rule->id] = since;
    const bool calm = !limiter_->IsSpending(PressingCell(rule->cell), now.mono) &&
                      now.mono.ns - since.ns >= absl::ToInt64Nanoseconds(rule_.release_after);
    if (calm && rule->span.Holds(now)) events.push_back(Release(rule->id));
  }
  known_since_ = std::move(known_since);
  return events;
}

}  // namespace sluice
