#include "enforcement/policy.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

// Rules bite on arrival, or at their written time where that is later; what is past acts now (domain.md, section 7).
absl::Time BitesAt(const StampedEvent& event) { return std::max(*event.event.effective_at, event.arrived_at); }
bool IsAhead(const StampedEvent& event) { return *event.event.effective_at > event.arrived_at; }

// Ends the newest of `pieces` at `t`, and drops those that were to begin later: a later event cuts off earlier ones.
template <typename Piece, typename Until>
void CutAt(absl::Time t, std::vector<std::unique_ptr<Piece>>* pieces, const Until& from_until) {
  while (!pieces->empty()) {
    auto [from, until] = from_until(pieces->back().get());
    if (*from < t) {
      *until = std::min(*until, t);
      return;
    }
    pieces->pop_back();
  }
}

// Removes `item` from a list in a map, and the list where it becomes empty.
template <typename Map, typename Key, typename Item>
void EraseFrom(Map* map, const Key& key, const Item& item) {
  const auto it = map->find(key);
  if (it == map->end()) return;
  it->second.erase(std::remove(it->second.begin(), it->second.end(), item), it->second.end());
  if (it->second.empty()) map->erase(it);
}

// What a rule's events make of it, newest last.
class RuleCompiler {
 public:
  RuleCompiler(const Entity& entity, const Pack& pack) : entity_(entity), pack_(pack) {}

  void Compile(std::vector<std::unique_ptr<Rule>>* rules, std::vector<Subject>* gated) {
    for (const StampedEvent& stamped : entity_.events) {
      const absl::Time at = BitesAt(stamped);
      if (const auto* exception = std::get_if<GrantException>(&stamped.event.change)) {
        exceptions_.push_back({KeyOf(exception->subject), at, IsAhead(stamped)});
        gated->push_back(exception->subject);
        continue;
      }
      CutAt(at, rules, [](Rule* piece) { return std::make_pair(&piece->span.from, &piece->span.until); });
      auto rule = std::make_unique<Rule>();
      rule->kind = entity_.key.kind;
      rule->id = entity_.key.id;
      rule->set_by = stamped.event.role;
      rule->span.from = at;
      const std::vector<Subject> subjects =
          std::visit([&](const auto& change) { return Fill(change, rule.get()); }, stamped.event.change);
      if (subjects.empty()) continue;  // cleared, lifted, released
      for (const Subject& subject : subjects) {
        rule->subjects.push_back(KeyOf(subject));
        gated->push_back(subject);
      }
      if (rule->keeps_evidence()) rule->evidence = subjects.front();
      rules->push_back(std::move(rule));
    }
    for (const auto& rule : *rules) rule->exceptions = exceptions_;
  }

 private:
  template <typename Other>
  std::vector<Subject> Fill(const Other&, Rule*) {
    return {};
  }
  std::vector<Subject> Fill(const RaiseFlag& flag, Rule* rule) {
    rule->category = pack_.FindCategory(flag.category);
    rule->severity = flag.severity;
    if (flag.severity == Severity::kUnspecified && rule->category != nullptr) {
      rule->severity = rule->category->default_severity;
    }
    rule->clause = flag.category;
    rule->trial = flag.trial;
    rule->span.until = flag.expires_at.value_or(absl::InfiniteFuture());
    return {flag.subject};
  }
  std::vector<Subject> Fill(const IssueOrder& order, Rule* rule) {
    rule->operations = SetOf(order.operations);
    rule->regions = order.regions;
    rule->span.until = order.expires_at.value_or(absl::InfiniteFuture());
    return order.subjects;
  }
  std::vector<Subject> Fill(const PlaceHold& hold, Rule*) { return {hold.subject}; }
  std::vector<Subject> Fill(const Restrict& restriction, Rule* rule) {
    rule->restriction = restriction.kind;
    rule->clause = restriction.clause;
    rule->victim = restriction.victim;
    rule->span.until = restriction.expires_at.value_or(absl::InfiniteFuture());
    rule->rate = restriction.requests_per_second;
    if (rule->rate > 0) rule->bucket = TokenBucket(rule->rate, std::max(rule->rate, 1.0));
    // Replaced under its id a sandbox keeps its tokens; lifted and set anew it starts full: the first event tells.
    rule->cell = Limiter::Known(
        SubjectHash(SubjectKind::kNone, "sandbox", entity_.key.id, absl::StrCat(entity_.events.front().revision)));
    rule->trial = restriction.trial;
    rule->automatic = restriction.automatic && restriction.kind == RestrictionKind::kSandbox && rule->rate > 0;
    if (rule->automatic) {
      const double limit = rule->rate / pack_.abuse.sandbox_share;
      rule->calm_below = TokenBucket(limit, std::max(limit, 1.0));
      rule->calm_after = TokenBucket(1 / absl::ToDoubleSeconds(pack_.abuse.release_after), 1);
    }
    return {restriction.subject};
  }

  const Entity& entity_;
  const Pack& pack_;
  std::vector<Exception> exceptions_;
};

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

bool Rule::KeepsNow(const Moment& now) const {
  if (!keeps_evidence() || !span.Holds(now)) return false;
  return std::none_of(exceptions.begin(), exceptions.end(), [&](const Exception& exception) {
    return exception.subject.hash == subjects.front().hash && exception.Holds(now);
  });
}

OperationSet SetOf(const std::vector<Operation>& operations) {
  OperationSet set = 0;
  if (operations.empty()) {
    for (int i = 0; i < kOperationCount; ++i) {
      const auto operation = static_cast<Operation>(i);
      if (operation != Operation::kManageRead && operation != Operation::kPay) set |= Bit(operation);
    }
    return set;
  }
  for (const Operation named : operations) {
    for (int i = 0; i < kOperationCount; ++i) {
      const auto operation = static_cast<Operation>(i);
      if (operation == named || JudgedAs(operation) == named) set |= Bit(operation);
    }
  }
  return set;
}

Policy::Policy(const Pack* pack) : pack_(pack), parameters_(pack) {}
Policy::~Policy() = default;

void Policy::Put(const Entity& entity) {
  ready_ = recheck_announced_ = true;
  switch (entity.key.kind) {
    case EntityKind::kAccount:
      return PutAccount(entity);
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

void Policy::PutAccount(const Entity& entity) {
  if (entity.events.empty()) {
    accounts_.erase(entity.key.id);
  } else {
    Account& account = accounts_[entity.key.id];
    account.facts = entity.events;
    Rebuild(entity.key.id, &account);
  }
  TrackDue(entity.key.id);
}

void Policy::Rebuild(absl::string_view name, Account* account) {
  account->timeline = BuildTimeline(account->facts, name, parameters_, *pack_);
}

void Policy::TrackDue(absl::string_view name) {
  if (const auto it = due_of_.find(name); it != due_of_.end()) {
    due_.erase({it->second, it->first});
    due_of_.erase(it);
  }
  const Account* account = FindAccount(name);
  if (account == nullptr || account->timeline.segments.empty() || IsAnnounced(name)) return;
  const Segment& last = account->timeline.segments.back();
  if (last.state != AccountState::kReclaimable || !last.announce_at) return;
  due_.emplace(*last.announce_at, std::string(name));
  due_of_[name] = *last.announce_at;
}

void Policy::PutBucket(const Entity& entity) {
  buckets_.erase(entity.key.id);
  for (const StampedEvent& stamped : entity.events) {
    if (const auto* bind = std::get_if<BindBucket>(&stamped.event.change)) {
      buckets_[entity.key.id].SetFrom(BitesAt(stamped), Bucket{bind->account, bind->region});
    }
  }
}

void Policy::PutDomain(const Entity& entity) {
  domains_.erase(entity.key.id);
  Domain last;
  for (const StampedEvent& stamped : entity.events) {
    Domain domain;
    if (const auto* bind = std::get_if<BindDomain>(&stamped.event.change)) {
      domain = {true, bind->account, bind->bucket, bind->geo, bind->provider_test_domain, *stamped.event.effective_at};
      if (domain.test && last.test) domain.test_since = last.test_since;
    }
    domains_[entity.key.id].SetFrom(BitesAt(stamped), domain);
    last = domain;
  }
}

void Policy::PutPermits(const Entity& entity) {
  permits_.erase(entity.key.id);
  for (const StampedEvent& stamped : entity.events) {
    HostPermits& permits = permits_[entity.key.id];
    if (const auto* set = std::get_if<SetPermit>(&stamped.event.change)) {
      Permit permit;
      permit.status = set->status;
      if (const auto day = ParseDay(set->valid_through); day.ok()) permit.end = StartOfDay(*day + 1);
      permits.by_kind[set->kind].SetFrom(BitesAt(stamped), permit, IsAhead(stamped));
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

void Policy::DropCompiled(const EntityKey& key) {
  const auto it = compiled_.find(key);
  if (it == compiled_.end()) return;
  for (const auto& rule : it->second.rules) {
    for (const SubjectKey& subject : rule->subjects) EraseFrom(&by_subject_, subject.hash, rule.get());
    evidence_.erase(rule.get());
    automatic_.erase(rule.get());
  }
  for (const auto& limit : it->second.limits) {
    if (limit->named) {
      EraseFrom(&limits_by_subject_, it->second.limit_subject, limit.get());
      --named_limits_[static_cast<size_t>(limit->scope)];
    } else {
      Limits& defaults = default_limits_[static_cast<size_t>(limit->scope)];
      defaults.erase(std::remove(defaults.begin(), defaults.end(), limit.get()), defaults.end());
    }
  }
  for (const Subject& subject : it->second.gated) Gate(subject, -1);
  compiled_.erase(it);
}

void Policy::PutRules(const Entity& entity) {
  DropCompiled(entity.key);
  if (entity.events.empty()) return;
  Compiled& compiled = compiled_[entity.key];
  RuleCompiler(entity, *pack_).Compile(&compiled.rules, &compiled.gated);
  for (const auto& rule : compiled.rules) {
    for (const SubjectKey& subject : rule->subjects) {
      Rules& rules = by_subject_[subject.hash];
      if (std::find(rules.begin(), rules.end(), rule.get()) == rules.end()) rules.push_back(rule.get());
    }
    if (rule->keeps_evidence()) evidence_.insert(rule.get());
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
    if (limit->named) {
      limits_by_subject_[compiled.limit_subject].push_back(limit.get());
      ++named_limits_[static_cast<size_t>(limit->scope)];
    } else {
      default_limits_[static_cast<size_t>(limit->scope)].push_back(limit.get());
    }
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
  if (!ShapesTimelines(name)) return;
  if (!account.empty()) {
    if (const auto it = accounts_.find(account); it != accounts_.end()) {
      Rebuild(account, &it->second);
      TrackDue(account);
    }
    return;
  }
  for (auto& [id, each] : accounts_) {
    // Opened and paid: no clock that a parameter could move.
    if (each.facts.size() <= 2 && each.timeline.segments.back().state == AccountState::kActive) continue;
    Rebuild(id, &each);
    TrackDue(id);
  }
}

void Policy::PutMaintenance(const Entity& entity) {
  maintenance_.erase(entity.key.id);
  for (const StampedEvent& stamped : entity.events) {
    const auto* set = std::get_if<SetMaintenance>(&stamped.event.change);
    if (set == nullptr) continue;
    Span span;
    span.from = std::max(BitesAt(stamped), set->from.value_or(absl::InfinitePast()));
    span.until = set->to.value_or(absl::InfiniteFuture());
    maintenance_[entity.key.id].push_back({SetOf(set->operations), span});
  }
}

void Policy::PutTerms(const Entity& entity) {
  terms_ = {};
  for (const StampedEvent& stamped : entity.events) {
    if (const auto* terms = std::get_if<AnnounceTerms>(&stamped.event.change)) {
      terms_.SetFrom(BitesAt(stamped), terms->effective.value_or(absl::InfinitePast()));
    }
  }
}

void Policy::Note(const Announcement& announcement) {
  const std::string& account = announcement.subject.account;
  if (announcement.kind == AnnouncementKind::kReclaimable) {
    announced_[account] = announcement.at;
  } else if (announcement.kind == AnnouncementKind::kReclaimCancelled) {
    announced_.erase(account);
  } else {
    return;
  }
  TrackDue(account);
}

absl::flat_hash_set<absl::string_view> Policy::HeldAccounts(const Moment& now) const {
  absl::flat_hash_set<absl::string_view> held;
  for (const Rule* rule : evidence_) {
    if (!rule->KeepsNow(now)) continue;
    const Subject& subject = rule->evidence;
    if (!subject.account.empty()) {
      held.insert(subject.account);
    } else if (!subject.bucket.empty()) {
      if (const Bucket* bucket = FindBucket(subject.bucket, now.wall)) held.insert(bucket->account);
    } else if (!subject.host.empty()) {
      if (const Domain* domain = FindDomain(subject.host, now.wall)) held.insert(domain->account);
      if (!absl::StartsWith(subject.host, "*.")) continue;
      // Hosts are looked up from below upwards; who is bound below a wildcard takes a walk, and such holds are rare.
      for (const auto& [host, bindings] : domains_) {
        const Domain* domain = absl::EndsWith(host, subject.host.substr(1)) ? bindings.At(now.wall) : nullptr;
        if (domain != nullptr && domain->bound) held.insert(domain->account);
      }
    }
  }
  return held;
}

std::vector<Announcement> Policy::DueAnnouncements(const Moment& now) {
  std::vector<Announcement> due;
  const bool some_due = !due_.empty() && due_.begin()->first <= now.wall && now.clock_error.has_value();
  const bool recheck = !announced_.empty() && (recheck_announced_ || !evidence_.empty());
  recheck_announced_ = false;
  if (!some_due && !recheck) return due;
  const absl::flat_hash_set<absl::string_view> held = HeldAccounts(now);
  const auto announce = [&](AnnouncementKind kind, absl::string_view name, const Segment& segment, std::string detail) {
    Announcement announcement;
    announcement.kind = kind;
    announcement.subject.account = std::string(name);
    announcement.at = now.wall;
    announcement.clause = pack_->causes[static_cast<size_t>(segment.cause)].clause;
    announcement.detail = std::move(detail);
    due.push_back(std::move(announcement));
  };
  if (recheck) {
    for (const auto& [name, at] : announced_) {
      const Account* account = FindAccount(name);
      const Segment* segment = account == nullptr ? nullptr : account->timeline.At(now.wall);
      if (segment == nullptr || segment->state == AccountState::kReclaimed) continue;
      if (segment->state != AccountState::kReclaimable) {
        announce(AnnouncementKind::kReclaimCancelled, name, *segment, "the account came back");
      } else if (held.contains(name)) {
        announce(AnnouncementKind::kReclaimCancelled, name, *segment, "held as evidence");
      }
    }
  }
  if (some_due) {
    for (auto it = due_.begin(); it != due_.end() && it->first <= now.wall; ++it) {
      const Account* account = FindAccount(it->second);
      const Segment* segment = account->timeline.At(now.wall);
      if (segment == nullptr || segment->state != AccountState::kReclaimable || segment->payment_pending ||
          held.contains(it->second)) {
        continue;
      }
      announce(AnnouncementKind::kReclaimable, it->second, *segment,
               absl::StrCat("the window closed at ", ChinaTimeText(*segment->deadline),
                            "; confirm with billing before anything is erased"));
    }
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Announcement& a, const Announcement& b) { return a.subject.account < b.subject.account; });
  return due;
}

absl::Time Policy::NextDue(const Moment& now) const {
  absl::Time next = absl::InfiniteFuture();
  const auto first = due_.upper_bound({now.wall, std::string(1, '\xff')});
  if (first != due_.end()) next = first->first;
  const bool blocked = !due_.empty() && due_.begin()->first <= now.wall;
  if (!blocked && announced_.empty()) return next;
  for (const Rule* rule : evidence_) {
    const absl::Time gone = rule->span.until + now.clock_error.value_or(absl::ZeroDuration());
    if (gone > now.wall) next = std::min(next, gone);
    if (rule->span.from > now.wall) next = std::min(next, rule->span.from);
    for (const Exception& exception : rule->exceptions) {
      const absl::Time lifts =
          exception.from + (exception.ahead ? now.clock_error.value_or(absl::ZeroDuration()) : absl::ZeroDuration());
      if (lifts > now.wall) next = std::min(next, lifts);
    }
  }
  return next;
}

const Account* Policy::FindAccount(absl::string_view account) const {
  const auto it = accounts_.find(account);
  return it == accounts_.end() ? nullptr : &it->second;
}

const Bucket* Policy::FindBucket(absl::string_view bucket, absl::Time now) const {
  const auto it = buckets_.find(bucket);
  return it == buckets_.end() ? nullptr : it->second.At(now);
}

const Domain* Policy::FindDomain(absl::string_view host, absl::Time now) const {
  const auto bound_at = [&](absl::string_view name) -> const Domain* {
    const auto it = domains_.find(name);
    const Domain* domain = it == domains_.end() ? nullptr : it->second.At(now);
    return domain != nullptr && domain->bound ? domain : nullptr;
  };
  if (const Domain* exact = bound_at(host)) return exact;
  std::string wildcard;
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    wildcard.assign("*").append(host.data() + dot, host.size() - dot);
    if (const Domain* domain = bound_at(wildcard)) return domain;
  }
  return nullptr;
}

const HostPermits* Policy::FindPermits(absl::string_view host) const {
  const auto it = permits_.find(host);
  return it == permits_.end() ? nullptr : &it->second;
}

const absl::Time* Policy::FindRegistry(absl::string_view registry) const {
  const auto it = registries_.find(registry);
  return it == registries_.end() ? nullptr : &it->second;
}

const std::vector<Maintenance>* Policy::FindMaintenance(absl::string_view region) const {
  const auto it = maintenance_.find(region);
  return it == maintenance_.end() ? nullptr : &it->second;
}

bool Policy::TermsPending(const Moment& now) const {
  const absl::Time* effective = terms_.At(now.wall);
  return effective != nullptr && !now.Passed(*effective);
}

const Policy::Rules* Policy::FindRules(Hash128 subject) const {
  const auto it = by_subject_.find(subject);
  return it == by_subject_.end() ? nullptr : &it->second;
}

const Policy::Limits* Policy::FindLimits(Hash128 subject) const {
  const auto it = limits_by_subject_.find(subject);
  return it == limits_by_subject_.end() ? nullptr : &it->second;
}

}  // namespace sluice
