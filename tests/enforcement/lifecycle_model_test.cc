// The engine and the slow model of lifecycle_model.h, side by side over random sequences of events, clock advances and
// clock faults. A failing sequence is shrunk and printed with its seed.
//
//   SLUICE_MODEL_SEQUENCES=1000000   how many sequences, without a bound in time
//   SLUICE_MODEL_SEED=7              the first seed; each sequence has one of its own
#include "tests/enforcement/lifecycle_model.h"

#include <cstdlib>
#include <iostream>
#include <random>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/clock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

// A time that an operation names, so that it keeps its meaning when operations before it are dropped.
struct When {
  enum Anchor { kUnset, kNow, kDeadline, kMidnight } anchor = kUnset;
  absl::Duration offset;
};

struct Op {
  enum Kind { kSend, kAdvance, kClockError, kWallStep } kind = kSend;
  Change change;
  std::string account;  // whose deadline the times name, and who is looked at afterwards
  Role role = Role::kUnspecified;
  std::string event_id, source;
  int64_t sequence = 0;
  When effective, first, second;  // first and second: the change's own times
  When advance;
  absl::optional<absl::Duration> clock_error;
  absl::Duration step;
  uint64_t probe = 0;  // which other instants are looked at
};

std::string Text(const When& when) {
  static const char* const kAnchors[] = {"unset", "now", "deadline", "midnight"};
  return when.anchor == When::kUnset ? "unset"
                                     : absl::StrCat(kAnchors[when.anchor], "+", absl::FormatDuration(when.offset));
}

std::string Text(const Subject& subject) { return absl::StrCat(subject.account, subject.bucket, "/", subject.key); }

std::string Text(const Op& op) {
  switch (op.kind) {
    case Op::kAdvance:
      return absl::StrCat("advance to ", Text(op.advance), " of ", op.account);
    case Op::kClockError:
      return absl::StrCat("clock error ", op.clock_error ? absl::FormatDuration(*op.clock_error) : "unknown");
    case Op::kWallStep:
      return absl::StrCat("wall clock steps by ", absl::FormatDuration(op.step));
    case Op::kSend:
      break;
  }
  std::string out =
      absl::StrCat("send ", ChangeName(op.change.index()), " ", op.account, " role ", Name(op.role), " effective ",
                   Text(op.effective), " first ", Text(op.first), " second ", Text(op.second));
  if (op.sequence != 0) absl::StrAppend(&out, " sequence ", op.sequence, " of ", op.source);
  if (!op.event_id.empty()) absl::StrAppend(&out, " id ", op.event_id, " of ", op.source);
  if (const auto* set = std::get_if<SetParameter>(&op.change)) {
    absl::StrAppend(&out, " ", set->name, "='", set->value, "' level ", Name(set->level), " account '", set->account,
                    "'");
  }
  if (const auto* terminate = std::get_if<Terminate>(&op.change))
    absl::StrAppend(&out, " cause ", Name(terminate->cause));
  if (const auto* pending = std::get_if<PaymentPending>(&op.change)) absl::StrAppend(&out, " ", pending->pending);
  if (const auto* balance = std::get_if<SetBalance>(&op.change)) {
    absl::StrAppend(&out, " ", balance->balance_minor, " of ", balance->consumption_minor);
  }
  if (const auto* place = std::get_if<PlaceHold>(&op.change))
    absl::StrAppend(&out, " ", place->hold_id, " on ", Text(place->subject));
  if (const auto* release = std::get_if<ReleaseHold>(&op.change)) absl::StrAppend(&out, " ", release->hold_id);
  if (const auto* raise = std::get_if<RaiseFlag>(&op.change))
    absl::StrAppend(&out, " ", raise->flag_id, " on ", Text(raise->subject));
  if (const auto* clear = std::get_if<ClearFlag>(&op.change)) absl::StrAppend(&out, " ", clear->flag_id);
  return out;
}

// ---- Making sequences -----------------------------------------------------------------------------------------------

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed * 0x9E3779B97F4A7C15u + 1) {}

  std::vector<Op> Sequence() {
    // Long histories are rare: most faults need few events, and those are quick.
    const int count = 4 + Below(Below(8) == 0 ? 40 : 12);
    std::vector<Op> ops;
    for (int i = 0; i < count; ++i) ops.push_back(Next());
    return ops;
  }
  absl::Time Start() {
    static const char* const kDays[] = {"2023-12-30", "2024-02-27", "2024-12-02",
                                        "2025-02-26", "2027-11-29", "2028-01-30"};
    absl::Time start = At(absl::StrCat(kDays[Below(6)], "T00:00:00+08:00"));
    if (Below(3) != 0) start += absl::Milliseconds(Below(86'400'000));
    return start;
  }

 private:
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T>
  T OneOf(std::initializer_list<T> all) {
    return all.begin()[Below(all.size())];
  }

  absl::Duration Little() {
    return OneOf({absl::ZeroDuration(), absl::Nanoseconds(1), absl::Milliseconds(1), absl::Milliseconds(600),
                  absl::Seconds(1), absl::Seconds(3), absl::Minutes(10)});
  }
  absl::Duration SignedLittle() { return OneIn(2) ? Little() : -Little(); }
  absl::Duration Some() {
    switch (Below(5)) {
      case 0:
        return Little();
      case 1:
        return absl::Minutes(Below(90));
      case 2:
        return absl::Hours(Below(30));
      case 3:
        return absl::Hours(24 * Below(12)) + absl::Seconds(Below(86400));
      default:
        return absl::Hours(24 * Below(70));
    }
  }

  When Effective() {
    switch (Below(10)) {
      case 0:
        return {When::kNow, -Some()};
      case 1:
        return {When::kNow, absl::Seconds(1 + Below(86400))};
      case 2:
        return {When::kNow, Little()};
      case 3:
        return {When::kDeadline, SignedLittle()};
      case 4:
        return {When::kMidnight, SignedLittle()};
      case 5:
        return {When::kNow, OneIn(2) ? absl::Hours(24) : absl::Hours(24) + absl::Nanoseconds(1)};
      default:
        return {};
    }
  }
  When Any() {
    switch (Below(5)) {
      case 0:
        return {When::kMidnight, absl::Hours(24 * Below(40))};
      case 1:
        return {When::kNow, -Some()};
      case 2:
        return {When::kDeadline, SignedLittle()};
      default:
        return {When::kNow, Some()};
    }
  }

  Subject AnySubject(const std::string& account) {
    Subject subject;
    if (OneIn(3)) {
      subject.account = account;
    } else {
      subject.bucket = account == "u1" ? OneOf<const char*>({"b1", "b2"}) : "b9";
      if (OneIn(2)) subject.key = "k";
    }
    return subject;
  }

  Op Next() {
    Op op;
    op.probe = random_();
    op.account = OneOf<const char*>({"u1", "u1", "u1", "u1", "u1", "u2", "u3"});
    switch (Below(24)) {
      case 0:
        op.kind = Op::kClockError;
        if (!OneIn(3))
          op.clock_error = OneOf({absl::Seconds(1), absl::Seconds(1), absl::Milliseconds(10), absl::Minutes(5)});
        return op;
      case 1:
        op.kind = Op::kWallStep;
        op.step = OneIn(4) ? Some() : -Some();
        return op;
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        op.kind = Op::kAdvance;
        op.advance = OneIn(2) ? When{When::kNow, Some()}
                              : When{OneOf({When::kDeadline, When::kDeadline, When::kMidnight}), SignedLittle()};
        return op;
      default:
        break;
    }
    Send(&op);
    return op;
  }

  void Send(Op* op) {
    const std::string& who = op->account;
    op->effective = Effective();
    op->role = Role::kBilling;
    switch (Below(30)) {
      case 0:
        op->change = OpenAccount{who};
        break;
      case 1:
        op->change = Paid{who};
        break;
      case 2:
        op->change = Withhold{who};
        break;
      case 3:
        op->change = ClearWithhold{who};
        break;
      case 4:
        op->change = SetBalance{who, static_cast<int64_t>(Below(3)), 1};
        break;
      case 5:
      case 6:
      case 7:
        op->change = Freeze{who};
        break;
      case 8:
        op->change = PaymentPending{who, OneIn(2)};
        break;
      case 9:
      case 10:
        op->change = Unfreeze{who};
        break;
      case 11:
      case 12:
        op->change = SetServiceEnd{who, {}};
        op->first = Any();
        break;
      case 13:
      case 14:
        op->change = GiveNotice{who, {}};
        op->role = Role::kLegal;
        op->first = {When::kMidnight, absl::Hours(24 * (29 + Below(4))) + SignedLittle()};
        break;
      case 15:
        op->change = WithdrawNotice{who};
        op->role = Role::kLegal;
        break;
      case 16:
      case 17: {
        const auto cause = static_cast<TerminationCause>(OneIn(10) ? Below(9) : 1 + Below(6));
        op->change = Terminate{who, cause};
        op->role = OneIn(8) ? OneOf({Role::kBilling, Role::kSecurity, Role::kModeration}) : Role::kLegal;
        break;
      }
      case 18:
        op->change = GrantBackup{who};
        op->role = Role::kLegal;
        break;
      case 19:
        op->change = Reinstate{who};
        break;
      case 20:
        op->change = ConfirmReclaimed{who};
        op->role = Role::kStorage;
        break;
      case 21:
        Keep(op);
        break;
      case 22:
        Keep(op);
        break;
      case 23:
        if (!OneIn(3)) return Send(op);
        op->change = AnnounceTerms{};
        op->effective = {};
        op->first = {When::kNow, absl::Hours(1) + Some()};
        break;
      default:
        Parameter(op);
    }
    if (OneIn(40)) op->role = static_cast<Role>(Below(8));
    if (OneIn(60)) {
      op->change = OneIn(2) ? Change(Freeze{""}) : Change(SetServiceEnd{who, {}});
      op->first = {};
    }
    if (OneIn(6)) {
      op->source = OneOf<const char*>({"billing", "legal"});
      if (OneIn(2) && !std::holds_alternative<SetParameter>(op->change)) op->sequence = 1 + Below(6);
      if (OneIn(2)) op->event_id = absl::StrCat("e", Below(4));
    }
  }

  // Histories of a hold or flag run forward: what a change dated before the last one of its id means is not at issue
  // here.
  void Keep(Op* op) {
    const std::string id = absl::StrCat(op->account, Below(2));
    op->role = Role::kLegal;
    op->effective = {};
    switch (Below(4)) {
      case 0:
        op->change = PlaceHold{id, AnySubject(op->account)};
        if (OneIn(3)) op->effective = {When::kNow, Little()};
        break;
      case 1:
        op->change = ReleaseHold{id};
        if (OneIn(3)) op->effective = {When::kNow, Little()};
        break;
      case 2:
        op->change = RaiseFlag{id, AnySubject(op->account), "3.1.3.5.2", Severity::kCritical, {}, "authority"};
        if (OneIn(3)) op->first = {When::kNow, absl::Seconds(1) + Some()};
        break;
      default:
        op->change = ClearFlag{id};
    }
  }

  void Parameter(Op* op) {
    SetParameter set;
    set.level = static_cast<Level>(OneIn(30) ? 0 : 1 + Below(4));
    if (OneIn(2)) set.account = op->account;
    switch (Below(9)) {
      case 0:
      case 1:
      case 2:
        set.name = OneIn(2) ? "grace_days" : "retention_days";
        set.value = OneOf<const char*>({"0", "1", "5", "29", "30", "31", "45", "60", "365", "030"});
        break;
      case 3:
        set.name = "freeze.exempt";
        break;
      case 4:
        set.name = "freeze.allow_delete";
        break;
      case 5:
        set.name = "retention.cumulative";
        break;
      case 6:
        set.name = "holiday_extension";
        break;
      case 7:
        set.name = "holidays";
        set.value = OneOf<const char*>({"", "2024-02-29", "2023-12-30/2024-02-12, 2025-03-01/2025-04-05",
                                        "2024-01-31/2024-02-01",
                                        "2024-03-28/2024-03-30,2025-01-01/2025-02-07, 2028-02-29/2028-03-02",
                                        "2024-03-31/2024-03-30", "2024-02-30", "tomorrow"});
        break;
      default:
        set.name = "grace_days";
        set.value = OneOf<const char*>({"-1", "", "3.5", "on", "60"});
        if (OneIn(3)) set.name = "no.such.parameter";
    }
    if (set.value.empty() && set.name != "holidays" && set.name != "grace_days") {
      set.value = OneIn(20) ? "yes" : OneIn(4) ? "off" : "on";
    }
    op->change = set;
    if (OneIn(2)) op->first = Any();
    if (OneIn(3))
      op->second = {op->first.anchor == When::kUnset ? When::kNow : op->first.anchor,
                    op->first.offset + absl::Seconds(1) + Some()};
    if (OneIn(2)) op->effective = {};
  }

  std::mt19937_64 random_;
};

// ---- Running them ---------------------------------------------------------------------------------------------------

class SteppedClock : public Clock {
 public:
  Moment Now() const override { return now; }
  Moment now;
};

class Run {
 public:
  explicit Run(absl::Time start) {
    clock_.now = Moment{start, MonotonicTime{1}, absl::Seconds(1)};
    Tick();
    Op op;
    op.role = Role::kBilling;
    for (const Change& change : {Change(OpenAccount{"u1"}), Change(Paid{"u1"}), Change(OpenAccount{"u2"})}) {
      op.change = change;
      Send(op);
    }
    for (const char* bucket : {"b1", "b2", "b9"}) {
      const char* owner = absl::string_view(bucket) == "b9" ? "u2" : "u1";
      node_.Send(BindBucket{bucket, owner, "cn"});
      model_.Bind(bucket, owner);
    }
  }

  // The first disagreement; "" where there is none.
  std::string operator()(const std::vector<Op>& ops) {
    for (size_t i = 0; i < ops.size() && fault_.empty(); ++i) {
      at_ = absl::StrCat("step ", i + 1);
      Step(ops[i]);
    }
    return fault_;
  }

 private:
  void Step(const Op& op) {
    switch (op.kind) {
      case Op::kSend:
        Send(op);
        break;
      case Op::kAdvance:
        Advance(std::min(Resolve(op.advance, op.account), clock_.now.wall + absl::Hours(24 * 120)));
        break;
      case Op::kClockError:
        clock_.now.clock_error = op.clock_error;
        break;
      case Op::kWallStep:
        clock_.now.wall += op.step;
        break;
    }
    Tick();
    Announce();
    Compare(op.account, node_.now());
    // Any other instant has an answer too, from what is known today.
    Moment other = node_.now();
    other.wall = Probe(op);
    Compare(op.account, other);
    if (op.probe % 7 == 0) CompareAnswers("u1", "u2", node_.now());
  }

  void Tick() { node_.now() = PolicyTime(); }
  Moment PolicyTime() { return policy_clock_.Now(); }

  absl::Time Resolve(const When& when, absl::string_view account) {
    const absl::Time now = node_.now().wall;
    switch (when.anchor) {
      case When::kDeadline:
        return model_.StandingAt(account, now).deadline.value_or(now) + when.offset;
      case When::kMidnight:
        return ModelWindowEnd(now, 0, "") + when.offset;
      default:
        return now + when.offset;
    }
  }

  absl::Time Probe(const Op& op) {
    const absl::Time now = node_.now().wall;
    const absl::Time deadline = model_.StandingAt(op.account, now).deadline.value_or(now);
    const absl::Duration little[] = {absl::ZeroDuration(),    absl::Nanoseconds(1), -absl::Nanoseconds(1),
                                     absl::Milliseconds(999), absl::Seconds(1),     -absl::Seconds(1)};
    const absl::Duration near = little[op.probe / 8 % 6];
    switch (op.probe % 8) {
      case 0:
        return now - absl::Seconds(op.probe / 64 % 4'000'000);
      case 1:
        return now + absl::Seconds(op.probe / 64 % 8'000'000);
      case 2:
        return now + absl::Milliseconds(op.probe / 64 % 4000);
      case 3:
        return ModelWindowEnd(now, op.probe / 64 % 70, "") + near;
      case 4:
        return last_effective_ + near;
      default:
        return deadline + near;
    }
  }

  void Send(const Op& op) {
    PolicyEvent event;
    event.role = op.role;
    event.event_id = op.event_id;
    event.source = op.source;
    event.sequence = op.sequence;
    event.change = op.change;
    const auto resolve = [&](const When& when) {
      return when.anchor == When::kUnset ? OptionalTime() : OptionalTime(Resolve(when, op.account));
    };
    event.effective_at = resolve(op.effective);
    if (auto* end = std::get_if<SetServiceEnd>(&event.change)) end->end = resolve(op.first);
    if (auto* give = std::get_if<GiveNotice>(&event.change)) give->termination = resolve(op.first);
    if (auto* terms = std::get_if<AnnounceTerms>(&event.change)) terms->effective = resolve(op.first);
    if (auto* raise = std::get_if<RaiseFlag>(&event.change)) raise->expires_at = resolve(op.first);
    if (auto* set = std::get_if<SetParameter>(&event.change)) {
      set->from = resolve(op.first);
      set->to = resolve(op.second);
    }
    last_effective_ = event.effective_at.value_or(node_.now().wall);
    const Outcome expected = model_.Tell(event, node_.now());
    const Reduction reduction = node_.SendEvent(event);
    Same("outcome", Name(expected), absl::StrCat(Name(reduction.outcome), ""), reduction.error);
    const size_t rejections =
        std::count_if(reduction.announcements.begin(), reduction.announcements.end(),
                      [](const auto& each) { return each.kind == AnnouncementKind::kEventRejected; });
    Same("announced rejections", absl::StrCat(expected == Outcome::kRejected), absl::StrCat(rejections), "");
  }

  // Time goes on, stopping wherever something may fall due.
  void Advance(absl::Time to) {
    const Moment begin = node_.now();
    if (to <= clock_.now.wall) return;
    for (const absl::Time stop : model_.Instants(begin, to)) {
      if (stop <= clock_.now.wall) continue;
      MoveTo(stop);
      if (!fault_.empty()) return;
    }
    MoveTo(to);
  }
  void MoveTo(absl::Time wall) {
    const Moment before = node_.now();
    const absl::Time due = node_.index().working().NextDue(before);
    clock_.now.mono.ns += absl::ToInt64Nanoseconds(wall - clock_.now.wall);
    clock_.now.wall = wall;
    Tick();
    if (Announce() && due > node_.now().wall) {
      fault_ = absl::StrCat(at_, ": an announcement fell due at ", absl::FormatTime(wall), ", NextDue said ",
                            absl::FormatTime(due));
    }
  }

  bool Announce() {
    std::vector<std::string> wanted, got;
    for (const ModelAnnouncement& each : model_.Announce(node_.now())) {
      wanted.push_back(absl::StrCat(Name(each.kind), " ", each.account));
    }
    for (const Announcement& each : node_.Announce())
      got.push_back(absl::StrCat(Name(each.kind), " ", each.subject.account));
    if (wanted != got) {
      Same("announcements", absl::StrJoin(wanted, ", "), absl::StrJoin(got, ", "), absl::FormatTime(node_.now().wall));
    }
    return !wanted.empty();
  }

  void Compare(const std::string& account, const Moment& now) {
    const ModelStanding standing = model_.StandingAt(account, now.wall);
    Subject subject;
    subject.account = account;
    const Description said = node_.engine().Describe(subject, now);
    const auto text = [](AccountState state, TerminationCause cause, OptionalTime since, OptionalTime deadline) {
      return absl::StrCat(Name(state), " cause ", Name(cause), " since ", since ? absl::FormatTime(*since) : "-",
                          " deadline ", deadline ? absl::FormatTime(*deadline) : "-");
    };
    // Texts of times are slow, and most often nobody reads them.
    if (std::tie(standing.state, standing.cause, standing.since, standing.deadline) !=
        std::tie(said.state, said.cause, said.state_since, said.deadline)) {
      Same(absl::StrCat(account, " at ", absl::FormatTime(now.wall)),
           text(standing.state, standing.cause, standing.since, standing.deadline),
           text(said.state, said.cause, said.state_since, said.deadline), "");
    }
    CompareAnswers(account, account, now);
  }

  void CompareAnswers(const std::string& owner, const std::string& requester, const Moment& now) {
    if (!fault_.empty()) return;
    const bool kept = model_.Kept(owner, true, now) || model_.Kept(requester, true, now);
    const std::vector<ModelAnswer> answers = model_.Ask(owner, requester, now);
    for (int i = 0; i < 10; ++i) {
      CheckInput input;
      input.operation = static_cast<Operation>(i + 1);
      input.owner = owner;
      input.requester = requester;
      input.detail = true;
      const Decision decision = node_.engine().Check(input, now);
      std::string wanted, got;
      if (kept) {
        // Evidence speaks first; the lifecycle's own denials stand beside it.
        wanted = Names(answers[i].denials);
        std::vector<Reason> denials;
        for (const Reason each : decision.all_reasons) {
          if (each >= Reason::kPendingPayment && each <= Reason::kReclaimed) denials.push_back(each);
        }
        got = Names(denials);
      } else {
        wanted = Answer(answers[i].verdict, answers[i].reason, answers[i].clause, answers[i].warnings);
        got = Answer(decision.verdict, decision.reason, decision.clause,
                     std::vector<Reason>(decision.warnings.begin(), decision.warnings.end()));
      }
      if (wanted == got) continue;
      Same(absl::StrCat(Name(input.operation), " of ", requester, " on ", owner, " at ", absl::FormatTime(now.wall)),
           wanted, got, "");
    }
  }

  static std::string Names(const std::vector<Reason>& reasons) {
    return absl::StrJoin(reasons, "+", [](std::string* out, Reason each) { out->append(std::string(Name(each))); });
  }
  static std::string Answer(Verdict verdict, Reason reason, absl::string_view clause,
                            const std::vector<Reason>& warnings) {
    return absl::StrCat(Name(verdict), " ", Name(reason), " ", clause, " warns ", Names(warnings));
  }

  void Same(absl::string_view what, absl::string_view wanted, absl::string_view got, absl::string_view more) {
    if (wanted == got || !fault_.empty()) return;
    fault_ = absl::StrCat(at_, " (now ", absl::FormatTime(node_.now().wall), "): ", what, "\n  model:  ", wanted,
                          "\n  engine: ", got, "\n  ", more);
  }

  SteppedClock clock_;
  PolicyClock policy_clock_{&clock_};
  Node node_;
  LifecycleModel model_;
  std::string at_ = "start";
  std::string fault_;
  absl::Time last_effective_;
};

// Drops operations for as long as the rest still disagrees.
std::vector<Op> Shrink(absl::Time start, std::vector<Op> ops) {
  for (size_t piece = ops.size(); piece >= 1;) {
    bool dropped = false;
    for (size_t i = 0; i + piece <= ops.size();) {
      std::vector<Op> fewer = ops;
      fewer.erase(fewer.begin() + i, fewer.begin() + i + piece);
      if (!Run(start)(fewer).empty()) {
        ops = std::move(fewer);
        dropped = true;
      } else {
        ++i;
      }
    }
    if (!dropped || piece > ops.size()) piece /= 2;
  }
  return ops;
}

std::string RunSeed(uint64_t seed) {
  Maker maker(seed);
  const absl::Time start = maker.Start();
  std::vector<Op> ops = maker.Sequence();
  const std::string fault = Run(start)(ops);
  if (fault.empty()) return "";
  std::cerr << "seed " << seed << " disagrees; looking for the shortest history that does:\n" << fault << "\n";
  ops = Shrink(start, std::move(ops));
  std::string out = absl::StrCat("seed ", seed, ", from ", absl::FormatTime(start), ":\n");
  for (size_t i = 0; i < ops.size(); ++i) absl::StrAppend(&out, "  ", i + 1, ". ", Text(ops[i]), "\n");
  return absl::StrCat(out, Run(start)(ops));
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(LifecycleModelTest, CountsNaturalDaysOverLeapDaysYearEndsAndHolidays) {
  EXPECT_EQ(ModelWindowEnd(At("2024-02-01T00:00:00+08:00"), 30, ""), At("2024-03-03T00:00:00+08:00"));
  EXPECT_EQ(ModelWindowEnd(At("2025-02-01T23:59:59+08:00"), 30, ""), At("2025-03-04T00:00:00+08:00"));
  EXPECT_EQ(ModelWindowEnd(At("2023-12-31T10:00:00+08:00"), 1, ""), At("2024-01-02T00:00:00+08:00"));
  EXPECT_EQ(ModelWindowEnd(At("2024-01-01T10:00:00+08:00"), 1, "2024-01-02/2024-01-03"),
            At("2024-01-05T00:00:00+08:00"));
}

TEST(LifecycleModelTest, AgreesWithTheEngineOverRandomHistories) {
  const bool bounded = std::getenv("SLUICE_MODEL_SEQUENCES") == nullptr;
  const uint64_t sequences = FromEnvironment("SLUICE_MODEL_SEQUENCES", 20'000);
  const uint64_t first = FromEnvironment("SLUICE_MODEL_SEED", 1);
  const absl::Time stop = bounded ? absl::Now() + absl::Seconds(20) : absl::InfiniteFuture();
  uint64_t done = 0;
  for (; done < sequences && absl::Now() < stop; ++done) {
    const std::string fault = RunSeed(first + done);
    ASSERT_EQ(fault, "") << "after " << done << " sequences";
  }
  RecordProperty("sequences", std::to_string(done));
  std::cout << done << " sequences from seed " << first << " agree\n";
}

}  // namespace
}  // namespace sluice
