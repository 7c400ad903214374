#include "enforcement/lifecycle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "enforcement/calendar.h"

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
class Life {
 public:
  Life(absl::string_view account, const Parameters& parameters, const Pack& pack)
      : account_(account), parameters_(parameters), pack_(pack) {}

  // What time alone brings about up to and at `t`.
  void AdvanceTo(absl::Time t) {
    for (;;) {
      const absl::Time next = NextTurn();
      if (next > t || next == absl::InfiniteFuture()) break;
      now_ = next;
      written_ = true;
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
      if (const absl::string_view why = NeedsOpening(fact.event.change); !why.empty()) {
        outcome.error = std::string(why);
        return outcome;
      }
      // A freeze is never lost for want of an opening: the account opens as paid.
      opened_ = paid_ = true;
      outcome = std::visit([&](const auto& change) { return Apply(change); }, fact.event.change);
      outcome.changes |= outcome.accepted;
    } else if (reclaimed_) {
      outcome = AfterReclaim(fact.event.change);
    } else {
      outcome = std::visit([&](const auto& change) { return Apply(change); }, fact.event.change);
    }
    if (outcome.accepted && outcome.changes) Settle(fact.arrived_at);
    return outcome;
  }

  absl::InlinedVector<Segment, 6> TakeSegments() { return std::move(segments_); }

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
    absl::Time effective_at;
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

  static LifecycleOutcome AfterReclaim(const Change& change) {
    if (std::holds_alternative<Paid>(change) || std::holds_alternative<SetBalance>(change) ||
        std::holds_alternative<PaymentPending>(change) || std::holds_alternative<ConfirmReclaimed>(change)) {
      return Unchanged();
    }
    return Refused(
        absl::StrCat(ChangeName(change.index()), ": the account is RECLAIMED; nothing brings it back (7.2.2)"));
  }

  absl::Time Deadline(absl::string_view window, absl::Time start, absl::Time arrived_at) const {
    return parameters_.Deadline(window, account_, start, arrived_at, now_);
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
    if (notice_ && notice_->at <= now_) add(TerminationCause::kNotice, kRetention, notice_->at, notice_->arrived_at);
    if (service_end_ && service_end_->at <= now_) {
      add(TerminationCause::kExpired, kRetention, service_end_->at, service_end_->arrived_at);
    }
    return clocks;
  }

  // The next moment after now_ at which time alone changes something.
  absl::Time NextTurn() const {
    absl::Time next = absl::InfiniteFuture();
    const auto consider = [&](absl::Time t) {
      if (t > now_ && t < next) next = t;
    };
    if (reclaimable_ || reclaimed_) return next;
    if (service_end_) consider(service_end_->at);
    if (notice_) consider(notice_->at);
    for (const ClockRun& clock : ClocksBegun()) {
      consider(clock.deadline);
      // A value that comes into force while the clock runs may move its deadline.
      const absl::Time move = parameters_.NextMove(clock.window, account_, now_);
      if (move < clock.deadline) consider(move);
    }
    return next;
  }

  bool InArrearsRetention() const { return freeze_ && freeze_->cumulative && !freeze_->exempt && GraceEnd() <= now_; }
  bool IsFrozen() const { return freeze_ && !InArrearsRetention(); }
  AccountState State() const { return segments_.empty() ? AccountState::kUnspecified : segments_.back().state; }

  // Writes the segment that begins now_. `arrived_at`: of the event that brought it about, if one did.
  void Settle(absl::Time arrived_at) {
    const std::vector<ClockRun> clocks = ClocksBegun();
    const ClockRun* last = nullptr;
    absl::Time announce_at = arrived_at + pack_.reclaim_after_arrival;
    for (const ClockRun& clock : clocks) {
      if (last == nullptr || clock.deadline > last->deadline ||
          (clock.deadline == last->deadline && TieOrder(clock.cause) < TieOrder(last->cause))) {
        last = &clock;
      }
      announce_at = std::max(announce_at, clock.arrived_at + pack_.reclaim_after_arrival);
    }
    if (!reclaimable_ && !reclaimed_ && last != nullptr && last->deadline <= now_) {
      reclaimable_ = true;
      backup_ = false;
      cause_ = last->cause;
      deadline_ = last->deadline;
      announce_at_ = std::max(announce_at, last->deadline + pack_.reclaim_margin);
    }
    Segment segment;
    segment.from = now_;
    segment.written = written_;
    segment.payment_pending = payment_pending_;
    Fill(clocks, last, &segment);
    segment.since = segments_.empty() || segments_.back().state != segment.state ? now_ : segments_.back().since;
    if (!segments_.empty() && segments_.back().from == now_) {
      // Two facts of one moment: the later one stands. It is "written" only if both were.
      segment.written = segment.written && segments_.back().written;
      const Segment* before = segments_.size() > 1 ? &segments_[segments_.size() - 2] : nullptr;
      if (before != nullptr && before->state == segment.state) segment.since = before->since;
      segments_.back() = segment;
    } else {
      segments_.push_back(segment);
    }
  }

  const PermissionRow& Row(StateRow row) const { return pack_.rows[static_cast<size_t>(row)]; }

  PermissionRow RetentionRow(const std::vector<ClockRun>& clocks) const {
    bool closed = false;
    for (const ClockRun& clock : clocks) closed |= pack_.causes[static_cast<size_t>(clock.cause)].closed;
    PermissionRow row = Row(closed ? StateRow::kRetentionClosed : StateRow::kRetentionOpen);
    if (closed && backup_) {
      row[static_cast<size_t>(Operation::kDownload)] = Permission::kWarn;
      row[static_cast<size_t>(Operation::kList)] = Permission::kWarn;
    }
    return row;
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
      segment->delete_by_parameter = true;
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
    } else if (withheld_ && !(notice_ && notice_->effective_at < *withheld_)) {
      segment->state = AccountState::kWithheld;
      row = StateRow::kWithheld;
    } else if (notice_) {
      segment->state = AccountState::kNotice;
      row = StateRow::kNotice;
    }
    segment->permissions = Row(row);
  }

  // ---- One event each
  // ------------------------------------------------------------------------------------------------

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
    withheld_ = now_;
    return Changed();
  }
  LifecycleOutcome Apply(const ClearWithhold&) {
    if (!withheld_) return Unchanged();
    withheld_.reset();
    return Changed();
  }
  LifecycleOutcome Apply(const SetBalance& balance) {
    // 7.2.1: less than, not equal; and no balance freezes an account that never paid.
    if (balance.balance_minor >= balance.consumption_minor || !paid_) return Unchanged();
    return Apply(Freeze{});
  }
  LifecycleOutcome Apply(const Freeze&) {
    if (!paid_) return Refused("freeze: the account is PENDING; there is nothing to freeze (7.1)");
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
    if (reclaimable_ || InArrearsRetention()) {
      return Refused(absl::StrCat(
          "unfreeze: effective at ", ChinaTimeText(now_), ", after the window of 7.2.2 closed at ",
          ChinaTimeText(reclaimable_ ? deadline_ : GraceEnd()), "; only reinstate brings the account back"));
    }
    if (!freeze_) return Unchanged();
    freeze_.reset();
    return Changed();
  }
  LifecycleOutcome Apply(const SetServiceEnd& change) {
    if (!change.end) return Refused("set_service_end.end: want a time, got none");
    if (reclaimable_) {
      return Refused(absl::StrCat("set_service_end: effective at ", ChinaTimeText(now_),
                                  ", after the window closed at ", ChinaTimeText(deadline_),
                                  "; only reinstate brings the account back"));
    }
    if (service_end_ && service_end_->at == *change.end) return Unchanged();
    service_end_ = Dated{*change.end, arrived_at_, now_};
    return Changed();
  }
  LifecycleOutcome Apply(const GiveNotice& change) {
    if (!change.termination) return Refused("give_notice.termination: want a time, got none");
    const absl::Time earliest = WindowEnd(now_, 30);  // 7.3.4: 30 full days; no parameter shortens them
    if (*change.termination < earliest) {
      return Refused(absl::StrCat("give_notice.termination: want ", ChinaTimeText(earliest),
                                  " or later (7.3.4: 30 days), got ", ChinaTimeText(*change.termination)));
    }
    // In RECLAIMABLE too: it is remembered, and shows where a payment dated back reopens the account.
    if (notice_ && (notice_->at <= now_ || notice_->at == *change.termination)) return Unchanged();
    notice_ = Dated{*change.termination, arrived_at_, notice_ ? notice_->effective_at : now_};
    return Changed();
  }
  LifecycleOutcome Apply(const WithdrawNotice&) {
    if (!notice_) return Unchanged();
    if (notice_->at <= now_) {
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
        if (!pack_.causes[static_cast<size_t>(clock.cause)].closed) continue;
        if (backup_) return Unchanged();
        backup_ = true;
        return Changed();
      }
    }
    return Refused(
        absl::StrCat("grant_backup: want an account in RETENTION that is closed to its owner, got ", Name(State())));
  }
  LifecycleOutcome Apply(const Reinstate&) {
    if (State() == AccountState::kActive) return Unchanged();
    if (!reclaimable_ && !InArrearsRetention()) {
      return Refused(absl::StrCat("reinstate: want an account that is RECLAIMABLE, got ", Name(State())));
    }
    freeze_.reset();
    service_end_.reset();
    notice_.reset();
    terminations_.clear();
    withheld_.reset();
    payment_pending_ = backup_ = reclaimable_ = false;
    paid_ = true;
    return Changed();
  }
  LifecycleOutcome Apply(const ConfirmReclaimed&) {
    // That it was announced is checked by Reduce: announcements are no part of a timeline.
    if (!reclaimable_) {
      return Refused(absl::StrCat("confirm_reclaimed: want an account that is RECLAIMABLE, got ", Name(State())));
    }
    reclaimed_ = true;
    return Changed();
  }

  const absl::string_view account_;
  const Parameters& parameters_;
  const Pack& pack_;

  absl::Time now_ = absl::InfinitePast();
  absl::Time arrived_at_ = absl::InfinitePast();  // of the event being taken
  bool written_ = false;
  absl::InlinedVector<Segment, 6> segments_;

  bool opened_ = false, paid_ = false, payment_pending_ = false, backup_ = false;
  absl::optional<absl::Time> withheld_;
  absl::optional<Dated> notice_, service_end_;
  absl::optional<Frozen> freeze_;
  std::vector<Ended> terminations_;
  bool reclaimable_ = false, reclaimed_ = false;
  TerminationCause cause_ = TerminationCause::kUnspecified;
  absl::Time deadline_, announce_at_;
};

}  // namespace

const Segment* Timeline::At(absl::Time t) const {
  const auto after = std::upper_bound(segments.begin(), segments.end(), t,
                                      [](absl::Time time, const Segment& segment) { return time < segment.from; });
  return after == segments.begin() ? nullptr : &*(after - 1);
}

Permission Timeline::Permits(Operation judged, const Moment& now, const Segment** decided_by) const {
  const Segment* segment = At(now.wall);
  *decided_by = segment;
  if (segment == nullptr) return Permission::kAllow;
  const auto operation = static_cast<size_t>(judged);
  Permission permission = segment->permissions[operation];
  while (segment != segments.data() && segment->written && !now.Passed(segment->from)) {
    --segment;
    if (segment->permissions[operation] > permission) {
      permission = segment->permissions[operation];
      *decided_by = segment;
    }
  }
  // Opened by an event dated ahead, of which it is not certain that its time has come: perhaps it is not known yet.
  if (permission == Permission::kAllow && segment->written && !now.Passed(segment->from)) *decided_by = nullptr;
  return permission;
}

Timeline BuildTimeline(const std::vector<StampedEvent>& facts, absl::string_view account, const Parameters& parameters,
                       const Pack& pack, const StampedEvent* candidate, LifecycleOutcome* outcome) {
  std::vector<const StampedEvent*> in_order;
  in_order.reserve(facts.size());
  for (const StampedEvent& fact : facts) in_order.push_back(&fact);
  std::stable_sort(in_order.begin(), in_order.end(), [](const StampedEvent* a, const StampedEvent* b) {
    return std::make_pair(*a->event.effective_at, a->revision) < std::make_pair(*b->event.effective_at, b->revision);
  });
  Life life(account, parameters, pack);
  for (const StampedEvent* fact : in_order) {
    LifecycleOutcome taken = life.Take(*fact);
    if (fact == candidate) *outcome = std::move(taken);
  }
  life.AdvanceTo(absl::InfiniteFuture());
  Timeline timeline;
  timeline.segments = life.TakeSegments();
  return timeline;
}

}  // namespace sluice
