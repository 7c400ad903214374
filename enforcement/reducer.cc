#include "enforcement/reducer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/calendar.h"
#include "enforcement/check.h"
#include "enforcement/event_form.h"
#include "enforcement/evidence.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

// Of the events of an account that change nothing: a week of three a night, and some.
constexpr size_t kIdleEventsKept = 32;

absl::Status Malformed(absl::string_view message) { return absl::InvalidArgumentError(message); }

#define SLUICE_RETURN_IF_ERROR(expression)                               \
  do {                                                                   \
    if (absl::Status status = (expression); !status.ok()) return status; \
  } while (false)

// The subject that an announcement of a rejection names, where the change has one.
struct SubjectOf {
  template <typename T>
  Subject operator()(const T& change) const {
    Subject subject;
    if constexpr (requires { change.subject; }) {
      subject = change.subject;
    } else if constexpr (requires { change.subjects; }) {
      if (!change.subjects.empty()) subject = change.subjects.front();
    } else if constexpr (requires { change.host; }) {
      subject.host = change.host;
    } else if constexpr (requires { change.bucket; }) {
      subject.bucket = change.bucket;
    } else if constexpr (requires { change.account; }) {
      subject.account = change.account;
    }
    return subject;
  }
};

class Reducer {
 public:
  Reducer(int64_t revision, const Moment& moment, const Policy& policy, const EntitySource& source, const Pack& pack,
          Reduction* result)
      : revision_(revision),
        moment_(moment),
        now_(moment.wall),
        policy_(policy),
        source_(source),
        pack_(pack),
        result_(*result) {}

  // OK where the event is applied.
  absl::Status Run() {
    PolicyEvent& event = result_.event;
    if (!event.effective_at) event.effective_at = now_;
    if (*event.effective_at > now_ + pack_.effective_ahead_max) {
      return Malformed(absl::StrCat("effective_at: want at most ", absl::FormatDuration(pack_.effective_ahead_max),
                                    " ahead of ", ChinaTimeText(now_), ", got ", ChinaTimeText(*event.effective_at)));
    }
    SLUICE_RETURN_IF_ERROR(CheckRole());
    SLUICE_RETURN_IF_ERROR(CheckForm(pack_, &event.change));
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

  // How the account stands now; UNSPECIFIED of one that is unknown.
  AccountState StateOf(absl::string_view id) const {
    const absl::optional<Account> account = policy_.FindAccount(id);
    const Segment* segment = account ? account->timeline.At(now_) : nullptr;
    return segment == nullptr ? AccountState::kUnspecified : segment->state;
  }

  // Whether nothing stands before the end of an account's data. Announcements are no part of its timeline.
  absl::Status MayConfirm(const ConfirmReclaimed& change) const {
    const absl::optional<Account> account = policy_.FindAccount(change.account);
    const Segment* segment = account ? account->timeline.At(now_) : nullptr;
    const auto refuse = [&](absl::string_view why) {
      return absl::FailedPreconditionError(absl::StrCat("confirm_reclaimed: ", why));
    };
    if (segment == nullptr) return refuse("wants an account that is known");
    if (segment->state == AccountState::kReclaimed) return absl::OkStatus();
    const OptionalTime announced_at = policy_.AnnouncedAt(change.account);
    if (!announced_at) {
      return refuse(absl::StrCat("RECLAIMABLE was not announced of ", change.account, ", or was taken back"));
    }
    if (*result_.event.effective_at < *announced_at) {
      return refuse(absl::StrCat("want a time from the announcement of RECLAIMABLE at ", ChinaTimeText(*announced_at),
                                 " on, got ", ChinaTimeText(*result_.event.effective_at)));
    }
    const Segment* then = account->timeline.At(*result_.event.effective_at);
    if (then->state != AccountState::kReclaimable) {
      return refuse(absl::StrCat("want an account that is RECLAIMABLE, got ", Name(then->state)));
    }
    if (segment->payment_pending) return refuse("a payment is on its way (7.2.2)");
    if (!moment_.clock_error) return refuse("the clock error is unknown; nothing is erased by such a clock");
    return absl::OkStatus();
  }

  // The account lifecycle.
  template <typename AccountChange>
  absl::Status Apply(const AccountChange& change) {
    if constexpr (std::is_same_v<AccountChange, ConfirmReclaimed>) SLUICE_RETURN_IF_ERROR(MayConfirm(change));
    if (StateOf(change.account) == AccountState::kReclaimed) {
      // Nothing comes of it, though it be dated before the end.
      const std::string why = WhyNotOnceReclaimed(change);
      return why.empty() ? absl::OkStatus() : absl::FailedPreconditionError(why);
    }
    Entity entity = Current(EntityKind::kAccount, change.account);
    entity.events.push_back(Stamped());
    std::vector<LifecycleOutcome> outcomes;
    BuildTimeline(entity.events, change.account, policy_.parameters(), pack_, &outcomes);
    if (!outcomes.back().accepted) return absl::FailedPreconditionError(outcomes.back().error);
    if constexpr (std::is_same_v<AccountChange, SetBalance>) {
      // Enough of a balance changes nothing whatever arrives before it or after.
      if (!outcomes.back().changes && change.balance_minor >= change.consumption_minor) return absl::OkStatus();
    }
    ForgetIdle(outcomes, &entity.events);
    result_.upserts.push_back(std::move(entity));
    return absl::OkStatus();
  }

  // An event that changes nothing where it stands is kept all the same: another may arrive late that is dated before
  // it (an unfreeze whose freeze was slower). Who tells every account's state again each night shall not fill the store
  // with it, so of those only the last by date stay; none goes before its time has come.
  void ForgetIdle(const std::vector<LifecycleOutcome>& outcomes, std::vector<StampedEvent>* events) const {
    std::vector<std::pair<absl::Time, int64_t>> idle;  // the order in which a timeline takes them
    for (size_t i = 0; i < events->size(); ++i) {
      const StampedEvent& each = (*events)[i];
      if (!outcomes[i].changes && *each.event.effective_at <= now_) {
        idle.emplace_back(*each.event.effective_at, each.revision);
      }
    }
    if (idle.size() <= kIdleEventsKept) return;
    const auto first_kept = idle.end() - kIdleEventsKept;
    std::nth_element(idle.begin(), first_kept, idle.end());
    size_t i = 0;
    events->erase(std::remove_if(events->begin(), events->end(),
                                 [&](const StampedEvent& each) {
                                   return !outcomes[i++].changes &&
                                          std::make_pair(*each.event.effective_at, each.revision) < *first_kept;
                                 }),
                  events->end());
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
    const std::string keeper = KeeperOfEvidence(change.subject, policy_, source_, moment_);
    if (!keeper.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("order_deletion: ", Describe(change.subject), " is kept as evidence by ", keeper));
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

  absl::Status Apply(const SetLimit& change) {
    return SetRule<SetLimit>(EntityKind::kLimit, "limit", change.limit_id, /*keep_first=*/true);
  }
  absl::Status Apply(const ClearLimit& change) {
    return EndRule<SetLimit>(EntityKind::kLimit, "limit", change.limit_id);
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
    entity.events.push_back(Stamped());
    // Windows that are over by a day are of no use to anyone. One that ends another begins when that ends, so it never
    // goes before it.
    const std::vector<Span> spans = MaintenanceSpans(entity.events);
    std::vector<StampedEvent> kept;
    for (size_t i = 0; i < spans.size(); ++i) {
      const bool over = std::max(spans[i].from, spans[i].until) < now_ - absl::Hours(24);
      if (!over) kept.push_back(std::move(entity.events[i]));
    }
    entity.events = std::move(kept);
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
  const Moment moment_;
  const absl::Time now_;
  const Policy& policy_;
  const EntitySource& source_;
  const Pack& pack_;
  Reduction& result_;
};

#undef SLUICE_RETURN_IF_ERROR

}  // namespace

Reduction Reduce(const PolicyEvent& event, int64_t revision, const Moment& now, const Policy& policy,
                 const EntitySource& source, const Pack& pack) {
  Reduction result;
  // Whoever may not send learns nothing of what others have sent: refused before it could be a duplicate.
  const bool refused = !event.refusal.empty();
  if (!refused && !event.event_id.empty() && source.Seen(event.source, event.event_id)) {
    result.outcome = Outcome::kDuplicate;
    return result;
  }
  const absl::string_view account = LifecycleAccount(event.change);
  if (!refused && event.sequence != 0 && !account.empty() &&
      event.sequence < source.LastSequence(account, event.source)) {
    result.outcome = Outcome::kStale;
    return result;
  }
  result.event = event;
  const absl::Status status = refused ? absl::PermissionDeniedError(event.refusal)
                                      : Reducer(revision, now, policy, source, pack, &result).Run();
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
  rejected.at = now.wall;
  rejected.detail = result.error;
  result.announcements.push_back(std::move(rejected));
  return result;
}

}  // namespace sluice
