#include "enforcement/lifecycle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "enforcement/calendar.h"
#include "enforcement/lifecycle_doubt.h"

namespace sluice {
namespace {

// A window of 7.2.2 or 4.3 that runs towards its deadline, as it stands now.
struct ClockRun {
  TerminationCause cause = TerminationCause::kUnspecified;
  absl::string_view window;  // the parameter that gives its days
  absl::Time start;
  absl::Time arrived_at;  // of the event that started it
  absl::Time deadline;
};

constexpr absl::string_view kGrace = "grace_days";          // 7.2.2
constexpr absl::string_view kRetention = "retention_days";  // 4.3

// Of clocks that end together: ARREARS, then the termination's own, NOTICE, EXPIRED.
int TieOrder(TerminationCause cause) {
  switch (cause) {
    case TerminationCause::kArrears:
      return 0;
    case TerminationCause::kNotice:
      return 2;
    case TerminationCause::kExpired:
      return 3;
    default:
      return 1;
  }
}

PermissionRow StricterOf(const PermissionRow& a, const PermissionRow& b) {
  PermissionRow row;
  for (size_t i = 0; i < row.size(); ++i) row[i] = std::max(a[i], b[i]);
  return row;
}

// Steps through the facts of one account in order of effective_at and writes down each segment on the way.
//
// With `reached`, time alone brings nothing about after that moment: how the account stands if the clocks are slow and
// what is written for later has not come yet. Such a life takes what the other one accepted, and is not asked whether
// it may.
class Life {
 public:
  Life(absl::string_view account, const Parameters& parameters, const Pack& pack,
       absl::Time reached = absl::InfiniteFuture())
      : account_(account),
        parameters_(parameters),
        pack_(pack),
        reached_(reached),
        forced_(reached != absl::InfiniteFuture()) {}

  // What time alone brings about up to and at `t`.
  void AdvanceTo(absl::Time t) {
    for (;;) {
      const Turn next = NextTurn();
      if (next.at > t || next.at == absl::InfiniteFuture()) break;
      now_ = next.at;
      written_ = next.written;
      (written_ ? written_times_ : certain_times_).push_back(now_);
      Settle(absl::InfinitePast());
    }
    now_ = t;
  }

  LifecycleOutcome Take(const StampedEvent& fact) {
    AdvanceTo(*fact.event.effective_at);
    arrived_at_ = fact.arrived_at;
    written_ = now_ > fact.arrived_at;
    LifecycleOutcome outcome;
    if (!opened_ && !std::holds_alternative<OpenAccount>(fact.event.change)) {
      if (const absl::string_view why = NeedsOpening(fact.event.change); !forced_ && !why.empty()) {
        outcome.error = std::string(why);
        return outcome;
      }
      // A freeze is never lost for want of an opening: the account opens as paid.
      opened_ = paid_ = true;
      outcome = std::visit([&](const auto& change) { return Apply(change); }, fact.event.change);
      outcome.changes |= outcome.accepted;
    } else if (reclaimed_ && !forced_) {
      std::string why = WhyNotOnceReclaimed(fact.event.change);
      outcome = why.empty() ? Unchanged() : Refused(std::move(why));
    } else {
      outcome = std::visit([&](const auto& change) { return Apply(change); }, fact.event.change);
    }
    if (outcome.accepted && outcome.changes) {
      if (written_) written_times_.push_back(now_);
      Settle(fact.arrived_at);
    }
    return outcome;
  }

  Timeline TakeTimeline() { return {std::move(segments_)}; }
  // The times at which something came about that had been written down beforehand, in order, some of them twice.
  const std::vector<absl::Time>& written_times() const { return written_times_; }
  // The times at which something had come about when it was told.
  const std::vector<absl::Time>& certain_times() const { return certain_times_; }

 private:
  struct Frozen {
    absl::Time since;
    absl::Time arrived_at;
    bool exempt = false;
    bool cumulative = false;  // 7.2.2 and then 4.3
  };
  struct Dated {
    absl::Time at;
    absl::Time arrived_at;
  };
  struct Ended {
    TerminationCause cause;
    absl::Time at;
    absl::Time arrived_at;
  };

  static LifecycleOutcome Refused(std::string why) { return {false, false, std::move(why)}; }
  static LifecycleOutcome Changed() { return {true, true, ""}; }
  static LifecycleOutcome Unchanged() { return {true, false, ""}; }

  static absl::string_view NeedsOpening(const Change& change) {
    if (std::holds_alternative<Reinstate>(change)) return "reinstate: wants an account that is known";
    if (std::holds_alternative<GrantBackup>(change)) return "grant_backup: wants an account that is known";
    if (std::holds_alternative<ConfirmReclaimed>(change)) return "confirm_reclaimed: wants an account that is known";
    return "";
  }

  absl::Time Deadline(absl::string_view window, absl::Time start, absl::Time arrived_at) const {
    return parameters_.Deadline(window, account_, start, arrived_at, Reached());
  }
  absl::Time GraceEnd() const { return Deadline(kGrace, freeze_->since, freeze_->arrived_at); }

  std::vector<ClockRun> ClocksBegun() const {
    std::vector<ClockRun> clocks;
    const auto add = [&](TerminationCause cause, absl::string_view window, absl::Time start, absl::Time arrived_at) {
      clocks.push_back({cause, window, start, arrived_at, Deadline(window, start, arrived_at)});
    };
    if (InArrearsRetention()) {
      add(TerminationCause::kArrears, kRetention, GraceEnd(), freeze_->arrived_at);
    } else if (freeze_ && !freeze_->exempt) {
      add(TerminationCause::kArrears, kGrace, freeze_->since, freeze_->arrived_at);
    }
    for (const Ended& ended : terminations_) add(ended.cause, kRetention, ended.at, ended.arrived_at);
    if (HasCome(notice_)) add(TerminationCause::kNotice, kRetention, notice_->at, notice_->arrived_at);
    if (HasCome(service_end_)) {
      add(TerminationCause::kExpired, kRetention, service_end_->at, service_end_->arrived_at);
    }
    return clocks;
  }

  // The next moment after now_ at which time alone changes something, and is not held up.
  struct Turn {
    absl::Time at = absl::InfiniteFuture();
    bool written = true;  // beforehand
  };
  Turn NextTurn() const {
    Turn next;
    const auto consider = [&](absl::Time t, bool written) {
      if (t > now_ && t < next.at && (t <= reached_ || !written)) next = {t, written};
    };
    if (reclaimable_ || reclaimed_) return next;
    for (const auto& dated : {service_end_, notice_}) {
      if (dated) consider(dated->at, dated->at > dated->arrived_at);
    }
    for (const ClockRun& clock : ClocksBegun()) {
      consider(clock.deadline, true);
      // A value that comes into force while the clock runs may move its deadline.
      const absl::Time move = parameters_.NextMove(clock.window, account_, now_);
      if (move < clock.deadline) consider(move, true);
    }
    return next;
  }

  absl::Time Reached() const { return std::min(now_, reached_); }
  // What was over when it was told is over for certain.
  bool HasCome(const absl::optional<Dated>& dated) const {
    return dated && dated->at <= now_ && (dated->at <= reached_ || dated->at <= dated->arrived_at);
  }
  bool InArrearsRetention() const {
    return freeze_ && freeze_->cumulative && !freeze_->exempt && GraceEnd() <= Reached();
  }
  // Not paid for, and nothing else has come of it: its agreement may have ended all the same.
  bool IsPending() const { return State() == AccountState::kPending; }
  bool IsFrozen() const { return freeze_ && !InArrearsRetention(); }
  AccountState State() const { return segments_.empty() ? AccountState::kUnspecified : segments_.back().state; }

  // Writes the segment that begins now_. `arrived_at`: of the event that brought it about, if one did.
  void Settle(absl::Time arrived_at) {
    const std::vector<ClockRun> clocks = ClocksBegun();
    const ClockRun* last = nullptr;
    for (const ClockRun& clock : clocks) {
      if (last == nullptr || clock.deadline > last->deadline ||
          (clock.deadline == last->deadline && TieOrder(clock.cause) < TieOrder(last->cause))) {
        last = &clock;
      }
    }
    if (reclaimed_ && !reclaimable_ && last != nullptr) {
      cause_ = last->cause;
      deadline_ = last->deadline;
    }
    if (!reclaimable_ && !reclaimed_ && last != nullptr && last->deadline <= Reached()) {
      reclaimable_ = true;
      backup_ = false;
      cause_ = last->cause;
      deadline_ = last->deadline;
      announce_at_ = std::max(std::max(arrived_at, last->arrived_at) + pack_.reclaim_after_arrival,
                              last->deadline + pack_.reclaim_margin);
    }
    Segment segment;
    segment.from = now_;
    if (written_) segment.waits_for = now_;
    segment.payment_pending = payment_pending_;
    Fill(clocks, last, &segment);
    segment.since = segments_.empty() || segments_.back().state != segment.state ? now_ : segments_.back().since;
    if (!segments_.empty() && segments_.back().from == now_) {
      // Two facts of one moment: the later one stands. It waits only if both do.
      if (!segments_.back().waits_for) segment.waits_for.reset();
      segments_.back() = segment;
    } else {
      segments_.push_back(segment);
    }
  }

  const PermissionRow& Row(StateRow row) const { return pack_.rows[static_cast<size_t>(row)]; }

  bool IsClosed(TerminationCause cause) const { return pack_.causes[static_cast<size_t>(cause)].closed; }

  PermissionRow RetentionRow(const std::vector<ClockRun>& clocks) const {
    const bool closed =
        std::any_of(clocks.begin(), clocks.end(), [&](const ClockRun& each) { return IsClosed(each.cause); });
    PermissionRow row = Row(closed ? StateRow::kRetentionClosed : StateRow::kRetentionOpen);
    if (closed && backup_) PermitBackup(&row);
    return row;
  }
  static void PermitBackup(PermissionRow* row) {
    for (const Operation each : {Operation::kDownload, Operation::kList}) {
      (*row)[static_cast<size_t>(each)] = std::min((*row)[static_cast<size_t>(each)], Permission::kWarn);
    }
  }

  void Fill(const std::vector<ClockRun>& clocks, const ClockRun* last, Segment* segment) const {
    if (reclaimed_ || reclaimable_) {
      segment->state = reclaimed_ ? AccountState::kReclaimed : AccountState::kReclaimable;
      segment->permissions = Row(reclaimed_ ? StateRow::kReclaimed : StateRow::kReclaimable);
      segment->cause = cause_;
      segment->deadline = deadline_;
      if (!reclaimed_) segment->announce_at = announce_at_;
      return;
    }
    if (last != nullptr) segment->deadline = last->deadline;
    if (IsFrozen()) {
      segment->state = AccountState::kFrozen;
      segment->permissions = Row(StateRow::kFrozen);
      if (backup_while_frozen_) PermitBackup(&segment->permissions);
      // A freeze may leave deletion open; it does not open what a termination has closed.
      segment->delete_by_parameter = std::none_of(terminations_.begin(), terminations_.end(),
                                                  [&](const Ended& each) { return IsClosed(each.cause); });
      if (freeze_->exempt) {
        for (Permission& permission : segment->permissions) permission = std::min(permission, Permission::kWarn);
        // The freeze itself opens nothing that another clock has closed.
        if (!clocks.empty()) segment->permissions = StricterOf(segment->permissions, RetentionRow(clocks));
      }
      return;
    }
    if (last != nullptr) {
      segment->state = AccountState::kRetention;
      segment->cause = last->cause;
      segment->permissions = RetentionRow(clocks);
      return;
    }
    StateRow row = StateRow::kActive;
    segment->state = AccountState::kActive;
    if (!paid_) {
      segment->state = AccountState::kPending;
      row = StateRow::kPending;
    } else if (withheld_ && (!notice_ || withheld_first_)) {
      segment->state = AccountState::kWithheld;
      row = StateRow::kWithheld;
    } else if (notice_) {
      segment->state = AccountState::kNotice;
      row = StateRow::kNotice;
    }
    segment->permissions = Row(row);
  }

  // ---- One event each -----------------------------------------------------------------------------------------------

  template <typename Other>
  LifecycleOutcome Apply(const Other&) {
    return Refused("not an event of the account lifecycle");
  }
  LifecycleOutcome Apply(const OpenAccount&) {
    if (opened_) return Unchanged();
    opened_ = true;
    return Changed();
  }
  LifecycleOutcome Apply(const Paid&) {
    if (paid_) return Unchanged();
    paid_ = true;
    return Changed();
  }
  LifecycleOutcome Apply(const Withhold&) {
    if (withheld_) return Unchanged();
    withheld_ = true;
    withheld_first_ = !notice_;
    return Changed();
  }
  LifecycleOutcome Apply(const ClearWithhold&) {
    if (!withheld_) return Unchanged();
    withheld_ = false;
    return Changed();
  }
  LifecycleOutcome Apply(const SetBalance& balance) {
    // 7.2.1: less than, not equal; and no balance freezes an account that never paid.
    if (balance.balance_minor >= balance.consumption_minor || IsPending()) return Unchanged();
    return Apply(Freeze{});
  }
  LifecycleOutcome Apply(const Freeze&) {
    if (IsPending()) return Refused("freeze: the account is PENDING; there is nothing to freeze (7.1)");
    if (freeze_ || reclaimable_) return Unchanged();
    Frozen frozen;
    frozen.since = now_;
    frozen.arrived_at = arrived_at_;
    frozen.exempt = parameters_.ValueAt("freeze.exempt", account_, now_) == "on";
    frozen.cumulative = parameters_.ValueAt("retention.cumulative", account_, now_) == "on";
    freeze_ = frozen;
    return Changed();
  }
  LifecycleOutcome Apply(const PaymentPending& pending) {
    if (payment_pending_ == pending.pending) return Unchanged();
    payment_pending_ = pending.pending;
    return Changed();
  }
  LifecycleOutcome Apply(const Unfreeze&) {
    if (!freeze_) return Unchanged();
    if (!forced_ && (reclaimable_ || InArrearsRetention())) {
      return Refused(absl::StrCat(
          "unfreeze: effective at ", ChinaTimeText(now_), ", after the window of 7.2.2 closed at ",
          ChinaTimeText(reclaimable_ ? *deadline_ : GraceEnd()), "; only reinstate brings the account back"));
    }
    freeze_.reset();
    reclaimable_ = false;
    return Changed();
  }
  LifecycleOutcome Apply(const SetServiceEnd& change) {
    if (!change.end) return Refused("set_service_end.end: want a time, got none");
    if (reclaimable_ && !forced_) {
      return Refused(absl::StrCat("set_service_end: effective at ", ChinaTimeText(now_),
                                  ", after the window closed at ", ChinaTimeText(*deadline_),
                                  "; only reinstate brings the account back"));
    }
    if (service_end_ && service_end_->at == *change.end) return Unchanged();
    service_end_ = Dated{*change.end, arrived_at_};
    reclaimable_ = false;
    return Changed();
  }
  LifecycleOutcome Apply(const GiveNotice& change) {
    if (!change.termination) return Refused("give_notice.termination: want a time, got none");
    const absl::Time earliest = WindowEnd(now_, 30);  // 7.3.4: 30 full days; no parameter shortens them
    if (*change.termination < earliest && !forced_) {
      return Refused(absl::StrCat("give_notice.termination: want ", ChinaTimeText(earliest),
                                  " or later (7.3.4: 30 days), got ", ChinaTimeText(*change.termination)));
    }
    // In RECLAIMABLE too: it is remembered, and shows where a payment dated back reopens the account.
    if (notice_ && (HasCome(notice_) || notice_->at == *change.termination)) return Unchanged();
    if (!notice_) withheld_first_ = withheld_;
    notice_ = Dated{*change.termination, arrived_at_};
    return Changed();
  }
  LifecycleOutcome Apply(const WithdrawNotice&) {
    if (!notice_) return Unchanged();
    if (HasCome(notice_) && !forced_) {
      return Refused(absl::StrCat("withdraw_notice: effective at ", ChinaTimeText(now_), ", after the termination at ",
                                  ChinaTimeText(notice_->at)));
    }
    notice_.reset();
    return Changed();
  }
  LifecycleOutcome Apply(const Terminate& change) {
    if (reclaimable_) return Unchanged();
    for (const Ended& ended : terminations_) {
      if (ended.cause == change.cause) return Unchanged();
    }
    terminations_.push_back({change.cause, now_, arrived_at_});
    return Changed();
  }
  LifecycleOutcome Apply(const GrantBackup&) {
    if (State() == AccountState::kRetention) {
      for (const ClockRun& clock : ClocksBegun()) {
        if (!IsClosed(clock.cause)) continue;
        if (backup_) return Unchanged();
        backup_ = true;
        return Changed();
      }
    }
    if (forced_) {
      // Granted since the window of 7.2.2 is over, if the clock is right: what was acknowledged holds all the same.
      backup_ = backup_while_frozen_ = true;
      return Changed();
    }
    return Refused(
        absl::StrCat("grant_backup: want an account in RETENTION that is closed to its owner, got ", Name(State())));
  }
  LifecycleOutcome Apply(const Reinstate&) {
    if (State() == AccountState::kActive) return Unchanged();
    if (!reclaimable_ && !InArrearsRetention() && !forced_) {
      return Refused(absl::StrCat("reinstate: want an account that is RECLAIMABLE, got ", Name(State())));
    }
    freeze_.reset();
    service_end_.reset();
    notice_.reset();
    terminations_.clear();
    withheld_ = false;
    payment_pending_ = backup_ = backup_while_frozen_ = reclaimable_ = false;
    paid_ = true;
    return Changed();
  }
  LifecycleOutcome Apply(const ConfirmReclaimed&) {
    // Whether it may be confirmed is for Reduce, once. What is erased stays so, whatever is told later of the time
    // before.
    reclaimed_ = true;
    return Changed();
  }

  const absl::string_view account_;
  const Parameters& parameters_;
  const Pack& pack_;
  const absl::Time reached_;
  const bool forced_;

  absl::Time now_ = absl::InfinitePast();
  absl::Time arrived_at_ = absl::InfinitePast();  // of the event being taken
  bool written_ = false;
  std::vector<absl::Time> written_times_, certain_times_;
  absl::InlinedVector<Segment, 6> segments_;

  bool opened_ = false, paid_ = false, payment_pending_ = false, backup_ = false, backup_while_frozen_ = false;
  // Of a notice and a withholding the first stands until it is taken back, and the second is remembered.
  bool withheld_ = false, withheld_first_ = false;
  absl::optional<Dated> notice_, service_end_;
  absl::optional<Frozen> freeze_;
  std::vector<Ended> terminations_;
  bool reclaimable_ = false, reclaimed_ = false;
  TerminationCause cause_ = TerminationCause::kUnspecified;
  OptionalTime deadline_;  // of the clock that led to RECLAIMABLE, if one ever did
  absl::Time announce_at_;
};

bool IsAhead(const StampedEvent& fact) { return *fact.event.effective_at > fact.arrived_at; }

}  // namespace

std::string WhyNotOnceReclaimed(const Change& change) {
  if (std::holds_alternative<Paid>(change) || std::holds_alternative<SetBalance>(change) ||
      std::holds_alternative<PaymentPending>(change) || std::holds_alternative<ConfirmReclaimed>(change)) {
    return "";
  }
  return absl::StrCat(ChangeName(change.index()), ": the account is RECLAIMED; nothing brings it back (7.2.2)");
}

Timeline BuildTimeline(const std::vector<StampedEvent>& facts, absl::string_view account, const Parameters& parameters,
                       const Pack& pack, std::vector<LifecycleOutcome>* outcomes) {
  std::vector<const StampedEvent*> in_order;
  in_order.reserve(facts.size());
  for (const StampedEvent& fact : facts) in_order.push_back(&fact);
  std::stable_sort(in_order.begin(), in_order.end(), [](const StampedEvent* a, const StampedEvent* b) {
    return std::make_pair(*a->event.effective_at, a->revision) < std::make_pair(*b->event.effective_at, b->revision);
  });
  if (outcomes != nullptr) outcomes->resize(facts.size());
  Life life(account, parameters, pack);
  std::vector<const StampedEvent*> accepted;
  std::vector<absl::Time> arrivals;
  for (const StampedEvent* fact : in_order) {
    LifecycleOutcome outcome = life.Take(*fact);
    if (outcome.accepted) {
      accepted.push_back(fact);
      if (!IsAhead(*fact)) arrivals.push_back(*fact->event.effective_at);
    }
    if (outcomes != nullptr) (*outcomes)[fact - facts.data()] = std::move(outcome);
  }
  life.AdvanceTo(absl::InfiniteFuture());
  arrivals.insert(arrivals.end(), life.certain_times().begin(), life.certain_times().end());
  std::sort(arrivals.begin(), arrivals.end());
  return WithDoubts(life.TakeTimeline(), life.written_times(), arrivals, [&](absl::Time reached) {
    Life slow(account, parameters, pack, reached);
    for (const StampedEvent* fact : accepted) {
      if (!IsAhead(*fact) || *fact->event.effective_at <= reached) slow.Take(*fact);
    }
    slow.AdvanceTo(absl::InfiniteFuture());  // what was over when it was told
    return slow.TakeTimeline();
  });
}

}  // namespace sluice
