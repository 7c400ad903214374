// Which limits a request meets, and under which key each keeps count.
#ifndef SLUICE_ENFORCEMENT_LIMIT_CELLS_H_
#define SLUICE_ENFORCEMENT_LIMIT_CELLS_H_

#include <algorithm>
#include <array>

#include "absl/base/attributes.h"
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

// The cell of a limit that names nobody, for the subject of a request: `known` where nobody can make the subject up.
inline Hash128 CellOf(const LimitRule& limit, Hash128 subject, bool known) {
  const Hash128 cell = Mix(limit.cell, subject);
  return known ? Limiter::Known(cell) : Limiter::Anyones(cell);
}

// ForEachLimit, below, of one scope with more than one limit. `subjects.front()` is the request's own; the others are
// blocks and wildcards that cover it.
template <typename Visit>
ABSL_ATTRIBUTE_NOINLINE void ForEachOfManyLimits(const Policy& policy, LimitScope scope, bool known,
                                                 absl::Span<const Hash128> subjects, absl::Time now,
                                                 OperationSet operations, const Visit& visit) {
  struct Candidate {
    const LimitRule* limit;
    Hash128 cell, subject;
  };
  absl::InlinedVector<Candidate, 8> candidates;
  const auto consider = [&](const LimitRule* limit, Hash128 cell, Hash128 subject) {
    if (limit->scope == scope && (limit->operations & operations) != 0 && limit->InForce(now)) {
      candidates.push_back({limit, cell, subject});
    }
  };
  for (const LimitRule* limit : policy.DefaultLimits(scope)) {
    consider(limit, CellOf(*limit, subjects.front(), known), subjects.front());
  }
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
}

// Calls `visit(limit, cell, subject)` for every limit that a request with one of `operations` meets at `now`: for each
// scope and dimension those of the highest level; within it a named one beats the default; all that tie apply
// (domain.md, section 7, Limits). A limit on trial outranks none that is in force. `cell` counts rates and leases,
// `subject` what is held.
template <typename Visit>
void ForEachLimit(const Policy& policy, const Target& target, absl::Time now, OperationSet operations,
                  const Visit& visit) {
  using Subjects = absl::InlinedVector<Hash128, 4>;
  const auto visit_scope = [&](LimitScope scope, bool known, Hash128 subject, const auto& add_wider) {
    if (const LimitRule* only = policy.OnlyLimit(scope)) {  // nearly always
      if ((only->operations & operations) != 0 && only->InForce(now))
        visit(*only, CellOf(*only, subject, known), subject);
    } else if (policy.HasLimits(scope)) {
      Subjects subjects = {subject};
      add_wider(&subjects);
      ForEachOfManyLimits(policy, scope, known, subjects, now, operations, visit);
    }
  };
  const auto none_wider = [](Subjects*) {};
  if (!target.owner.empty()) visit_scope(LimitScope::kAccount, true, target.owner_hash, none_wider);
  if (!target.bucket.empty()) {
    visit_scope(LimitScope::kBucket, target.bucket_known, target.bucket_hash, none_wider);
    if (!target.key.empty()) visit_scope(LimitScope::kObject, false, target.object_hash, none_wider);
  }
  if (!target.host.empty()) {
    visit_scope(LimitScope::kDomain, false, target.host_hash, [&](Subjects* subjects) {
      if (!policy.HasHostsBelow()) return;
      for (size_t dot = target.host.find('.'); dot != absl::string_view::npos; dot = target.host.find('.', dot + 1)) {
        subjects->push_back(SubjectHash(SubjectKind::kHostsBelow, target.host.substr(dot + 1)));
      }
    });
  }
  if (target.address) {
    visit_scope(LimitScope::kClientIp, false, target.address_hash, [&](Subjects* subjects) {
      for (const uint8_t bits : policy.BlockBits(target.address->v4)) {
        subjects->push_back(SubjectHash(target.address->Widened(bits)));
      }
    });
  }
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LIMIT_CELLS_H_
