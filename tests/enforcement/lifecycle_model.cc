#include "tests/enforcement/lifecycle_model.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"

namespace sluice {
namespace {

using Names = std::vector<std::string>;

// ---- The calendar: natural days in UTC+8, by number since 1970-01-01.

int64_t DayNumber(absl::Time t) {
  return absl::ToInt64Seconds(absl::Floor(t - absl::UnixEpoch() + absl::Hours(8), absl::Hours(24))) / 86400;
}
absl::Time DayStart(int64_t day) { return absl::UnixEpoch() + absl::Hours(24) * day - absl::Hours(8); }

// The day of "2026-10-01"; false for any other text.
bool DayOfText(absl::string_view text, int64_t* day) {
  absl::CivilDay civil;
  if (text.size() != 10 || !absl::ParseCivilTime(text, &civil)) return false;
  *day = civil - absl::CivilDay(1970, 1, 1);
  return true;
}

bool HolidaysOfText(absl::string_view text, std::set<int64_t>* days) {
  if (text.empty()) return true;
  for (absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::vector<std::string> ends = absl::StrSplit(absl::StripAsciiWhitespace(piece), '/');
    int64_t first, last;
    if (ends.size() > 2 || !DayOfText(ends.front(), &first) || !DayOfText(ends.back(), &last) || last < first)
      return false;
    for (int64_t day = first; day <= last; ++day) days->insert(day);
  }
  return true;
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.size() < 10 && std::all_of(text.begin(), text.end(), [](char c) { return isdigit(c); });
}

// ---- Parameters.

const std::map<std::string, std::string>& Defaults() {
  static const auto* defaults = new std::map<std::string, std::string>{
      {"grace_days", "30"},         {"retention_days", "30"}, {"freeze.allow_delete", "off"}, {"freeze.exempt", "off"},
      {"holiday_extension", "off"}, {"holidays", ""},         {"retention.cumulative", "off"}};
  return *defaults;
}

bool IsValue(absl::string_view name, absl::string_view value) {
  std::set<int64_t> days;
  if (name == "grace_days" || name == "retention_days") return IsNumber(value);
  if (name == "holidays") return HolidaysOfText(value, &days);
  return value == "on" || value == "off";
}

// ---- Tables.

constexpr char kPendingRow[] = "DDDDDDDADA";
constexpr char kActiveRow[] = "AAAAAAAAAA";
constexpr char kNoticeRow[] = "WWWWWWWAWA";
constexpr char kWithheldRow[] = "DWWWWDDADA";
constexpr char kFrozenRow[] = "DDDDDDDADA";
constexpr char kExemptRow[] = "WWWWWWWAWA";
constexpr char kOpenRow[] = "DWDWWDDADA";
constexpr char kClosedRow[] = "DDDDDDDADA";
constexpr char kBackupRow[] = "DWDDWDDADA";
constexpr char kUnknownRow[] = "WWWWWWWWWW";
constexpr int kDeleteAt = 3;

bool ClosesData(TerminationCause cause) {
  return cause == TerminationCause::kBreach || cause == TerminationCause::kSecurity ||
         cause == TerminationCause::kViolation || cause == TerminationCause::kArrears;
}

std::string ClauseOf(TerminationCause cause) {
  switch (cause) {
    case TerminationCause::kExpired:
      return "4.3";
    case TerminationCause::kArrears:
      return "7.2.2";
    case TerminationCause::kMutual:
      return "7.3.1";
    case TerminationCause::kBreach:
      return "7.3.2";
    case TerminationCause::kSecurity:
      return "7.3.3";
    case TerminationCause::kNotice:
      return "7.3.4";
    case TerminationCause::kTermsRejected:
      return "3.1.1";
    case TerminationCause::kViolation:
      return "3.1.3.10";
    default:
      return "";
  }
}

int Strictness(char letter) { return letter == 'A' ? 0 : letter == 'W' ? 1 : 2; }

std::string Stricter(std::string a, absl::string_view b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = Strictness(b[i]) > Strictness(a[i]) ? b[i] : a[i];
  return a;
}

bool May(Role role, const Change& change) {
  const auto is = [&](std::initializer_list<Role> roles) { return std::count(roles.begin(), roles.end(), role) > 0; };
  const Role B = Role::kBilling, L = Role::kLegal, M = Role::kModeration, S = Role::kSecurity;
  if (std::holds_alternative<GiveNotice>(change) || std::holds_alternative<WithdrawNotice>(change) ||
      std::holds_alternative<GrantBackup>(change)) {
    return is({L});
  }
  if (const auto* terminate = std::get_if<Terminate>(&change)) {
    switch (terminate->cause) {
      case TerminationCause::kUnspecified:
      case TerminationCause::kArrears:
      case TerminationCause::kExpired:
        return false;
      case TerminationCause::kTermsRejected:
        return is({L, B});
      case TerminationCause::kSecurity:
        return is({L, S});
      case TerminationCause::kViolation:
        return is({L, S, M});
      default:
        return is({L});
    }
  }
  if (std::holds_alternative<ConfirmReclaimed>(change)) return is({Role::kStorage});
  if (std::holds_alternative<SetParameter>(change) || std::holds_alternative<AnnounceTerms>(change)) return is({B, L});
  if (std::holds_alternative<PlaceHold>(change) || std::holds_alternative<ReleaseHold>(change)) return is({L, M, S});
  if (std::holds_alternative<RaiseFlag>(change) || std::holds_alternative<ClearFlag>(change)) return is({M, L});
  return is({B});
}

// The account whose lifecycle a change is about; nullptr of other changes.
const std::string* AccountOf(const Change& change) {
  return std::visit(
      [](const auto& each) -> const std::string* {
        using T = std::decay_t<decltype(each)>;
        if constexpr (std::is_same_v<T, OpenAccount> || std::is_same_v<T, Paid> || std::is_same_v<T, Withhold> ||
                      std::is_same_v<T, ClearWithhold> || std::is_same_v<T, SetBalance> || std::is_same_v<T, Freeze> ||
                      std::is_same_v<T, PaymentPending> || std::is_same_v<T, Unfreeze> ||
                      std::is_same_v<T, SetServiceEnd> || std::is_same_v<T, GiveNotice> ||
                      std::is_same_v<T, WithdrawNotice> || std::is_same_v<T, Terminate> ||
                      std::is_same_v<T, GrantBackup> || std::is_same_v<T, Reinstate> ||
                      std::is_same_v<T, ConfirmReclaimed>) {
          return &each.account;
        } else {
          return nullptr;
        }
      },
      change);
}

std::string KeptId(const Change& change) {
  if (const auto* place = std::get_if<PlaceHold>(&change)) return "hold " + place->hold_id;
  if (const auto* release = std::get_if<ReleaseHold>(&change)) return "hold " + release->hold_id;
  if (const auto* raise = std::get_if<RaiseFlag>(&change)) return "flag " + raise->flag_id;
  if (const auto* clear = std::get_if<ClearFlag>(&change)) return "flag " + clear->flag_id;
  return "";
}

template <typename Told>
bool ByEffect(const Told& a, const Told& b) {
  return a.at != b.at ? a.at < b.at : a.number < b.number;
}

}  // namespace

absl::Time ModelWindowEnd(absl::Time event, int64_t days, absl::string_view holidays) {
  std::set<int64_t> off;
  HolidaysOfText(holidays, &off);
  int64_t last = DayNumber(event) + days;
  while (off.count(last)) ++last;
  return DayStart(last + 1);
}

// One account, lived from its first event on.
class Life {
 public:
  // Time passes up to `reached` only; what is acknowledged counts all the same.
  Life(const LifecycleModel* model, absl::string_view account, absl::Time reached, std::set<absl::Time>* timers)
      : model_(model), account_(account), reached_(reached), timers_(timers) {}

  // All that time alone brings up to and at `t`.
  void PassUntil(absl::Time t) {
    if (!opened_) return;
    const absl::Time limit = std::min(t, reached_);
    while (true) {
      absl::Time next = absl::InfiniteFuture();
      const auto consider = [&](absl::Time each) {
        if (each > cursor_ && each <= limit) next = std::min(next, each);
      };
      for (const auto& each : {service_end_, notice_}) {
        if (each && each->time > cursor_ && each->time <= t && each->time <= std::max(reached_, each->arrived)) {
          next = std::min(next, each->time);
        }
      }
      for (const Clock& clock : Clocks()) consider(clock.deadline);
      // What was over when it was told is in no doubt.
      absl::Time timer = next;
      for (const auto& each : {service_end_, notice_}) {
        if (each && each->time == next && each->time <= each->arrived) timer = absl::InfiniteFuture();
      }
      for (const absl::Time each : ValueChanges({"grace_days", "retention_days", "holidays", "holiday_extension"})) {
        consider(each);
      }
      if (next == absl::InfiniteFuture()) break;
      cursor_ = next;
      if (timers_ != nullptr && next == timer) timers_->insert(next);
      Settle(absl::InfinitePast());
    }
    cursor_ = std::max(cursor_, t);
  }

  // False: refused, and nothing has changed. `forced`: it was accepted once, and is not judged again.
  bool Apply(const LifecycleModel::Told& told, bool forced) {
    PassUntil(told.at);
    if (!opened_) {
      if (!forced &&
          (std::holds_alternative<Reinstate>(told.change) || std::holds_alternative<GrantBackup>(told.change) ||
           std::holds_alternative<ConfirmReclaimed>(told.change))) {
        return false;
      }
      cursor_ = told.at;
    }
    if (!forced && State() == AccountState::kReclaimed) {
      return std::holds_alternative<Paid>(told.change) || std::holds_alternative<SetBalance>(told.change) ||
             std::holds_alternative<PaymentPending>(told.change) ||
             std::holds_alternative<ConfirmReclaimed>(told.change);
    }
    const bool opened = opened_;
    if (!opened_) {
      opened_ = true;
      paid_ = !std::holds_alternative<OpenAccount>(told.change);
    }
    if (!Change(told, forced)) {
      opened_ = opened;
      return false;
    }
    Settle(told.arrived);
    return true;
  }

  // All that an event may change, as a text.
  std::string Facts() const {
    std::string out = absl::StrCat(opened_, paid_, withheld_, payment_pending_, backup_, reclaimed_, over_.has_value());
    const auto append = [&](absl::string_view what, absl::Time t) {
      absl::StrAppend(&out, " ", what, " ", absl::ToUnixSeconds(t), ".", absl::ToUnixNanos(t));
    };
    if (frozen_) append("frozen", frozen_->at);
    for (const Ending& each : terminations_) append("ended", each.at);
    if (notice_) append("notice", notice_->time);
    if (service_end_) append("end", service_end_->time);
    return out;
  }

  ModelStanding Standing(bool delete_opened) const {
    ModelStanding out;
    out.row = kUnknownRow;
    out.reason = Reason::kUnknownAccount;
    if (!opened_) return out;
    out.state = State();
    out.since = since_;
    out.payment_pending = payment_pending_;
    switch (out.state) {
      case AccountState::kPending:
        out.row = kPendingRow;
        out.reason = Reason::kPendingPayment;
        out.clause = "7.1";
        break;
      case AccountState::kNotice:
        out.row = kNoticeRow;
        out.reason = Reason::kTerminationNotice;
        out.clause = "7.3.4";
        break;
      case AccountState::kWithheld:
        out.row = kWithheldRow;
        out.reason = Reason::kServiceWithheld;
        out.clause = "2.2";
        break;
      case AccountState::kFrozen:
        out.row = frozen_->exempt ? kExemptRow : kFrozenRow;
        if (delete_opened) out.row[kDeleteAt] = 'W';
        if (Ended()) out.row = Stricter(out.row, RetentionRow());
        // Granted once the grace was over, if the clock is right: what was acknowledged holds all the same.
        if (backup_in_doubt_) {
          for (const int op : {1, 4}) out.row[op] = out.row[op] == 'D' ? 'W' : out.row[op];
        }
        out.reason = Reason::kAccountFrozen;
        out.clause = "7.2.1";
        for (const Clock& clock : Clocks())
          out.deadline = out.deadline ? std::max(*out.deadline, clock.deadline) : clock.deadline;
        break;
      case AccountState::kRetention: {
        const Clock last = Last();
        out.row = RetentionRow();
        out.cause = last.cause;
        out.deadline = last.deadline;
        out.reason = Reason::kAgreementEnded;
        out.clause = ClauseOf(out.cause);
        break;
      }
      case AccountState::kReclaimable:
      case AccountState::kReclaimed:
        out.row = kClosedRow;
        if (over_) {
          out.cause = over_->cause;
          out.deadline = over_->deadline;
        }
        out.announce_from = announce_from_;
        out.reason = reclaimed_ ? Reason::kReclaimed : Reason::kAgreementEnded;
        out.clause = ClauseOf(out.cause);
        break;
      default:
        out.row = kActiveRow;
        out.reason = Reason::kUnspecified;
    }
    return out;
  }

 private:
  struct Clock {
    TerminationCause cause;
    int rank;  // of clocks that end together the smallest counts
    absl::Time deadline;
    absl::Time arrived;  // the event that started it
  };
  struct Freezing {
    absl::Time at, arrived;
    bool exempt, cumulative;
  };
  struct Written {
    absl::Time time, arrived;
  };
  struct Ending {
    TerminationCause cause;
    absl::Time at, arrived;
  };

  absl::Time Reached() const { return std::min(cursor_, reached_); }
  // What was over when it was told is over for certain.
  bool HasCome(const absl::optional<Written>& written) const {
    return written && written->time <= cursor_ && (written->time <= reached_ || written->time <= written->arrived);
  }

  std::string Value(absl::string_view name, absl::Time t, absl::Time known_by) const {
    return model_->ValueAt(name, account_, t, known_by);
  }

  std::set<absl::Time> ValueChanges(const Names& names) const {
    std::set<absl::Time> out;
    for (const auto& value : model_->values_) {
      if (std::count(names.begin(), names.end(), value.set.name) == 0) continue;
      if (!value.set.account.empty() && value.set.account != account_) continue;
      out.insert({value.from, value.to, value.arrived});
    }
    return out;
  }

  // The end of a window that began at `start`, as it stands at this instant: read when it begins, and moved later,
  // never sooner, by what comes into force while it runs. What is told late counts from its date, like any event, and
  // moves the end later or not at all.
  absl::Time Window(const char* name, absl::Time start, absl::Time arrived) const {
    const auto read = [&](absl::Time t, absl::Time known_by) {
      const bool extension = Value("holiday_extension", t, known_by) == "on";
      return ModelWindowEnd(start, std::atoll(Value(name, t, known_by).c_str()),
                            extension ? Value("holidays", t, known_by) : "");
    };
    absl::Time end = std::max(read(start, std::max(start, arrived)), read(start, absl::InfiniteFuture()));
    for (const absl::Time each : ValueChanges({name, "holidays", "holiday_extension"})) {
      if (each > start && each <= Reached() && each < end) end = std::max(end, read(each, absl::InfiniteFuture()));
    }
    return end;
  }

  // Every clock that has begun.
  std::vector<Clock> Clocks() const {
    std::vector<Clock> out;
    if (frozen_ && !frozen_->exempt) {
      absl::Time end = Window("grace_days", frozen_->at, frozen_->arrived);
      if (frozen_->cumulative && end <= Reached()) end = Window("retention_days", end, frozen_->arrived);
      out.push_back({TerminationCause::kArrears, 0, end, frozen_->arrived});
    }
    for (const Ending& each : terminations_) {
      const int rank = each.cause == TerminationCause::kNotice ? 2 : 1;
      out.push_back({each.cause, rank, Window("retention_days", each.at, each.arrived), each.arrived});
    }
    if (HasCome(notice_)) {
      out.push_back(
          {TerminationCause::kNotice, 2, Window("retention_days", notice_->time, notice_->arrived), notice_->arrived});
    }
    if (HasCome(service_end_)) {
      out.push_back({TerminationCause::kExpired, 3, Window("retention_days", service_end_->time, service_end_->arrived),
                     service_end_->arrived});
    }
    return out;
  }

  // Of the clocks begun, the one that ends last.
  Clock Last() const {
    const std::vector<Clock> clocks = Clocks();
    Clock last = clocks.front();
    for (const Clock& each : clocks) {
      if (each.deadline > last.deadline || (each.deadline == last.deadline && each.rank < last.rank)) last = each;
    }
    return last;
  }

  bool GraceOver() const {
    return frozen_ && !frozen_->exempt && frozen_->cumulative &&
           Window("grace_days", frozen_->at, frozen_->arrived) <= Reached();
  }
  // Whether the agreement has ended by anything but a freeze that is still in its grace.
  bool Ended() const { return GraceOver() || !terminations_.empty() || HasCome(notice_) || HasCome(service_end_); }

  // What a breach, say, has closed stays closed, though its own window may end before another clock's: time that passes
  // gives no right back.
  bool IsClosed() const {
    for (const Clock& each : Clocks()) {
      if ((each.cause != TerminationCause::kArrears || GraceOver()) && ClosesData(each.cause)) return true;
    }
    return false;
  }
  std::string RetentionRow() const { return !IsClosed() ? kOpenRow : backup_ ? kBackupRow : kClosedRow; }

  AccountState State() const {
    if (!opened_) return AccountState::kUnspecified;
    if (reclaimed_) return AccountState::kReclaimed;
    if (over_) return AccountState::kReclaimable;
    if (frozen_ && !GraceOver()) return AccountState::kFrozen;
    if (Ended()) return AccountState::kRetention;
    if (!paid_) return AccountState::kPending;
    // No arrow leads from one of these to the other: the first stands until it is taken back, the second is remembered.
    if (withheld_ && (!notice_ || withheld_first_)) return AccountState::kWithheld;
    if (notice_) return AccountState::kNotice;
    return AccountState::kActive;
  }

  // After each step. `by` is the arrival of the event that made it; InfinitePast where time did.
  void Settle(absl::Time by) {
    const std::vector<Clock> clocks = Clocks();
    if (!over_ && !reclaimed_ && !clocks.empty() && Last().deadline <= Reached()) {
      over_ = last_over_ = Last();
      announce_from_ =
          std::max({over_->deadline + absl::Minutes(10), over_->arrived + absl::Hours(24), by + absl::Hours(24)});
    }
    const bool keeps_backup = State() == AccountState::kFrozen || (State() == AccountState::kRetention && IsClosed());
    if (!keeps_backup && !backup_in_doubt_) backup_ = false;
    if (State() != state_) {
      state_ = State();
      since_ = cursor_;
    }
  }

  void StartFreeze(const LifecycleModel::Told& told) {
    if (frozen_ || over_) return;
    frozen_ = Freezing{told.at, told.arrived, Value("freeze.exempt", told.at, absl::InfiniteFuture()) == "on",
                       Value("retention.cumulative", told.at, absl::InfiniteFuture()) == "on"};
  }

  bool Change(const LifecycleModel::Told& told, bool forced) {
    const sluice::Change& change = told.change;
    if (std::holds_alternative<Paid>(change)) paid_ = true;
    if (std::holds_alternative<Withhold>(change) && !withheld_) {
      withheld_ = true;
      withheld_first_ = !notice_;
    }
    if (std::holds_alternative<ClearWithhold>(change)) withheld_ = false;
    if (const auto* pending = std::get_if<PaymentPending>(&change)) payment_pending_ = pending->pending;
    if (const auto* balance = std::get_if<SetBalance>(&change)) {
      if (balance->balance_minor < balance->consumption_minor && State() != AccountState::kPending) StartFreeze(told);
    }
    if (std::holds_alternative<Freeze>(change)) {
      if (State() == AccountState::kPending) return false;
      StartFreeze(told);
    }
    if (std::holds_alternative<Unfreeze>(change) && frozen_) {
      if (!forced && (over_ || GraceOver())) return false;
      frozen_.reset();
      over_.reset();
    }
    if (const auto* end = std::get_if<SetServiceEnd>(&change)) {
      if (!forced && over_) return false;
      service_end_ = Written{*end->end, told.arrived};
      over_.reset();
    }
    if (const auto* give = std::get_if<GiveNotice>(&change)) {
      if (!forced && *give->termination < DayStart(DayNumber(told.at) + 31)) return false;
      if (!notice_) withheld_first_ = withheld_;
      if (!HasCome(notice_)) notice_ = Written{*give->termination, told.arrived};
    }
    if (std::holds_alternative<WithdrawNotice>(change) && notice_) {
      if (!forced && HasCome(notice_)) return false;
      notice_.reset();
    }
    if (const auto* terminate = std::get_if<Terminate>(&change)) {
      const bool known = std::any_of(terminations_.begin(), terminations_.end(),
                                     [&](const Ending& each) { return each.cause == terminate->cause; });
      if (!known && !over_) terminations_.push_back({terminate->cause, told.at, told.arrived});
    }
    if (std::holds_alternative<GrantBackup>(change)) {
      if (!forced && (State() != AccountState::kRetention || !IsClosed())) return false;
      backup_in_doubt_ = State() != AccountState::kRetention || !IsClosed();
      backup_ = true;
    }
    if (std::holds_alternative<Reinstate>(change)) {
      // After the window of 7.2.2 no unfreeze does: it takes this.
      if (State() == AccountState::kActive) return true;
      if (!forced && State() != AccountState::kReclaimable && !GraceOver()) return false;
      frozen_.reset();
      terminations_.clear();
      notice_.reset();
      service_end_.reset();
      over_.reset();
      withheld_ = payment_pending_ = backup_ = backup_in_doubt_ = false;
      paid_ = true;
    }
    if (std::holds_alternative<ConfirmReclaimed>(change)) {
      if (!over_) over_ = Clocks().empty() ? last_over_ : Last();
      reclaimed_ = true;  // and stays so, whatever is told later of the time before
    }
    return true;
  }

  const LifecycleModel* const model_;
  const absl::string_view account_;
  const absl::Time reached_;
  std::set<absl::Time>* const timers_;

  absl::Time cursor_ = absl::InfinitePast();
  bool opened_ = false;
  bool paid_ = false;
  bool withheld_ = false;
  bool withheld_first_ = false;  // before the notice
  bool payment_pending_ = false;
  bool backup_ = false;
  bool backup_in_doubt_ = false;
  bool reclaimed_ = false;
  absl::optional<Freezing> frozen_;
  std::vector<Ending> terminations_;
  absl::optional<Written> notice_;
  absl::optional<Written> service_end_;
  absl::optional<Clock> over_;       // RECLAIMABLE: the clock that led there
  absl::optional<Clock> last_over_;  // and the last one that ever did
  absl::Time announce_from_;
  AccountState state_ = AccountState::kUnspecified;
  absl::Time since_;
};

// ---- Events ---------------------------------------------------------------------------------------------------------

Outcome LifecycleModel::Tell(const PolicyEvent& event, const Moment& now) {
  if (!event.event_id.empty() && seen_.count({event.source, event.event_id})) return Outcome::kDuplicate;
  const std::string* account = AccountOf(event.change);
  const bool ordered = event.sequence != 0 && account != nullptr && !account->empty();
  if (ordered) {
    const auto last = sequences_.find({*account, event.source});
    if (last != sequences_.end() && event.sequence < last->second) return Outcome::kStale;
  }
  const absl::Time at = event.effective_at.value_or(now.wall);
  if (at > now.wall + absl::Hours(24) || !May(event.role, event.change) || !Accept(event, at, now))
    return Outcome::kRejected;
  ++number_;
  if (!event.event_id.empty()) seen_.insert({event.source, event.event_id});
  if (ordered) sequences_[{*account, event.source}] = event.sequence;
  return Outcome::kApplied;
}

bool LifecycleModel::Accept(const PolicyEvent& event, absl::Time at, const Moment& now) {
  if (const std::string* account = AccountOf(event.change)) return AcceptLifecycle(event, *account, at, now);
  const Told told{event.change, at, now.wall, number_ + 1, event.role};
  if (const auto* set = std::get_if<SetParameter>(&event.change)) {
    if (set->level == Level::kUnspecified || !Defaults().count(set->name) || !IsValue(set->name, set->value))
      return false;
    values_.push_back({*set, set->from.value_or(at), set->to.value_or(absl::InfiniteFuture()), now.wall, number_ + 1});
    return true;
  }
  if (std::holds_alternative<AnnounceTerms>(event.change)) {
    if (at <= now.wall) terms_.clear();  // of terms announced twice the last stands
    terms_.push_back(told);
    std::stable_sort(terms_.begin(), terms_.end(), ByEffect<Told>);
    return true;
  }
  std::vector<Told>& history = kept_[KeptId(event.change)];
  const auto ends = [](const Change& change) {
    return std::holds_alternative<ReleaseHold>(change) || std::holds_alternative<ClearFlag>(change);
  };
  // What was set last, unless an end of it has come.
  const Told* set = nullptr;
  for (const Told& each : history) {
    if (!ends(each.change)) set = &each;
    if (ends(each.change) && each.at <= now.wall) set = nullptr;
  }
  if (set == nullptr && ends(event.change)) return false;
  if (set != nullptr && event.role != set->role && event.role != Role::kLegal) return false;
  history.push_back(told);
  return true;
}

bool LifecycleModel::AcceptLifecycle(const PolicyEvent& event, absl::string_view account, absl::Time at,
                                     const Moment& now) {
  if (account.empty()) return false;
  if (const auto* give = std::get_if<GiveNotice>(&event.change); give && !give->termination) return false;
  if (const auto* end = std::get_if<SetServiceEnd>(&event.change); end && !end->end) return false;
  const ModelStanding today = StandingAt(account, now.wall);
  const bool confirms = std::holds_alternative<ConfirmReclaimed>(event.change);
  if (today.state == AccountState::kReclaimed) {
    return confirms || std::holds_alternative<Paid>(event.change) || std::holds_alternative<SetBalance>(event.change) ||
           std::holds_alternative<PaymentPending>(event.change);
  }
  if (confirms) {
    const auto announced = announced_.find(std::string(account));
    if (announced == announced_.end() || at < announced->second || !now.clock_error || today.payment_pending ||
        Kept(account, false, now) || StandingAt(account, at).state != AccountState::kReclaimable) {
      return false;
    }
  }
  const Told candidate{event.change, at, now.wall, number_ + 1};
  Life life(this, account, absl::InfiniteFuture(), nullptr);
  for (const Told& each : EventsOf(account)) {
    if (each.at <= at) life.Apply(each, false);
  }
  if (!life.Apply(candidate, false)) return false;
  if (today.state == AccountState::kReclaimed) return true;
  told_.push_back(candidate);
  ForgetIdle(account, now.wall);
  return true;
}

void LifecycleModel::ForgetIdle(absl::string_view account, absl::Time now) {
  Life life(this, account, absl::InfiniteFuture(), nullptr);
  std::vector<int64_t> idle;
  for (const Told& each : EventsOf(account)) {
    life.PassUntil(each.at);
    const std::string before = life.Facts();
    const bool applied = life.Apply(each, false);
    const auto* balance = std::get_if<SetBalance>(&each.change);
    if (applied && life.Facts() != before) continue;
    if (balance != nullptr && balance->balance_minor >= balance->consumption_minor && each.number == number_ + 1) {
      told_.pop_back();  // enough of a balance is no event at all
      return;
    }
    if (each.at <= now) idle.push_back(each.number);
  }
  while (idle.size() > 32) {
    const auto first =
        std::find_if(told_.begin(), told_.end(), [&](const Told& each) { return each.number == idle.front(); });
    told_.erase(first);
    idle.erase(idle.begin());
  }
}

std::vector<LifecycleModel::Told> LifecycleModel::EventsOf(absl::string_view account) const {
  std::vector<Told> out;
  for (const Told& each : told_) {
    if (*AccountOf(each.change) == account) out.push_back(each);
  }
  std::stable_sort(out.begin(), out.end(), ByEffect<Told>);
  return out;
}

const LifecycleModel::Value* LifecycleModel::Highest(absl::string_view name, absl::string_view account,
                                                     const std::function<bool(const Value&)>& holds) const {
  const Value* best = nullptr;
  const auto rank = [](const Value& v) { return std::make_tuple(v.set.level, !v.set.account.empty(), v.number); };
  for (const Value& each : values_) {
    if (each.set.name != name || (!each.set.account.empty() && each.set.account != account)) continue;
    if (holds(each) && (best == nullptr || rank(*best) < rank(each))) best = &each;
  }
  return best;
}

std::string LifecycleModel::ValueAt(absl::string_view name, absl::string_view account, absl::Time t,
                                    absl::Time known_by) const {
  const Value* value = Highest(
      name, account, [&](const Value& each) { return each.arrived <= known_by && each.from <= t && t < each.to; });
  return value != nullptr ? value->set.value : Defaults().at(std::string(name));
}

// What opens begins once its written time has passed for certain and ends on time; what closes the other way round.
bool LifecycleModel::DeleteOpened(absl::string_view account, const Moment& now) const {
  const auto passed = [&](absl::Time t) {
    return t <= now.wall && (t <= now.passed_mark || (now.clock_error && t <= now.wall - *now.clock_error));
  };
  const Value* value = Highest("freeze.allow_delete", account, [&](const Value& each) {
    const bool opens = each.set.value == "on";
    if (opens && each.from > each.arrived ? !passed(each.from) : each.from > now.wall) return false;
    return opens ? each.to > now.wall : !passed(each.to);
  });
  return value != nullptr && value->set.value == "on";
}

// ---- Questions ------------------------------------------------------------------------------------------------------

ModelStanding LifecycleModel::Live(absl::string_view account, absl::Time t, absl::Time reached,
                                   std::set<absl::Time>* timers, bool delete_opened) const {
  Life life(this, account, absl::InfiniteFuture(), timers);
  std::vector<Told> held;  // what had its effect
  for (const Told& each : EventsOf(account)) {
    if (each.at <= t && life.Apply(each, false)) held.push_back(each);
  }
  life.PassUntil(t);
  if (reached >= t) return life.Standing(delete_opened);
  Life doubted(this, account, reached, nullptr);
  for (const Told& each : held) {
    if (!each.DatedAhead() || each.at <= reached) doubted.Apply(each, true);
  }
  doubted.PassUntil(t);
  return doubted.Standing(delete_opened);
}

ModelStanding LifecycleModel::StandingAt(absl::string_view account, absl::Time t) const {
  return Live(account, t, t, nullptr);
}

std::vector<absl::Time> LifecycleModel::Doubtful(const std::set<absl::Time>& written, const Moment& now) {
  std::vector<absl::Time> out = {now.wall};
  for (auto each = written.rbegin(); each != written.rend(); ++each) {
    const bool passed = *each <= now.passed_mark || (now.clock_error && *each <= now.wall - *now.clock_error);
    if (*each <= now.wall && !passed) out.push_back(*each - absl::Nanoseconds(1));
  }
  return out;
}

std::vector<ModelStanding> LifecycleModel::Standings(absl::string_view account, const Moment& now) const {
  std::set<absl::Time> written;
  Live(account, now.wall, now.wall, &written);
  for (const Told& each : told_) {
    if (*AccountOf(each.change) == account && each.DatedAhead()) written.insert(each.at);
  }
  for (const Value& each : values_) {
    if (each.from > each.arrived) written.insert(each.from);
    written.insert(each.to);
  }
  std::vector<ModelStanding> out;
  const bool delete_opened = DeleteOpened(account, now);
  for (const absl::Time each : Doubtful(written, now))
    out.push_back(Live(account, now.wall, each, nullptr, delete_opened));
  return out;
}

std::vector<ModelAnswer> LifecycleModel::Ask(absl::string_view owner, absl::string_view requester,
                                             const Moment& now) const {
  std::vector<std::vector<ModelStanding>> parties = {Standings(owner, now)};
  if (requester != owner) parties.push_back(Standings(requester, now));
  // Published terms warn until they take effect.
  bool terms = false;
  for (const Told& each : terms_) {
    if (each.at > now.wall) continue;
    const absl::Time effective = *std::get<AnnounceTerms>(each.change).effective;
    terms = effective > now.passed_mark && (!now.clock_error || effective > now.wall - *now.clock_error);
  }
  std::vector<ModelAnswer> out;
  for (int op = 0; op < 10; ++op) {
    std::map<Reason, std::string> denials, warnings;  // in the order of precedence
    for (const auto& standings : parties) {
      // The strictest; of several the one nearest to now.
      const ModelStanding* decides = &standings.front();
      for (const ModelStanding& each : standings) {
        if (Strictness(each.row[op]) > Strictness(decides->row[op])) decides = &each;
      }
      if (decides->row[op] == 'D') denials.emplace(decides->reason, decides->clause);
      if (decides->row[op] == 'W') warnings.emplace(decides->reason, decides->clause);
    }
    if (terms && kNoticeRow[op] == 'W') warnings.emplace(Reason::kTermsChanged, "3.1.1");
    ModelAnswer answer;
    if (!denials.empty()) {
      answer.verdict = Verdict::kDeny;
      answer.reason = denials.begin()->first;
      answer.clause = denials.begin()->second;
      for (const auto& [reason, clause] : denials) answer.denials.push_back(reason);
    } else if (!warnings.empty()) {
      answer.reason = warnings.begin()->first;
      answer.clause = warnings.begin()->second;
      for (const auto& [reason, clause] : warnings) answer.warnings.push_back(reason);
    }
    out.push_back(answer);
  }
  return out;
}

bool LifecycleModel::KeptAt(absl::string_view account, bool itself, absl::Time t, absl::Time reached) const {
  for (const auto& [id, history] : kept_) {
    const Told* last = nullptr;
    for (const Told& each : history) {
      if (each.at <= t && (!each.DatedAhead() || each.at <= reached)) last = &each;
    }
    if (last == nullptr) continue;
    const Subject* subject = nullptr;
    if (const auto* place = std::get_if<PlaceHold>(&last->change)) subject = &place->subject;
    if (const auto* raise = std::get_if<RaiseFlag>(&last->change)) {
      if (!raise->expires_at || *raise->expires_at > reached) subject = &raise->subject;
    }
    if (subject == nullptr) continue;
    if (subject->account == account) return true;
    const auto owner = owner_of_.find(subject->bucket);
    if (!itself && owner != owner_of_.end() && owner->second == account) return true;
  }
  return false;
}

bool LifecycleModel::Kept(absl::string_view account, bool itself, const Moment& now) const {
  std::set<absl::Time> written;
  for (const auto& [id, history] : kept_) {
    for (const Told& each : history) {
      if (each.DatedAhead()) written.insert(each.at);
      if (const auto* raise = std::get_if<RaiseFlag>(&each.change); raise && raise->expires_at) {
        written.insert(*raise->expires_at);
      }
    }
  }
  for (const absl::Time each : Doubtful(written, now)) {
    if (KeptAt(account, itself, now.wall, each)) return true;
  }
  return false;
}

// ---- Announcements --------------------------------------------------------------------------------------------------

std::vector<ModelAnnouncement> LifecycleModel::Announce(const Moment& now) {
  std::set<std::string> accounts;  // those due together go by id
  for (const Told& each : told_) accounts.insert(*AccountOf(each.change));
  std::vector<ModelAnnouncement> out;
  for (const std::string& account : accounts) {
    const ModelStanding standing = StandingAt(account, now.wall);
    if (standing.state == AccountState::kReclaimed) continue;
    const bool reclaimable = standing.state == AccountState::kReclaimable;
    const bool kept = Kept(account, false, now);
    if (announced_.count(account)) {
      if (reclaimable && !kept) continue;
      announced_.erase(account);
      out.push_back({AnnouncementKind::kReclaimCancelled, account});
    } else if (reclaimable && !kept && now.clock_error && !standing.payment_pending &&
               *standing.announce_from <= now.wall) {
      announced_[account] = now.wall;
      out.push_back({AnnouncementKind::kReclaimable, account});
    }
  }
  return out;
}

std::vector<absl::Time> LifecycleModel::Instants(const Moment& now, absl::Time until) const {
  std::set<absl::Time> all;
  const auto add = [&](absl::Time t) {
    all.insert({t, t + absl::Minutes(10), t + absl::Hours(24), t + now.clock_error.value_or(absl::ZeroDuration())});
  };
  std::set<std::string> accounts;
  for (const Told& each : told_) {
    accounts.insert(*AccountOf(each.change));
    add(each.at);
    add(each.arrived);
  }
  for (const std::string& account : accounts) {
    std::set<absl::Time> timers;
    Live(account, until, until, &timers);
    for (const absl::Time each : timers) add(each);
  }
  for (const auto& [id, history] : kept_) {
    for (const Told& each : history) {
      add(each.at);
      if (const auto* raise = std::get_if<RaiseFlag>(&each.change); raise && raise->expires_at) add(*raise->expires_at);
    }
  }
  // Policy time stands still while the wall clock, set back, has not caught up.
  if (until <= now.wall) return {};
  return {all.upper_bound(now.wall), all.upper_bound(until)};
}

}  // namespace sluice
