#include "client/pack_probe.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/simulation.h"
#include "proto/translate.h"

namespace sluice {
namespace {

constexpr absl::string_view kOwner = "owner", kOther = "other", kBucket = "bucket";
// Any start will do; the windows below are counted from it.
const absl::Time kStart = absl::FromUnixSeconds(1767196800);  // 2026-01-01 00:00 in China

struct Asker {
  absl::string_view name;
  absl::string_view account;
};
constexpr Asker kAskers[] = {{"owner", kOwner}, {"another account", kOther}, {"the public", ""}};

class Probe {
 public:
  Probe(const Pack* pack, std::unique_ptr<Simulation> simulation) : pack_(*pack), simulation_(std::move(simulation)) {}

  static absl::StatusOr<std::unique_ptr<Probe>> Create(const Pack* pack) {
    Simulation::Options options;
    options.start = kStart;
    options.log_decisions = false;
    absl::StatusOr<std::unique_ptr<Simulation>> simulation = Simulation::Create(pack, options);
    if (!simulation.ok()) return simulation.status();
    auto probe = std::make_unique<Probe>(pack, *std::move(simulation));
    for (Change change : std::initializer_list<Change>{OpenAccount{std::string(kOther)}, Paid{std::string(kOther)},
                                                       BindBucket{std::string(kBucket), std::string(kOwner), ""}}) {
      probe->Send(std::move(change));
    }
    return probe;
  }

  // Sends `change` by the role that the pack names first. What goes wrong is the next answer.
  void Send(Change change) {
    PolicyEvent event;
    const std::vector<Role>& roles = pack_.RolesFor(change);
    if (roles.empty()) {
      Fail(absl::StrCat("nobody may send ", ChangeName(change.index())));
      return;
    }
    event.role = roles.front();
    event.change = std::move(change);
    absl::StatusOr<ApplyResult> result = simulation_->Apply({event});
    if (!result.ok()) {
      Fail(result.status().message());
    } else if (result->results.front().outcome != Outcome::kApplied) {
      Fail(result->results.front().error);
    }
  }

  // Lets the clocks of the account run out, one after the other, until it is in `state`.
  void RunInto(v1::AccountState state) {
    v1::Subject subject;
    subject.set_account(std::string(kOwner));
    for (int turns = 0; turns < 4; ++turns) {
      absl::StatusOr<v1::DescribeResponse> now = simulation_->Describe(subject);
      if (!now.ok()) return Fail(now.status().message());
      if (now->state() == state) return;
      if (!now->has_deadline()) break;
      const absl::Status moved = simulation_->AdvanceTo(FromProto(now->deadline()) + absl::Minutes(1));
      if (!moved.ok()) return Fail(moved.message());
    }
    Fail("no clock leads there");
  }
  void Advance(absl::Duration by) {
    if (const absl::Status moved = simulation_->Advance(by); !moved.ok()) Fail(moved.message());
  }

  void Ask(const std::string& about, absl::string_view key, std::vector<PackAnswer>* answers) {
    for (const Asker& asker : kAskers) {
      for (int i = static_cast<int>(Operation::kUpload); i <= static_cast<int>(Operation::kPay); ++i) {
        CheckInput input;
        input.operation = static_cast<Operation>(i);
        input.requester = asker.account;
        input.bucket = kBucket;
        input.key = key;
        input.region = "cn";
        PackAnswer answer{about, std::string(asker.name), input.operation, ""};
        answer.answer = error_.empty() ? AnswerTo(input) : absl::StrCat("cannot be reached: ", error_);
        answers->push_back(std::move(answer));
      }
    }
    error_.clear();
  }

 private:
  void Fail(absl::string_view error) {
    if (error_.empty()) error_ = std::string(error);
  }

  std::string AnswerTo(const CheckInput& input) const {
    const absl::StatusOr<Decision> decision = simulation_->Explain(input, nullptr);
    if (!decision.ok()) return std::string(decision.status().message());
    const std::string clause = decision->clause.empty() ? "" : absl::StrCat(" ", decision->clause);
    if (decision->verdict == Verdict::kAllow) {
      return decision->reason == Reason::kUnspecified ? "allow"
                                                      : absl::StrCat("allow, warned ", Name(decision->reason), clause);
    }
    return absl::StrCat("deny ", Name(decision->reason), clause, " (", decision->http.status, ")");
  }

  const Pack& pack_;
  const std::unique_ptr<Simulation> simulation_;
  std::string error_;
};

// An account in one state: what is sent to bring it there, and which state its clocks then run into, if they must.
struct Stage {
  std::string name;
  std::vector<Change> changes;
  v1::AccountState runs_into = v1::ACCOUNT_STATE_UNSPECIFIED;
  bool reclaimed = false;
};

std::vector<Stage> Stages() {
  const std::string owner(kOwner);
  const auto opened_and = [&](std::vector<Change> more) {
    std::vector<Change> changes = {OpenAccount{owner}, Paid{owner}};
    for (Change& change : more) changes.push_back(std::move(change));
    return changes;
  };
  std::vector<Stage> stages = {{"PENDING", {OpenAccount{owner}}},
                               {"ACTIVE", opened_and({})},
                               {"NOTICE", opened_and({GiveNotice{owner, kStart + absl::Hours(24 * 40)}})},
                               {"WITHHELD", opened_and({Withhold{owner}})},
                               {"FROZEN", opened_and({Freeze{owner}})}};
  for (int i = 1; i <= static_cast<int>(TerminationCause::kViolation); ++i) {
    const auto cause = static_cast<TerminationCause>(i);
    stages.push_back({absl::StrCat("RETENTION(", Name(cause), ")"), opened_and({Terminate{owner, cause}})});
  }
  stages.push_back({"RETENTION(EXPIRED)", opened_and({SetServiceEnd{owner, kStart}})});
  stages.push_back({"RECLAIMABLE", opened_and({Freeze{owner}}), v1::ACCOUNT_STATE_RECLAIMABLE});
  stages.push_back({"RECLAIMED", opened_and({Freeze{owner}}), v1::ACCOUNT_STATE_RECLAIMABLE, true});
  return stages;
}

}  // namespace

absl::StatusOr<std::vector<PackAnswer>> ProbePack(const Pack& pack) {
  std::vector<PackAnswer> answers;
  for (Stage& stage : Stages()) {
    absl::StatusOr<std::unique_ptr<Probe>> probe = Probe::Create(&pack);
    if (!probe.ok()) return probe.status();
    for (Change& change : stage.changes) (*probe)->Send(std::move(change));
    if (stage.runs_into != v1::ACCOUNT_STATE_UNSPECIFIED) (*probe)->RunInto(stage.runs_into);
    if (stage.reclaimed) {
      (*probe)->Advance(pack.reclaim_margin + pack.reclaim_after_arrival);
      (*probe)->Send(ConfirmReclaimed{std::string(kOwner)});
    }
    (*probe)->Ask(stage.name, "key", &answers);
  }
  absl::StatusOr<std::unique_ptr<Probe>> flagged = Probe::Create(&pack);
  if (!flagged.ok()) return flagged.status();
  (*flagged)->Send(OpenAccount{std::string(kOwner)});
  (*flagged)->Send(Paid{std::string(kOwner)});
  for (const Category& category : pack.categories) {
    RaiseFlag flag;
    flag.flag_id = category.clause;
    flag.category = category.clause;
    flag.subject.bucket = std::string(kBucket);
    flag.subject.key = category.clause;
    (*flagged)->Send(std::move(flag));
    (*flagged)->Ask(absl::StrCat("flag ", category.clause), category.clause, &answers);
  }
  return answers;
}

}  // namespace sluice
