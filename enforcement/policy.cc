#include "enforcement/policy.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

// Removes `item` from a list in a map, and the list where it becomes empty.
template <typename Map, typename Key, typename Item>
void EraseFrom(Map* map, const Key& key, const Item& item) {
  const auto it = map->find(key);
  if (it == map->end()) return;
  it->second.erase(std::remove(it->second.begin(), it->second.end(), item), it->second.end());
  if (it->second.empty()) map->erase(it);
}

// The buckets that a limit needs at each check.
void CompileBuckets(const AbuseRule& abuse, LimitRule* limit) {
  if (limit->rate <= 0) return;
  limit->bucket = TokenBucket(limit->rate, std::max(limit->BurstOrDefault(), 1.0));
  limit->watched =
      limit->dimension == Dimension::kRequests && !limit->trial && abuse.scopes[static_cast<size_t>(limit->scope)];
  if (!limit->watched) return;
  // Of requests at `factor` times the rate all but the rate itself is refused: factor - 1 rates. Half the factor, less
  // that one, drains away; the other half, over the window, fills the bucket.
  const double half = abuse.factor / 2;
  const double seconds = absl::ToDoubleSeconds(abuse.window);
  limit->press = TokenBucket(std::max(half - 1, 0.01) * limit->rate, std::max(half * limit->rate * seconds, 1.0));
}

// Parameters that a timeline reads.
bool ShapesTimelines(absl::string_view name) {
  return name == "grace_days" || name == "retention_days" || name == "freeze.exempt" ||
         name == "retention.cumulative" || name == "holidays" || name == "holiday_extension";
}

}  // namespace

Policy::Policy(const Pack* pack, PolicyRecords* records)
    : pack_(pack),
      records_(records),
      parameters_(pack),
      accounts_(&records->accounts),
      buckets_(&records->buckets),
      domains_(&records->domains) {}
Policy::~Policy() = default;

void Policy::Put(const Entity& entity) {
  ready_ = true;
  if (!repeating_) records_->recheck_announced = true;
  switch (entity.key.kind) {
    case EntityKind::kAccount:
      return repeating_ ? void() : PutAccount(entity, BuildStanding(entity));
    case EntityKind::kBucket:
      return PutBucket(entity);
    case EntityKind::kDomain:
      return PutDomain(entity);
    case EntityKind::kPermits:
      return PutPermits(entity);
    case EntityKind::kRegistry:
      return PutRegistry(entity);
    case EntityKind::kFlag:
    case EntityKind::kOrder:
    case EntityKind::kHold:
    case EntityKind::kRestriction:
      return PutRules(entity);
    case EntityKind::kLimit:
      return PutLimit(entity);
    case EntityKind::kParameter:
      return PutParameter(entity);
    case EntityKind::kMaintenance:
      return PutMaintenance(entity);
    case EntityKind::kTerms:
      return PutTerms(entity);
    case EntityKind::kUsage:
      return;  // amounts live in the limiter
  }
}

void Policy::PutPermits(const Entity& entity) {
  Subject subject;
  subject.host = entity.key.id;
  const Hash128 key = KeyOf(subject).hash;
  const bool wildcard = absl::StartsWith(entity.key.id, "*.");
  const auto dots = static_cast<size_t>(std::count(entity.key.id.begin(), entity.key.id.end(), '.'));
  int64_t& count = permit_counts_[wildcard][dots % kDotsMax];
  count -= static_cast<int64_t>(permits_.erase(key));
  if (entity.events.empty()) return;
  ++count;
  HostPermits& permits = permits_[key];
  for (const StampedEvent& stamped : entity.events) {
    if (const auto* set = std::get_if<SetPermit>(&stamped.event.change)) {
      Permit permit;
      permit.status = set->status;
      if (const auto day = ParseDay(set->valid_through); day.ok()) permit.end = StartOfDay(*day + 1);
      auto* const found = const_cast<Dated<Permit>*>(permits.Find(set->kind));
      Dated<Permit>& dated =
          found != nullptr ? *found : permits.by_kind.emplace_back(set->kind, Dated<Permit>()).second;
      dated.SetFrom(BitesAt(stamped), permit, IsAhead(stamped));
    } else if (const auto* classify = std::get_if<ClassifyDomain>(&stamped.event.change)) {
      permits.required.SetFrom(BitesAt(stamped), classify->required_permits, IsAhead(stamped));
    }
  }
}

void Policy::PutRegistry(const Entity& entity) {
  registries_.erase(entity.key.id);
  for (const StampedEvent& stamped : entity.events) {
    absl::Time& read = registries_.try_emplace(entity.key.id, absl::InfinitePast()).first->second;
    read = std::max(read, *stamped.event.effective_at);
  }
}

void Policy::CountLimit(const LimitRule& limit, int by) {
  const auto scope = static_cast<size_t>(limit.scope);
  Limits& defaults = default_limits_[scope];
  if (limit.named) {
    named_limits_[scope] += by;
  } else if (by > 0) {
    defaults.push_back(&limit);
  } else {
    defaults.erase(std::remove(defaults.begin(), defaults.end(), &limit), defaults.end());
  }
  only_limits_[scope] = named_limits_[scope] == 0 && defaults.size() == 1 ? defaults.front() : nullptr;
}

bool Policy::SpeaksFirst::operator()(const Rule* a, const Rule* b) const {
  const auto place = [](const Rule* rule) {
    return std::make_tuple(rule->kind != EntityKind::kHold, absl::string_view(rule->id), rule);
  };
  return place(a) < place(b);
}

void Policy::DropEvidenceIn(const Rule& rule) {
  if (rule.evidence.bucket.empty()) return;
  const auto it = evidence_in_.find(SubjectHash(SubjectKind::kBucket, rule.evidence.bucket));
  if (it == evidence_in_.end()) return;
  it->second.erase(&rule);
  if (it->second.empty()) evidence_in_.erase(it);
}

void Policy::DropCompiled(const EntityKey& key) {
  const auto it = compiled_.find(key);
  if (it == compiled_.end()) return;
  for (const auto& rule : it->second.rules) {
    for (const SubjectKey& subject : rule->subjects) {
      EraseFrom(&by_subject_, subject.hash, rule.get());
      --rules_of_kind_[static_cast<size_t>(subject.kind)];
    }
    if (evidence_.erase(rule.get()) > 0) DropEvidenceIn(*rule);
    automatic_.erase(rule.get());
  }
  for (const auto& limit : it->second.limits) {
    if (limit->named) EraseFrom(&limits_by_subject_, it->second.limit_subject, limit.get());
    CountLimit(*limit, -1);
  }
  for (const Subject& subject : it->second.gated) Gate(subject, -1);
  compiled_flags_ -= key.kind == EntityKind::kFlag;
  compiled_.erase(it);
}

bool Policy::StaysInStore(const CompiledRules& compiled) const {
  if (records_->flags == nullptr) return false;
  return std::all_of(compiled.rules.begin(), compiled.rules.end(), [](const auto& rule) {
    return !rule->keeps_evidence() && rule->exceptions.empty() &&
           std::all_of(rule->subjects.begin(), rule->subjects.end(),
                       [](const SubjectKey& subject) { return IsFiltered(subject.kind); });
  });
}

void Policy::PutRules(const Entity& entity) {
  DropCompiled(entity.key);
  if (entity.events.empty()) return;
  CompiledRules made = CompileRules(entity, pack_);
  if (entity.key.kind == EntityKind::kFlag && StaysInStore(made)) {
    if (repeating_) return;
    for (const auto& rule : made.rules) {
      for (const SubjectKey& subject : rule->subjects) records_->flag_filter.Add(subject.hash);
    }
    return;
  }
  Compiled& compiled = compiled_[entity.key];
  compiled_flags_ += entity.key.kind == EntityKind::kFlag;
  compiled.rules = std::move(made.rules);
  compiled.gated = std::move(made.subjects);
  for (const auto& rule : compiled.rules) {
    for (const SubjectKey& subject : rule->subjects) {
      ++rules_of_kind_[static_cast<size_t>(subject.kind)];
      Rules& rules = by_subject_[subject.hash];
      if (std::find(rules.begin(), rules.end(), rule.get()) == rules.end()) rules.push_back(rule.get());
    }
    if (rule->keeps_evidence()) {
      evidence_.insert(rule.get());
      const std::string& bucket = rule->evidence.bucket;
      if (!bucket.empty()) evidence_in_[SubjectHash(SubjectKind::kBucket, bucket)].insert(rule.get());
    }
    if (rule->automatic) automatic_.insert(rule.get());
  }
  for (const Subject& subject : compiled.gated) Gate(subject, 1);
}

void Policy::PutLimit(const Entity& entity) {
  DropCompiled(entity.key);
  if (entity.events.empty()) return;
  Compiled& compiled = compiled_[entity.key];
  const std::string born = absl::StrCat(entity.events.front().revision);
  for (const StampedEvent& stamped : entity.events) {
    const absl::Time at = BitesAt(stamped);
    CutAt(at, &compiled.limits, [](LimitRule* piece) { return std::make_pair(&piece->from, &piece->to); });
    const auto* set = std::get_if<SetLimit>(&stamped.event.change);
    if (set == nullptr) continue;
    auto limit = std::make_unique<LimitRule>();
    limit->id = set->limit_id;
    limit->level = set->level;
    limit->scope = set->scope;
    limit->dimension = set->dimension;
    limit->operations = SetOf(set->operations);
    limit->rate = set->rate;
    limit->burst = set->burst;
    limit->shape = set->shape;
    limit->sharing = set->sharing;
    limit->from = std::max(at, set->from.value_or(absl::InfinitePast()));
    limit->to = set->to.value_or(absl::InfiniteFuture());
    limit->named = !set->subject.empty();
    limit->set_by = stamped.event.role;
    // Replaced under its id a limit keeps what is spent; cleared and set anew it starts full: the first event tells.
    limit->cell = Limiter::Known(SubjectHash(SubjectKind::kNone, "limit", set->limit_id, born));
    limit->trial = set->trial;
    CompileBuckets(pack_->abuse, limit.get());
    if (limit->named) {
      limit->subject = set->subject;
      compiled.limit_subject = KeyOf(set->subject).hash;
      compiled.gated.assign(1, set->subject);
    }
    compiled.limits.push_back(std::move(limit));
  }
  for (const auto& limit : compiled.limits) {
    if (limit->named) limits_by_subject_[compiled.limit_subject].push_back(limit.get());
    CountLimit(*limit, 1);
  }
  for (const Subject& subject : compiled.gated) Gate(subject, 1);
}

void Policy::Gate(const Subject& subject, int by) {
  if (!subject.prefix.empty()) {
    const Hash128 bucket = SubjectHash(SubjectKind::kBucket, subject.bucket);
    if ((prefix_buckets_[bucket] += by) == 0) prefix_buckets_.erase(bucket);
  } else if (absl::StartsWith(subject.host, "*.")) {
    hosts_below_ += by;
  } else if (!subject.client_ip.empty()) {
    const absl::optional<AddressBlock> block = ParseAddressBlock(subject.client_ip);
    if (!block || block->single()) return;
    (block->v4 ? v4_counts_[block->bits] : v6_counts_[block->bits]) += by;
    std::vector<uint8_t>& bits = block->v4 ? block_bits_v4_ : block_bits_v6_;
    bits.clear();
    for (int n = block->v4 ? 32 : 128; n >= 0; --n) {  // longest first
      if ((block->v4 ? v4_counts_[n] : v6_counts_[n]) > 0) bits.push_back(static_cast<uint8_t>(n));
    }
  }
}

void Policy::PutParameter(const Entity& entity) {
  const std::vector<std::string> names = absl::StrSplit(entity.key.id, '\0');
  const std::string& name = names.front();
  const std::string account = names.size() > 1 ? names[1] : "";
  std::vector<ParameterValue> values;
  for (const StampedEvent& stamped : entity.events) {
    const auto* set = std::get_if<SetParameter>(&stamped.event.change);
    if (set == nullptr) continue;
    values.push_back({set->level, set->value, set->from.value_or(*stamped.event.effective_at),
                      set->to.value_or(absl::InfiniteFuture()), stamped.arrived_at, stamped.revision});
  }
  parameters_.Put(name, account, std::move(values));
  if (ShapesTimelines(name) && !repeating_) RebuildTimelines(account);
}

void Policy::PutMaintenance(const Entity& entity) {
  maintenance_.erase(entity.key.id);
  const std::vector<Span> spans = MaintenanceSpans(entity.events);
  for (size_t i = 0; i < spans.size(); ++i) {
    const auto* set = std::get_if<SetMaintenance>(&entity.events[i].event.change);
    if (set != nullptr) maintenance_[entity.key.id].push_back({SetOf(set->operations), spans[i]});
  }
}

void Policy::PutTerms(const Entity& entity) {
  terms_.Clear();
  for (const StampedEvent& stamped : entity.events) {
    if (const auto* terms = std::get_if<AnnounceTerms>(&stamped.event.change)) {
      terms_.SetFrom(BitesAt(stamped), terms->effective.value_or(absl::InfinitePast()));
    }
  }
}

}  // namespace sluice
