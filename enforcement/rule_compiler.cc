#include "enforcement/rule_compiler.h"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// What a rule's events make of it, newest last.
class RuleCompiler {
 public:
  RuleCompiler(const Entity& entity, const Pack* pack) : entity_(entity), pack_(pack) {}

  void Compile(std::vector<std::unique_ptr<Rule>>* rules, std::vector<Subject>* all_subjects) {
    for (const StampedEvent& stamped : entity_.events) {
      const absl::Time at = BitesAt(stamped);
      if (const auto* exception = std::get_if<GrantException>(&stamped.event.change)) {
        exceptions_.push_back({KeyOf(exception->subject), at, IsAhead(stamped)});
        all_subjects->push_back(exception->subject);
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
        all_subjects->push_back(subject);
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
    rule->category = pack_ == nullptr ? nullptr : pack_->FindCategory(flag.category);
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
    rule->automatic =
        pack_ != nullptr && restriction.automatic && restriction.kind == RestrictionKind::kSandbox && rule->rate > 0;
    if (rule->automatic) {
      const double limit = rule->rate / pack_->abuse.sandbox_share;
      rule->calm_below = TokenBucket(limit, std::max(limit, 1.0));
      rule->calm_after = TokenBucket(1 / absl::ToDoubleSeconds(pack_->abuse.release_after), 1);
    }
    return {restriction.subject};
  }

  const Entity& entity_;
  const Pack* const pack_;
  std::vector<Exception> exceptions_;
};

bool IsRule(EntityKind kind) {
  return kind == EntityKind::kFlag || kind == EntityKind::kOrder || kind == EntityKind::kHold ||
         kind == EntityKind::kRestriction;
}

// The written end of what sets a rule or a limit, InfiniteFuture where it has none; nothing of any other change.
OptionalTime EndsAt(const Change& change) {
  return std::visit(
      [](const auto& each) -> OptionalTime {
        using T = std::decay_t<decltype(each)>;
        if constexpr (requires { each.expires_at; }) {
          return each.expires_at.value_or(absl::InfiniteFuture());
        } else if constexpr (std::is_same_v<T, SetLimit>) {
          return each.to.value_or(absl::InfiniteFuture());
        } else if constexpr (std::is_same_v<T, PlaceHold>) {
          return absl::InfiniteFuture();
        } else {
          return absl::nullopt;
        }
      },
      change);
}

// Whether what ends at `t` has: a rule by the slowest clock, a limit by policy time.
bool IsOver(bool limit, absl::Time t, const Moment& now) { return limit ? t <= now.wall : now.Passed(t); }

}  // namespace

absl::Time BitesAt(const StampedEvent& event) { return std::max(*event.event.effective_at, event.arrived_at); }

std::vector<Span> MaintenanceSpans(const std::vector<StampedEvent>& events) {
  std::vector<Span> spans;
  std::vector<size_t> endless;
  for (const StampedEvent& stamped : events) {
    Span& span = spans.emplace_back(Span{absl::InfiniteFuture(), absl::InfinitePast()});
    const auto* set = std::get_if<SetMaintenance>(&stamped.event.change);
    if (set == nullptr) continue;
    span.from = std::max(BitesAt(stamped), set->from.value_or(absl::InfinitePast()));
    span.until = set->to.value_or(absl::InfiniteFuture());
    for (const size_t i : endless) {
      if (span.from >= spans[i].from) spans[i].until = std::min(spans[i].until, span.from);
    }
    if (!set->to) endless.push_back(spans.size() - 1);
  }
  return spans;
}

std::vector<const StampedEvent*> EventsTold(const Entity& entity, const Moment& now) {
  const std::vector<StampedEvent>& events = entity.events;
  const bool limits = entity.key.kind == EntityKind::kLimit;
  const bool cuts = limits || IsRule(entity.key.kind);
  std::vector<bool> told(events.size(), true);
  bool any_set = !cuts;
  absl::Time cut = absl::InfiniteFuture();  // the first time at which a later event bites
  for (size_t i = events.size(); cuts && i-- > 0;) {
    const Change& change = events[i].event.change;
    if (std::holds_alternative<GrantException>(change)) continue;
    const auto* limit = std::get_if<SetLimit>(&change);
    const absl::Time at = BitesAt(events[i]);
    const absl::Time begins = limit == nullptr ? at : std::max(at, limit->from.value_or(absl::InfinitePast()));
    const bool sets = EndsAt(change).has_value();
    told[i] = begins < cut && !IsOver(limits, sets ? cut : at, now);
    any_set = any_set || (told[i] && sets);
    cut = std::min(cut, at);
  }
  std::vector<const StampedEvent*> result;
  for (size_t i = 0; i < events.size(); ++i) {
    if (told[i] && (any_set || !std::holds_alternative<GrantException>(events[i].event.change))) {
      result.push_back(&events[i]);
    }
  }
  return result;
}

bool SetsStill(const StampedEvent& event, const Moment& now) {
  const OptionalTime ends = EndsAt(event.event.change);
  return ends && !IsOver(std::holds_alternative<SetLimit>(event.event.change), *ends, now);
}

bool IsAhead(const StampedEvent& event) { return *event.event.effective_at > event.arrived_at; }

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

CompiledRules CompileRules(const Entity& entity, const Pack* pack) {
  CompiledRules compiled;
  RuleCompiler(entity, pack).Compile(&compiled.rules, &compiled.subjects);
  return compiled;
}

}  // namespace sluice
