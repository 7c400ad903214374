#include "client/pack_diff.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/event.h"

namespace sluice {
namespace {

constexpr absl::string_view kAbsent = "-";

absl::string_view Name(Permission permission) {
  switch (permission) {
    case Permission::kAllow:
      return "allow";
    case Permission::kWarn:
      return "allow, warned";
    default:
      return "deny";
  }
}

absl::string_view RowName(StateRow row) {
  constexpr absl::string_view kNames[] = {"PENDING",        "ACTIVE",           "NOTICE",      "WITHHELD", "FROZEN",
                                          "RETENTION_OPEN", "RETENTION_CLOSED", "RECLAIMABLE", "RECLAIMED"};
  static_assert(std::size(kNames) == kStateRowCount);
  return kNames[static_cast<size_t>(row)];
}

std::string Roles(const std::vector<Role>& roles) {
  if (roles.empty()) return "nobody";
  return absl::StrJoin(roles, ", ", [](std::string* out, Role role) { absl::StrAppend(out, sluice::Name(role)); });
}

std::string Answer(const HttpAnswer& answer) {
  return answer.code.empty() ? absl::StrCat(answer.status) : absl::StrCat(answer.status, " ", answer.code);
}

// The rules of a pack as lines, by name, in the order of the file.
class Lines {
 public:
  explicit Lines(const Pack& pack) {
    AddRows(pack);
    AddCauses(pack);
    AddCategories(pack);
    AddReasons(pack);
    for (size_t i = 1; i < kChangeCount; ++i) Add(absl::StrCat("role ", ChangeName(i)), Roles(pack.roles[i]));
    AddParameters(pack);
    Add("answer to a quota of buckets, s3", Answer(pack.bucket_quota_s3));
    Add("answer to a quota of buckets, kodo", Answer(pack.bucket_quota_kodo));
    Add("answer to a rate of an object, kodo", Answer(pack.object_rate_kodo));
    Add("clause of a test domain past its days", pack.test_domain_clause);
    AddTiming(pack);
    AddAbuse(pack.abuse);
  }

  const std::vector<std::pair<std::string, std::string>>& lines() const { return lines_; }
  absl::string_view Find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? kAbsent : absl::string_view(lines_[it->second].second);
  }
  bool Has(const std::string& name) const { return by_name_.count(name) > 0; }

 private:
  void Add(std::string name, absl::string_view value) {
    by_name_.emplace(name, lines_.size());
    lines_.emplace_back(std::move(name), value.empty() ? "\"\"" : std::string(value));
  }
  void AddRows(const Pack& pack) {
    for (int row = 0; row < kStateRowCount; ++row) {
      for (int i = static_cast<int>(Operation::kUpload); i <= static_cast<int>(Operation::kPay); ++i) {
        Add(absl::StrCat(RowName(static_cast<StateRow>(row)), " ", sluice::Name(static_cast<Operation>(i))),
            Name(pack.rows[row][i]));
      }
    }
  }
  void AddCauses(const Pack& pack) {
    for (size_t i = 1; i < pack.causes.size(); ++i) {
      const auto cause = static_cast<TerminationCause>(i);
      const std::string name = absl::StrCat("cause ", sluice::Name(cause));
      const auto roles = pack.terminate_roles.find(cause);
      Add(absl::StrCat(name, " clause"), pack.causes[i].clause);
      Add(absl::StrCat(name, " retention"), pack.causes[i].closed ? "closed to the owner" : "open to the owner");
      Add(absl::StrCat(name, " sent by"), roles == pack.terminate_roles.end() ? "nobody" : Roles(roles->second));
    }
  }
  void AddCategories(const Pack& pack) {
    for (const Category& category : pack.categories) {
      const std::string name = absl::StrCat("category ", category.clause);
      const auto roles = pack.category_roles.find(category.clause);
      Add(absl::StrCat(name, " reason"), sluice::Name(category.reason));
      Add(absl::StrCat(name, " severity"), sluice::Name(category.default_severity));
      Add(absl::StrCat(name, " raised by"), roles == pack.category_roles.end() ? "nobody" : Roles(roles->second));
      Add(absl::StrCat(name, " zh"), category.zh);
      Add(absl::StrCat(name, " en"), category.en);
    }
  }
  void AddReasons(const Pack& pack) {
    for (int i = 1; i < kReasonCount; ++i) {
      const ReasonRule& rule = pack.reasons[i];
      const std::string name(sluice::Name(static_cast<Reason>(i)));
      Add(absl::StrCat(name, " clause"), rule.clause);
      Add(absl::StrCat(name, " fault"), sluice::Name(rule.fault));
      Add(absl::StrCat(name, " generic"), Answer(rule.generic));
      Add(absl::StrCat(name, " s3"), Answer(rule.s3));
      Add(absl::StrCat(name, " kodo"), Answer(rule.kodo));
      Add(absl::StrCat(name, " message"), rule.message);
      Add(absl::StrCat(name, " zh"), rule.zh);
      Add(absl::StrCat(name, " en"), rule.en);
    }
  }
  void AddParameters(const Pack& pack) {
    for (const Parameter& parameter : pack.parameters) {
      Add(absl::StrCat("parameter ", parameter.name), parameter.default_value);
      Add(absl::StrCat("parameter ", parameter.name, " floor"), parameter.floor.empty() ? "none" : parameter.floor);
    }
  }
  void AddTiming(const Pack& pack) {
    const std::pair<absl::string_view, absl::Duration> timing[] = {
        {"reclaim_margin", pack.reclaim_margin},
        {"reclaim_after_arrival", pack.reclaim_after_arrival},
        {"effective_ahead_max", pack.effective_ahead_max},
        {"recheck_after", pack.recheck_after},
        {"cache_for", pack.cache_for},
        {"shape_recheck", pack.shape_recheck}};
    for (const auto& [name, duration] : timing) Add(absl::StrCat("timing ", name), absl::FormatDuration(duration));
  }

  void AddAbuse(const AbuseRule& abuse) {
    Add("abuse clause", abuse.clause);
    Add("abuse factor", absl::StrCat(abuse.factor));
    Add("abuse window", absl::FormatDuration(abuse.window));
    Add("abuse sandbox_share", absl::StrCat(abuse.sandbox_share));
    Add("abuse release_after", absl::FormatDuration(abuse.release_after));
    std::vector<absl::string_view> scopes;
    for (size_t i = 0; i < abuse.scopes.size(); ++i) {
      if (abuse.scopes[i]) scopes.push_back(sluice::Name(static_cast<LimitScope>(i)));
    }
    Add("abuse scopes", scopes.empty() ? "none" : absl::StrJoin(scopes, ", "));
  }

  std::vector<std::pair<std::string, std::string>> lines_;
  std::map<std::string, size_t> by_name_;
};

}  // namespace

std::vector<RuleChange> CompareRules(const Pack& before, const Pack& after) {
  const Lines a(before), b(after);
  std::vector<RuleChange> changes;
  for (const auto& [name, value] : a.lines()) {
    if (b.Find(name) != value) changes.push_back({name, value, std::string(b.Find(name))});
  }
  for (const auto& [name, value] : b.lines()) {
    if (!a.Has(name)) changes.push_back({name, std::string(kAbsent), value});
  }
  return changes;
}

std::vector<AnswerChange> CompareAnswers(const std::vector<PackAnswer>& before, const std::vector<PackAnswer>& after) {
  using Question = std::tuple<std::string, Operation, std::string>;
  std::map<Question, std::string> answers;
  for (const PackAnswer& each : after) answers[{each.about, each.operation, each.who}] = each.answer;
  std::vector<PackAnswer> all = before;
  std::set<Question> asked;
  for (const PackAnswer& each : before) asked.insert({each.about, each.operation, each.who});
  for (const PackAnswer& each : after) {
    if (asked.insert({each.about, each.operation, each.who}).second) {
      all.push_back({each.about, each.who, each.operation, std::string(kAbsent)});
    }
  }

  std::vector<AnswerChange> changes;
  for (const PackAnswer& each : all) {
    const auto it = answers.find({each.about, each.operation, each.who});
    const std::string now = it == answers.end() ? std::string(kAbsent) : it->second;
    if (now == each.answer) continue;
    const auto same = std::find_if(changes.begin(), changes.end(), [&](const AnswerChange& change) {
      return change.about == each.about && change.who == each.who && change.before == each.answer &&
             change.after == now;
    });
    if (same == changes.end()) {
      changes.push_back({each.about, each.who, {each.operation}, each.answer, now});
    } else {
      same->operations.push_back(each.operation);
    }
  }
  // Who asks makes no difference in most states, and who is not the owner none in nearly all: one line says so.
  std::vector<AnswerChange> merged;
  for (const AnswerChange& change : changes) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const AnswerChange& other) {
      return std::tie(other.about, other.operations, other.before, other.after) ==
             std::tie(change.about, change.operations, change.before, change.after);
    });
    if (same == merged.end()) {
      merged.push_back(change);
    } else {
      same->who = absl::StrCat(same->who, ", ", change.who);
    }
  }
  for (AnswerChange& change : merged) {
    if (change.who == "owner, another account, the public") change.who = "everyone";
    if (change.who == "another account, the public") change.who = "others";
  }
  return merged;
}

}  // namespace sluice
