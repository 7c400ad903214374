// A slow, obvious model of the account lifecycle, for tests alone. It keeps the list of accepted events and, for any
// moment asked for, lives each account's life again from its first event to that moment, one instant after the other.
// It shares the engine's plain values (events, enums, Moment) and nothing else: its calendar, tables and rules are its
// own, written from the text of the agreement's rules and not from the engine.
#ifndef SLUICE_TESTS_ENFORCEMENT_LIFECYCLE_MODEL_H_
#define SLUICE_TESTS_ENFORCEMENT_LIFECYCLE_MODEL_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/event.h"

namespace sluice {

// An account at an instant.
struct ModelStanding {
  AccountState state = AccountState::kUnspecified;  // unspecified: nothing had opened it
  TerminationCause cause = TerminationCause::kUnspecified;
  OptionalTime since;
  OptionalTime deadline;
  OptionalTime announce_from;  // RECLAIMABLE: announced from then on, obstacles aside
  bool payment_pending = false;
  std::string row;  // a letter a judged operation, UPLOAD first: A allow, W allow with a warning, D deny
  Reason reason = Reason::kUnspecified;  // of W and D
  std::string clause;
};

struct ModelAnswer {
  Verdict verdict = Verdict::kAllow;
  Reason reason = Reason::kUnspecified;
  std::string clause;
  std::vector<Reason> warnings;
  std::vector<Reason> denials;
};

struct ModelAnnouncement {
  AnnouncementKind kind;
  std::string account;
};

class LifecycleModel {
 public:
  // What becomes of an event that arrives at `now`.
  Outcome Tell(const PolicyEvent& event, const Moment& now);

  ModelStanding StandingAt(absl::string_view account, absl::Time t) const;
  // The answer to each judged operation, UPLOAD first. `owner` and `requester` may be one.
  std::vector<ModelAnswer> Ask(absl::string_view owner, absl::string_view requester, const Moment& now) const;
  // Whether a hold or CRITICAL flag keeps something of `account`; with `itself`, the account as such.
  bool Kept(absl::string_view account, bool itself, const Moment& now) const;

  // What is to be announced at `now`, taken note of.
  std::vector<ModelAnnouncement> Announce(const Moment& now);
  // Every instant after `now`, up to `until`, at which something may fall due by time alone.
  std::vector<absl::Time> Instants(const Moment& now, absl::Time until) const;

  // The owner of a bucket, for holds.
  void Bind(absl::string_view bucket, absl::string_view account) {
    owner_of_[std::string(bucket)] = std::string(account);
  }

 private:
  friend class Life;
  struct Told {
    Change change;
    absl::Time at;  // effective_at
    absl::Time arrived;
    int64_t number = 0;  // in the order of acceptance
    Role role = Role::kUnspecified;
    bool DatedAhead() const { return at > arrived; }
  };
  struct Value {
    SetParameter set;
    absl::Time from, to, arrived;
    int64_t number = 0;
  };

  bool Accept(const PolicyEvent& event, absl::Time at, const Moment& now);
  bool AcceptLifecycle(const PolicyEvent& event, absl::string_view account, absl::Time at, const Moment& now);
  // Of the events of an account that change nothing where they stand the last 32 by date are kept.
  void ForgetIdle(absl::string_view account, absl::Time now);
  // Events of an account in the order of their effect.
  std::vector<Told> EventsOf(absl::string_view account) const;
  // Of the values that hold the one that counts; nullptr where none does.
  const Value* Highest(absl::string_view name, absl::string_view account,
                       const std::function<bool(const Value&)>& holds) const;
  // The value in force at `t` of what had arrived by `known_by`.
  std::string ValueAt(absl::string_view name, absl::string_view account, absl::Time t, absl::Time known_by) const;
  bool DeleteOpened(absl::string_view account, const Moment& now) const;
  ModelStanding Live(absl::string_view account, absl::Time t, absl::Time reached, std::set<absl::Time>* timers,
                     bool delete_opened = false) const;
  // `now`, and the last instants before each written time that may, by the slowest clock, not have come yet; latest
  // first.
  static std::vector<absl::Time> Doubtful(const std::set<absl::Time>& written, const Moment& now);
  // How `account` stands at each of those.
  std::vector<ModelStanding> Standings(absl::string_view account, const Moment& now) const;
  bool KeptAt(absl::string_view account, bool itself, absl::Time t, absl::Time reached) const;

  std::vector<Told> told_;
  std::vector<Value> values_;
  std::map<std::string, std::vector<Told>> kept_;  // by id of hold or flag
  std::vector<Told> terms_;
  std::map<std::string, std::string> owner_of_;
  std::set<std::pair<std::string, std::string>> seen_;
  std::map<std::pair<std::string, std::string>, int64_t> sequences_;
  std::map<std::string, absl::Time> announced_;  // and when
  int64_t number_ = 0;
};

// 00:00 of the day after the last of `days` natural days that follow the day of `event`, in UTC+8.
absl::Time ModelWindowEnd(absl::Time event, int64_t days, absl::string_view holidays);

}  // namespace sluice

#endif  // SLUICE_TESTS_ENFORCEMENT_LIFECYCLE_MODEL_H_
