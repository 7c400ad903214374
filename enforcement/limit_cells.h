// Which limits a request meets, and under which key each keeps count.
#ifndef SLUICE_ENFORCEMENT_LIMIT_CELLS_H_
#define SLUICE_ENFORCEMENT_LIMIT_CELLS_H_

#include <algorithm>
#include <array>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "enforcement/limiter.h"
#include "enforcement/names.h"
#include "enforcement/policy.h"
#include "enforcement/target.h"

namespace sluice {

// One key of two: the parts are uniform, so a multiplication by an odd number and an exclusive or keep it so.
inline Hash128 Mix(Hash128 a, Hash128 b) {
  return {a.low ^ (b.low * 0x9E3779B97F4A7C15u + 1), a.high ^ (b.high * 0xC2B2AE3D27D4EB4Fu + 1)};
}

// A cell of its own beside `cell`, in the same table.
inline Hash128 CellBeside(Hash128 cell, uint64_t which) {
  const Hash128 beside = Mix(cell, {which, which});
  return cell.high & 1 ? Limiter::Known(beside) : Limiter::Anyones(beside);
}
// Of a limit: the requests that it refused. Of a node's own sandbox: when somebody last pressed on.
inline Hash128 PressingCell(Hash128 cell) { return CellBeside(cell, 1); }

// Where an amount of `dimension` that `subject` holds is counted.
inline Hash128 HeldKey(Hash128 subject, Dimension dimension) {
  return Mix(subject, {static_cast<uint64_t>(dimension), 0});
}

// Calls `visit(limit, cell, subject)` for every limit that a request with one of `operations` meets at `now`: for each
// scope and dimension those of the highest level; within it a named one beats the default; all that tie apply
// (domain.md, section 7, Limits). A limit on trial outranks none that is in force. `cell` counts rates and leases,
// `subject` what is held.
template <typename Visit>
void ForEachLimit(const Policy& policy, const Target& target, absl::Time now, OperationSet operations,
                  const Visit& visit) {
  struct Candidate {
    const LimitRule* limit;
    Hash128 cell, subject;
  };
  // subjects.front() is the request's own, `known` where nobody can make it up; the others are blocks and wildcards
  // that cover it.
  const auto visit_scope = [&](LimitScope scope, bool known, absl::Span<const Hash128> subjects) {
    const auto default_cell = [&](const LimitRule& limit) {
      const Hash128 cell = Mix(limit.cell, subjects.front());
      return known ? Limiter::Known(cell) : Limiter::Anyones(cell);
    };
    const Policy::Limits& defaults = policy.DefaultLimits(scope);
    if (defaults.size() == 1 && !policy.HasNamedLimits(scope)) {  // nothing that could beat it: nearly always
      const LimitRule& only = *defaults.front();
      if ((only.operations & operations) != 0 && only.InForce(now)) visit(only, default_cell(only), subjects.front());
      return;
    }
    absl::InlinedVector<Candidate, 8> candidates;
    const auto consider = [&](const LimitRule* limit, Hash128 cell, Hash128 subject) {
      if (limit->scope == scope && (limit->operations & operations) != 0 && limit->InForce(now)) {
        candidates.push_back({limit, cell, subject});
      }
    };
    for (const LimitRule* limit : defaults) consider(limit, default_cell(*limit), subjects.front());
    for (const Hash128 subject : subjects) {
      const Policy::Limits* named = policy.FindLimits(subject);
      if (named == nullptr) continue;
      for (const LimitRule* limit : *named) consider(limit, limit->cell, subject);
    }
    const auto rank = [](const LimitRule& limit) { return 2 * static_cast<int>(limit.level) + limit.named; };
    for (const Candidate& each : candidates) {
      const bool beaten = std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& other) {
        return other.limit->dimension == each.limit->dimension && rank(*other.limit) > rank(*each.limit) &&
               (!other.limit->trial || each.limit->trial);
      });
      if (!beaten) visit(*each.limit, each.cell, each.subject);
    }
  };
  if (!target.owner.empty() && policy.HasLimits(LimitScope::kAccount)) {
    visit_scope(LimitScope::kAccount, true, {&target.owner_hash, 1});
  }
  if (!target.bucket.empty() && policy.HasLimits(LimitScope::kBucket)) {
    visit_scope(LimitScope::kBucket, target.bucket_known, {&target.bucket_hash, 1});
  }
  if (!target.bucket.empty() && !target.key.empty() && policy.HasLimits(LimitScope::kObject)) {
    visit_scope(LimitScope::kObject, false, {&target.object_hash, 1});
  }
  if (!target.host.empty() && policy.HasLimits(LimitScope::kDomain)) {
    absl::InlinedVector<Hash128, 4> subjects = {target.host_hash};
    if (policy.HasHostsBelow()) {
      for (size_t dot = target.host.find('.'); dot != absl::string_view::npos; dot = target.host.find('.', dot + 1)) {
        subjects.push_back(SubjectHash(SubjectKind::kHostsBelow, target.host.substr(dot + 1)));
      }
    }
    visit_scope(LimitScope::kDomain, false, subjects);
  }
  if (target.address && policy.HasLimits(LimitScope::kClientIp)) {
    absl::InlinedVector<Hash128, 4> subjects = {target.address_hash};
    for (const uint8_t bits : policy.BlockBits(target.address->v4)) {
      subjects.push_back(SubjectHash(target.address->Widened(bits)));
    }
    visit_scope(LimitScope::kClientIp, false, subjects);
  }
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIMIT_CELLS_H_
