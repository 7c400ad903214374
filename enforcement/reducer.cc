#include "enforcement/reducer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "enforcement/calendar.h"
#include "enforcement/check.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

absl::Status Malformed(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::Status CheckId(absl::string_view field, absl::string_view id) {
  if (id.empty()) return Malformed(absl::StrCat(field, ": want a name, got none"));
  if (id.size() > kIdBytesMax) {
    return Malformed(absl::StrCat(field, ": want at most ", kIdBytesMax, " bytes, got ", id.size()));
  }
  if (absl::StrContains(id, '\0')) return Malformed(absl::StrCat(field, ": want no NUL byte"));
  return absl::OkStatus();
}

absl::Status CheckAccount(absl::string_view account) { return CheckId("account", account); }

// An enum word that the contract has, other than UNSPECIFIED.
template <typename Enum>
absl::Status CheckWord(absl::string_view field, Enum value) {
  if (static_cast<int>(value) != 0 && Name(value) != "?") return absl::OkStatus();
  return Malformed(absl::StrCat(field, ": want a value that the contract has, got ", static_cast<int>(value)));
}

absl::Status CheckOperations(const std::vector<Operation>& operations) {
  for (const Operation operation : operations) {
    if (absl::Status status = CheckWord("operations", operation); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Canonicalise(Subject* subject) {
  absl::StatusOr<Subject> canonical = CanonicalSubject(*subject);
  if (!canonical.ok()) return canonical.status();
  *subject = *std::move(canonical);
  return absl::OkStatus();
}

// A host of a binding or a permit: "*.x" or a name.
absl::Status CanonicaliseHost(std::string* host) {
  Subject subject;
  subject.host = *host;
  if (host->empty()) return Malformed("host: want a name, got none");
  if (absl::Status status = Canonicalise(&subject); !status.ok()) return status;
  *host = subject.host;
  return absl::OkStatus();
}

#define SLUICE_RETURN_IF_ERROR(expression)                               \
  do {                                                                   \
    if (absl::Status status = (expression); !status.ok()) return status; \
  } while (false)

absl::Status CheckWindow(const OptionalTime& from, const OptionalTime& to) {
  if (from && to && *to <= *from) {
    return Malformed(absl::StrCat("to: want a time after from ", ChinaTimeText(*from), ", got ", ChinaTimeText(*to)));
  }
  return absl::OkStatus();
}

absl::Status CheckAmount(absl::string_view field, double amount) {
  if (std::isfinite(amount) && amount >= 0 && amount <= 1e18) return absl::OkStatus();
  return Malformed(absl::StrCat(field, ": want a number from 0 to 1e18, got ", amount));
}

// Which field of a subject names whom a limit of `scope` is for.
absl::Status CheckLimitSubject(LimitScope scope, const Subject& subject) {
  const SubjectKind kind = KeyOf(subject).kind;
  const auto want = [&](bool fits, absl::string_view what) {
    if (fits) return absl::OkStatus();
    return Malformed(
        absl::StrCat("subject: want ", what, " for a limit of scope ", Name(scope), ", got ", Describe(subject)));
  };
  switch (scope) {
    case LimitScope::kAccount:
      return want(kind == SubjectKind::kAccount, "an account");
    case LimitScope::kBucket:
      return want(kind == SubjectKind::kBucket, "a bucket");
    case LimitScope::kObject:
      return want(kind == SubjectKind::kObject, "a bucket and a key");
    case LimitScope::kDomain:
      return want(kind == SubjectKind::kHost || kind == SubjectKind::kHostsBelow, "a host");
    case LimitScope::kClientIp:
      return want(kind == SubjectKind::kAddressBlock, "an address or a CIDR block");
    default:
      return Malformed("scope: want a value that the contract has");
  }
}

// The form of one change: names into their one form, fields within bounds, values that exist.
class FormCheck {
 public:
  explicit FormCheck(const Pack& pack) : pack_(pack) {}

  absl::Status operator()(std::monostate&) const {
    return Malformed("change: want one, got none (or one that this version does not know)");
  }
  // The changes of the lifecycle that carry an account and no more than their own guard looks at.
  template <typename AccountChange>
  absl::Status operator()(AccountChange& change) const {
    return CheckAccount(change.account);
  }
  absl::Status operator()(Terminate& change) const {
    SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    return CheckWord("cause", change.cause);
  }
  absl::Status operator()(BindBucket& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("bucket", change.bucket));
    return CheckAccount(change.account);
  }
  absl::Status operator()(BindDomain& change) const {
    if (!change.account.empty()) SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    if (!change.bucket.empty()) SLUICE_RETURN_IF_ERROR(CheckId("bucket", change.bucket));
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(UnbindDomain& change) const { return CanonicaliseHost(&change.host); }
  absl::Status operator()(SetPermit& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("kind", change.kind));
    if (change.status == PermitStatus::kUnspecified || change.status > PermitStatus::kNone) {
      return Malformed(
          absl::StrCat("status: want VALID, OUTDATED, REVOKED or NONE, got ", static_cast<int>(change.status)));
    }
    if (!change.valid_through.empty()) {
      const auto day = ParseDay(change.valid_through);
      if (!day.ok()) return Malformed(absl::StrCat("valid_through: ", day.status().message()));
    }
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(ClassifyDomain& change) const {
    for (const std::string& kind : change.required_permits) SLUICE_RETURN_IF_ERROR(CheckId("required_permits", kind));
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(RegistrySync& change) const { return CheckId("registry", change.registry); }
  absl::Status operator()(RaiseFlag& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("flag_id", change.flag_id));
    if (pack_.FindCategory(change.category) == nullptr) {
      return Malformed(
          absl::StrCat("category: want a clause that the pack has, like 3.1.3.5.3, got \"", change.category, "\""));
    }
    if (change.severity != Severity::kUnspecified) SLUICE_RETURN_IF_ERROR(CheckWord("severity", change.severity));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(ClearFlag& change) const { return CheckId("flag_id", change.flag_id); }
  absl::Status operator()(GrantException& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("flag_id", change.flag_id));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(IssueOrder& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("order_id", change.order_id));
    if (change.subjects.empty()) return Malformed("subjects: want at least one (9.2.2), got none");
    for (Subject& subject : change.subjects) SLUICE_RETURN_IF_ERROR(Canonicalise(&subject));
    return CheckOperations(change.operations);
  }
  absl::Status operator()(LiftOrder& change) const { return CheckId("order_id", change.order_id); }
  absl::Status operator()(PlaceHold& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("hold_id", change.hold_id));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(ReleaseHold& change) const { return CheckId("hold_id", change.hold_id); }
  absl::Status operator()(Restrict& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("restriction_id", change.restriction_id));
    SLUICE_RETURN_IF_ERROR(CheckWord("kind", change.kind));
    SLUICE_RETURN_IF_ERROR(CheckAmount("requests_per_second", change.requests_per_second));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(Unrestrict& change) const { return CheckId("restriction_id", change.restriction_id); }
  absl::Status operator()(OrderDeletion& change) const { return Canonicalise(&change.subject); }
  absl::Status operator()(SetLimit& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("limit_id", change.limit_id));
    SLUICE_RETURN_IF_ERROR(CheckWord("level", change.level));
    SLUICE_RETURN_IF_ERROR(CheckWord("scope", change.scope));
    SLUICE_RETURN_IF_ERROR(CheckWord("dimension", change.dimension));
    SLUICE_RETURN_IF_ERROR(CheckAmount("rate", change.rate));
    SLUICE_RETURN_IF_ERROR(CheckAmount("burst", change.burst));
    SLUICE_RETURN_IF_ERROR(CheckOperations(change.operations));
    SLUICE_RETURN_IF_ERROR(CheckWindow(change.from, change.to));
    if (change.subject.empty()) return absl::OkStatus();
    SLUICE_RETURN_IF_ERROR(Canonicalise(&change.subject));
    return CheckLimitSubject(change.scope, change.subject);
  }
  absl::Status operator()(ClearLimit& change) const { return CheckId("limit_id", change.limit_id); }
  absl::Status operator()(SetParameter& change) const {
    SLUICE_RETURN_IF_ERROR(CheckWord("level", change.level));
    if (!change.account.empty()) SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    SLUICE_RETURN_IF_ERROR(CheckWindow(change.from, change.to));
    const Parameter* parameter = pack_.FindParameter(change.name);
    if (parameter == nullptr) {
      return Malformed(absl::StrCat("name: want a parameter that the pack has, got \"", change.name, "\""));
    }
    return CheckParameterValue(*parameter, change.value);
  }
  absl::Status operator()(SetMaintenance& change) const {
    SLUICE_RETURN_IF_ERROR(CheckOperations(change.operations));
    return CheckWindow(change.from, change.to);
  }
  absl::Status operator()(SetUsage& change) const {
    SLUICE_RETURN_IF_ERROR(CheckWord("dimension", change.dimension));
    if (change.dimension != Dimension::kStoredBytes && change.dimension != Dimension::kStoredObjects &&
        change.dimension != Dimension::kBuckets && change.dimension != Dimension::kTrafficPerDay) {
      return Malformed(
          absl::StrCat("dimension: want an amount that is held (STORED_BYTES, STORED_OBJECTS, BUCKETS) or "
                       "TRAFFIC_PER_DAY, got ",
                       Name(change.dimension)));
    }
    if (change.amount < 0) return Malformed(absl::StrCat("amount: want 0 or more, got ", change.amount));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(AnnounceTerms& change) const {
    return change.effective ? absl::OkStatus() : Malformed("effective: want a time, got none");
  }

 private:
  const Pack& pack_;
};

// The subject that an announcement of a rejection names, where the change has one.
struct SubjectOf {
  template <typename T>
  Subject operator()(const T& change) const {
    Subject subject;
    if constexpr (requires { change.subject; }) {
      subject = change.subject;
    } else if constexpr (requires { change.subjects; }) {
      if (!change.subjects.empty()) subject = change.subjects.front();
    } else if constexpr (requires { change.bucket; }) {
      subject.bucket = change.bucket;
    } else if constexpr (requires { change.host; }) {
      subject.host = change.host;
    } else if constexpr (requires { change.account; }) {
      subject.account = change.account;
    }
    return subject;
  }
};

class Reducer {
 public:
  Reducer(int64_t revision, absl::Time now, const Policy& policy, const EntitySource& source, const Pack& pack,
          Reduction* result)
      : revision_(revision), now_(now), policy_(policy), source_(source), pack_(pack), result_(*result) {}

  // OK where the event is applied.
  absl::Status Run() {
    PolicyEvent& event = result_.event;
    if (!event.effective_at) event.effective_at = now_;
    if (*event.effective_at > now_ + pack_.effective_ahead_max) {
      return Malformed(absl::StrCat("effective_at: want at most ", absl::FormatDuration(pack_.effective_ahead_max),
                                    " ahead of ", ChinaTimeText(now_), ", got ", ChinaTimeText(*event.effective_at)));
    }
    SLUICE_RETURN_IF_ERROR(CheckRole());
    SLUICE_RETURN_IF_ERROR(std::visit(FormCheck(pack_), event.change));
    SLUICE_RETURN_IF_ERROR(std::visit([&](const auto& change) { return Apply(change); }, event.change));
    return absl::OkStatus();
  }

 private:
  absl::Status CheckRole() const {
    const PolicyEvent& event = result_.event;
    if (event.change.index() == 0) return absl::OkStatus();  // the form says it better
    const std::vector<Role>& allowed = pack_.RolesFor(event.change);
    if (std::find(allowed.begin(), allowed.end(), event.role) != allowed.end()) return absl::OkStatus();
    return absl::PermissionDeniedError(absl::StrCat(
        ChangeName(event.change.index()), ": want ", allowed.empty() ? "nobody, it follows from time alone" : "role ",
        absl::StrJoin(allowed, " or ", [](std::string* out, Role role) { absl::StrAppend(out, Name(role)); }), ", got ",
        Name(event.role)));
  }

  StampedEvent Stamped() const { return {result_.event, revision_, now_}; }

  // When an event of a rule bites; see Policy.
  absl::Time BitesAt(const StampedEvent& event) const { return std::max(*event.event.effective_at, event.arrived_at); }

  Entity Current(EntityKind kind, std::string id) const {
    const EntityKey key{kind, std::move(id)};
    absl::optional<Entity> entity = source_.Get(key);
    return entity ? *std::move(entity) : Entity{key, {}};
  }

  // Adds this event to `entity`. What it replaces goes as soon as it bites; until then both are kept. With `keep_first`
  // the first event stays for what it tells: when the rule was born.
  void Replace(Entity entity, bool keep_first = false) {
    const absl::Time bites_at = std::max(*result_.event.effective_at, now_);
    if (bites_at <= now_) {
      std::vector<StampedEvent> kept;
      for (size_t i = 0; i < entity.events.size(); ++i) {
        const bool exception = std::holds_alternative<GrantException>(entity.events[i].event.change);
        if (exception || (keep_first && i == 0)) kept.push_back(std::move(entity.events[i]));
      }
      entity.events = std::move(kept);
    }
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
  }

  // This event ends `entity`: at once, or when it bites.
  void End(Entity entity) {
    if (*result_.event.effective_at <= now_) {
      entity.events.clear();
    } else {
      entity.events.push_back(Stamped());
    }
    result_.upserts.push_back(std::move(entity));
  }

  // The last event that set the rule; nullptr where it was never set, or has ended by now.
  template <typename Set>
  const StampedEvent* SetBy(const Entity& entity) const {
    for (auto it = entity.events.rbegin(); it != entity.events.rend(); ++it) {
      if (std::holds_alternative<Set>(it->event.change)) return &*it;
      if (std::holds_alternative<GrantException>(it->event.change)) continue;
      if (BitesAt(*it) <= now_) return nullptr;  // an end that has bitten
    }
    return nullptr;
  }

  // To replace, clear, lift, release, unrestrict or except takes the role that set the thing, or LEGAL.
  absl::Status MayTouch(absl::string_view what, absl::string_view id, const StampedEvent& set) const {
    const Role role = result_.event.role;
    if (role == Role::kLegal || role == set.event.role) return absl::OkStatus();
    return absl::PermissionDeniedError(absl::StrCat(ChangeName(result_.event.change.index()), ": ", what, " ", id,
                                                    " was set by ", Name(set.event.role),
                                                    "; want that role or LEGAL, got ", Name(role)));
  }

  template <typename Set>
  absl::Status SetRule(EntityKind kind, absl::string_view what, const std::string& id, bool keep_first = false) {
    Entity entity = Current(kind, id);
    if (const StampedEvent* set = SetBy<Set>(entity)) {
      if (absl::Status status = MayTouch(what, id, *set); !status.ok()) return status;
    } else {
      entity.events.clear();  // born anew
    }
    Replace(std::move(entity), keep_first);
    return absl::OkStatus();
  }

  template <typename Set>
  absl::Status EndRule(EntityKind kind, absl::string_view what, const std::string& id) {
    Entity entity = Current(kind, id);
    const StampedEvent* set = SetBy<Set>(entity);
    if (set == nullptr) return Unknown(what, id);
    if (absl::Status status = MayTouch(what, id, *set); !status.ok()) return status;
    End(std::move(entity));
    return absl::OkStatus();
  }

  absl::Status Unknown(absl::string_view what, absl::string_view id) const {
    return absl::NotFoundError(
        absl::StrCat(ChangeName(result_.event.change.index()), ": there is no ", what, " \"", id, "\""));
  }

  // ---- One change each ----------------------------------------------------------------------------------------------

  absl::Status Apply(const std::monostate&) { return absl::InternalError("no change"); }

  // The account lifecycle.
  template <typename AccountChange>
  absl::Status Apply(const AccountChange& change) {
    if constexpr (std::is_same_v<AccountChange, ConfirmReclaimed>) {
      if (const Account* account = policy_.FindAccount(change.account); account != nullptr) {
        const Segment* segment = account->timeline.At(now_);
        const bool already = segment != nullptr && segment->state == AccountState::kReclaimed;
        if (!already && !policy_.IsAnnounced(change.account)) {
          return absl::FailedPreconditionError(
              absl::StrCat("confirm_reclaimed: RECLAIMABLE was not announced of ", change.account,
                           ", or was taken back: a hold, a pending payment or the margin stands before it"));
        }
      }
    }
    Entity entity = Current(EntityKind::kAccount, change.account);
    entity.events.push_back(Stamped());
    LifecycleOutcome outcome;
    BuildTimeline(entity.events, change.account, policy_.parameters(), pack_, &entity.events.back(), &outcome);
    if (!outcome.accepted) return absl::FailedPreconditionError(outcome.error);
    if (outcome.changes) result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }

  absl::Status Apply(const BindBucket& change) {
    Replace(Current(EntityKind::kBucket, change.bucket));
    return absl::OkStatus();
  }
  absl::Status Apply(const BindDomain& change) {
    Entity entity = Current(EntityKind::kDomain, change.host);
    // A test domain bound again keeps its first day: the event that tells it stays.
    const bool was_test = !entity.events.empty() && IsTest(entity.events.front()) && IsTest(entity.events.back());
    if (!was_test && *result_.event.effective_at <= now_) entity.events.clear();
    Replace(std::move(entity), change.provider_test_domain && was_test);
    return absl::OkStatus();
  }
  static bool IsTest(const StampedEvent& stamped) {
    const auto* bind = std::get_if<BindDomain>(&stamped.event.change);
    return bind != nullptr && bind->provider_test_domain;
  }
  absl::Status Apply(const UnbindDomain& change) {
    Entity entity = Current(EntityKind::kDomain, change.host);
    if (entity.events.empty()) return Unknown("domain", change.host);
    End(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const SetPermit& change) {
    Entity entity = Current(EntityKind::kPermits, change.host);
    if (*result_.event.effective_at <= now_) {
      RemoveIf(&entity, [&](const StampedEvent& each) {
        const auto* set = std::get_if<SetPermit>(&each.event.change);
        return set != nullptr && set->kind == change.kind;
      });
    }
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const ClassifyDomain& change) {
    Entity entity = Current(EntityKind::kPermits, change.host);
    if (*result_.event.effective_at <= now_) {
      RemoveIf(&entity,
               [](const StampedEvent& each) { return std::holds_alternative<ClassifyDomain>(each.event.change); });
    }
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const RegistrySync& change) {
    Entity entity = Current(EntityKind::kRegistry, change.registry);
    // The newest reading counts, whatever came last.
    if (!entity.events.empty() && *entity.events.back().event.effective_at >= *result_.event.effective_at) {
      return absl::OkStatus();
    }
    entity.events.assign(1, Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }

  absl::Status Apply(const RaiseFlag& change) { return SetRule<RaiseFlag>(EntityKind::kFlag, "flag", change.flag_id); }
  absl::Status Apply(const ClearFlag& change) { return EndRule<RaiseFlag>(EntityKind::kFlag, "flag", change.flag_id); }
  absl::Status Apply(const GrantException& change) {
    Entity entity = Current(EntityKind::kFlag, change.flag_id);
    const StampedEvent* set = SetBy<RaiseFlag>(entity);
    if (set == nullptr) return Unknown("flag", change.flag_id);
    if (absl::Status status = MayTouch("flag", change.flag_id, *set); !status.ok()) return status;
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const IssueOrder& change) {
    return SetRule<IssueOrder>(EntityKind::kOrder, "order", change.order_id);
  }
  absl::Status Apply(const LiftOrder& change) {
    return EndRule<IssueOrder>(EntityKind::kOrder, "order", change.order_id);
  }
  absl::Status Apply(const PlaceHold& change) { return SetRule<PlaceHold>(EntityKind::kHold, "hold", change.hold_id); }
  absl::Status Apply(const ReleaseHold& change) {
    return EndRule<PlaceHold>(EntityKind::kHold, "hold", change.hold_id);
  }
  absl::Status Apply(const Restrict& change) {
    SLUICE_RETURN_IF_ERROR(SetRule<Restrict>(EntityKind::kRestriction, "restriction", change.restriction_id,
                                             /*keep_first=*/true));
    if (!change.automatic || change.kind != RestrictionKind::kSandbox) return absl::OkStatus();
    Announcement announcement;
    announcement.kind = AnnouncementKind::kAutoSandboxed;
    announcement.subject = change.subject;
    announcement.at = now_;
    announcement.clause = change.clause;
    announcement.detail = result_.event.note;
    result_.announcements.push_back(std::move(announcement));
    return absl::OkStatus();
  }
  absl::Status Apply(const Unrestrict& change) {
    return EndRule<Restrict>(EntityKind::kRestriction, "restriction", change.restriction_id);
  }

  absl::Status Apply(const OrderDeletion& change) {
    Moment moment;
    moment.wall = now_;
    moment.clock_error = absl::nullopt;  // what a clock could have ended may still be kept
    for (const Rule* rule : policy_.evidence()) {
      if (!rule->span.Holds(moment)) continue;
      if (Covers(rule->evidence, change.subject) || Covers(change.subject, rule->evidence)) {
        return absl::FailedPreconditionError(
            absl::StrCat("order_deletion: ", Describe(change.subject), " is kept as evidence by ",
                         rule->kind == EntityKind::kHold ? "hold " : "flag ", rule->id));
      }
    }
    Announcement announcement;
    announcement.kind = AnnouncementKind::kDeleteRequested;
    announcement.subject = change.subject;
    announcement.at = now_;
    announcement.clause = "3.1.3.10";
    announcement.detail = result_.event.note;
    result_.announcements.push_back(std::move(announcement));
    return absl::OkStatus();
  }

  // Whether what `inner` names lies within what `outer` names.
  bool Covers(const Subject& outer, const Subject& inner) const {
    if (!outer.account.empty()) {
      if (!inner.account.empty()) return inner.account == outer.account;
      if (!inner.bucket.empty()) {
        const Bucket* bucket = policy_.FindBucket(inner.bucket, now_);
        return bucket != nullptr && bucket->account == outer.account;
      }
      if (!inner.host.empty()) {
        const Domain* domain = policy_.FindDomain(inner.host, now_);
        return domain != nullptr && domain->account == outer.account;
      }
      return false;
    }
    if (!outer.bucket.empty()) {
      if (inner.bucket != outer.bucket) return false;
      if (!outer.prefix.empty()) {
        return absl::StartsWith(inner.key, outer.prefix) || absl::StartsWith(inner.prefix, outer.prefix);
      }
      if (outer.key.empty()) return true;
      return inner.key == outer.key && (outer.version_id.empty() || inner.version_id == outer.version_id);
    }
    if (!outer.hash.empty()) {
      return inner.hash.algorithm == outer.hash.algorithm && inner.hash.digest == outer.hash.digest;
    }
    if (!outer.host.empty()) {
      const absl::string_view below = absl::StripPrefix(outer.host, "*");
      const bool within =
          below.size() < outer.host.size() ? absl::EndsWith(inner.host, below) : inner.host == outer.host;
      return within && (outer.path.empty() || inner.path == outer.path);
    }
    return false;
  }

  absl::Status Apply(const SetLimit& change) {
    Entity entity = Current(EntityKind::kLimit, change.limit_id);
    if (SetBy<SetLimit>(entity) == nullptr) entity.events.clear();
    Replace(std::move(entity), /*keep_first=*/true);
    return absl::OkStatus();
  }
  absl::Status Apply(const ClearLimit& change) {
    Entity entity = Current(EntityKind::kLimit, change.limit_id);
    if (SetBy<SetLimit>(entity) == nullptr) return Unknown("limit", change.limit_id);
    End(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const SetParameter& change) {
    // All are kept: a value that one covers comes into force again when that one ends.
    Entity entity =
        Current(EntityKind::kParameter, absl::StrCat(change.name, absl::string_view("\0", 1), change.account));
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const SetMaintenance& change) {
    Entity entity = Current(EntityKind::kMaintenance, change.region);
    // Windows that are over by a day are of no use to anyone.
    RemoveIf(&entity, [&](const StampedEvent& each) {
      const auto* set = std::get_if<SetMaintenance>(&each.event.change);
      return set->to && *set->to < now_ - absl::Hours(24);
    });
    entity.events.push_back(Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const SetUsage& change) {
    Entity entity = Current(EntityKind::kUsage,
                            absl::StrCat(Describe(change.subject), absl::string_view("\0", 1), Name(change.dimension)));
    entity.events.assign(1, Stamped());
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }
  absl::Status Apply(const AnnounceTerms&) {
    Replace(Current(EntityKind::kTerms, ""));
    return absl::OkStatus();
  }

  template <typename Predicate>
  static void RemoveIf(Entity* entity, const Predicate& predicate) {
    entity->events.erase(std::remove_if(entity->events.begin(), entity->events.end(), predicate), entity->events.end());
  }

  const int64_t revision_;
  const absl::Time now_;
  const Policy& policy_;
  const EntitySource& source_;
  const Pack& pack_;
  Reduction& result_;
};

#undef SLUICE_RETURN_IF_ERROR

}  // namespace

Reduction Reduce(const PolicyEvent& event, int64_t revision, absl::Time now, const Policy& policy,
                 const EntitySource& source, const Pack& pack) {
  Reduction result;
  if (!event.event_id.empty() && source.Seen(event.source, event.event_id)) {
    result.outcome = Outcome::kDuplicate;
    return result;
  }
  const absl::string_view account = LifecycleAccount(event.change);
  if (event.sequence != 0 && !account.empty() && event.sequence < source.LastSequence(account, event.source)) {
    result.outcome = Outcome::kStale;
    return result;
  }
  result.event = event;
  const absl::Status status = Reducer(revision, now, policy, source, pack, &result).Run();
  if (status.ok()) {
    result.outcome = Outcome::kApplied;
    return result;
  }
  result.outcome = Outcome::kRejected;
  result.error = std::string(status.message());
  result.upserts.clear();
  result.announcements.clear();
  Announcement rejected;
  rejected.kind = AnnouncementKind::kEventRejected;
  rejected.subject = std::visit(SubjectOf(), event.change);
  rejected.at = now;
  rejected.detail = result.error;
  result.announcements.push_back(std::move(rejected));
  return result;
}

}  // namespace sluice
