#include "client/scenario_runner.h"

#include <array>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/calendar.h"
#include "enforcement/names.h"
#include "proto/translate.h"

namespace sluice {
namespace {

constexpr size_t kVerdicts = 4;
constexpr size_t kRulesShown = 6;

// tests/scenarios/FORMAT.md, "The standard fixture".
constexpr char kStandardFixture[] = R"(
- open_account: {account: u1}
- paid: {account: u1}
- open_account: {account: u2}
- paid: {account: u2}
- bind_bucket: {bucket: b1, account: u1}
- bind_bucket: {bucket: b2, account: u1}
- bind_bucket: {bucket: b9, account: u2}
- bind_domain: {host: cdn.example.cn, account: u1, bucket: b1, geo: CHINA}
- bind_domain: {host: img.example.cn, account: u1, bucket: b1, geo: CHINA}
- set_permit: {host: example.cn, kind: icp-filing, status: VALID}
)";

absl::Time FixtureTime() { return absl::FromCivil(absl::CivilSecond(2026, 1, 1), ChinaStandardTime()); }

std::string ShowHttp(int32_t status, absl::string_view code) {
  return absl::StrCat(status, code.empty() ? "" : " ", code);
}

std::string ShowAnnouncement(v1::AnnouncementKind kind, const v1::Subject& subject) {
  return absl::StrCat("{", ShortEnumName(v1::AnnouncementKind_descriptor(), kind),
                      subject.ByteSizeLong() == 0 ? "" : " ", subject.ShortDebugString(), "}");
}

std::string NameOfChange(const v1::PolicyEvent& event) {
  const google::protobuf::OneofDescriptor* change = v1::PolicyEvent::descriptor()->FindOneofByName("change");
  const auto* field = event.GetReflection()->GetOneofFieldDescriptor(event, change);
  return field != nullptr ? field->name() : "event without a change";
}

}  // namespace

absl::StatusOr<CaseResult> ScenarioRunner::Run(const AskEngine& ask) {
  Simulation::Options options = scenario_->node;
  options.ask = ask;
  options.start = FixtureTime();
  // A case without the fixture begins when its first step does, which may be long ago.
  if (!scenario_->standard_fixture && scenario_->steps.front().at) options.start = *scenario_->steps.front().at;
  absl::StatusOr<std::unique_ptr<Simulation>> simulation = Simulation::Create(pack_, std::move(options));
  if (!simulation.ok()) return simulation.status();
  simulation_ = *std::move(simulation);
  if (scenario_->standard_fixture) {
    if (absl::Status status = ApplyFixture(); !status.ok()) return status;
  }
  for (const Step& step : scenario_->steps) {
    if (absl::Status status = RunStep(step); !status.ok()) {
      absl::StrAppend(&diff_, "    ", file_, ":", step.line, ": ", step.word, ": ", status.message(), "\n");
      break;
    }
  }
  simulation_.reset();
  CaseResult result;
  result.id = scenario_->id;
  result.title = scenario_->title;
  result.passed = diff_.empty();
  result.diff = diff_;
  return result;
}

void ScenarioRunner::FillDefaultRole(ScenarioEvent* event) const {
  if (event->role_given) return;
  const std::vector<Role>& roles = pack_->RolesFor(FromProto(event->event).change);
  if (!roles.empty()) event->event.set_role(static_cast<v1::Role>(roles.front()));
}

absl::Status ScenarioRunner::ApplyFixture() {
  absl::StatusOr<std::vector<v1::PolicyEvent>> fixture = ReadPolicyText(kStandardFixture, "standard fixture");
  if (!fixture.ok()) return fixture.status();
  std::vector<PolicyEvent> events;
  for (const v1::PolicyEvent& message : *fixture) {
    ScenarioEvent event;
    event.event = message;
    FillDefaultRole(&event);
    events.push_back(FromProto(event.event));
  }
  absl::StatusOr<ApplyResult> applied = simulation_->Apply(std::move(events));
  if (!applied.ok()) return applied.status();
  for (const EventResult& result : applied->results) {
    if (result.outcome != Outcome::kApplied) {
      return absl::InternalError(absl::StrCat("the standard fixture was not applied: ", result.error));
    }
  }
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunStep(const Step& step) {
  if (step.at) {
    if (absl::Status status = simulation_->AdvanceTo(*step.at); !status.ok()) return status;
  }
  switch (step.action) {
    case Action::kApply:
      return RunApply(step);
    case Action::kCheck:
    case Action::kExplain:
      return RunCheck(step);
    case Action::kReport:
      return RunReport(step);
    case Action::kDescribe:
      return RunDescribe(step);
    case Action::kAnnounced:
      return RunAnnounced(step);
    case Action::kAudit:
      return RunAudit(step);
    case Action::kMetrics:
      return RunMetrics(step);
    case Action::kRestart:
      return simulation_->Restart();
    case Action::kReplay:
      return RunReplay(step);
    case Action::kWallStep:
      return simulation_->StepWall(step.wall_step);
    case Action::kClockError:
      return simulation_->SetClockError(step.clock_error);
  }
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunApply(const Step& step) {
  absl::StatusOr<std::vector<ScenarioEvent>> wanted = ReadScenarioEvents(step.argument, file_, variables_);
  if (!wanted.ok()) return wanted.status();
  std::vector<PolicyEvent> events;
  for (ScenarioEvent& event : *wanted) {
    FillDefaultRole(&event);
    // Without effective_at an event takes effect on arrival, at policy time: the moment of the step.
    events.push_back(FromProto(event.event));
  }
  absl::StatusOr<ApplyResult> applied = simulation_->Apply(std::move(events));
  if (!applied.ok()) return applied.status();
  std::vector<Difference> differences;
  for (size_t i = 0; i < wanted->size(); ++i) {
    const EventResult& result = applied->results[i];
    const v1::Outcome outcome = (*wanted)[i].outcome;
    if (static_cast<int>(result.outcome) == static_cast<int>(outcome)) continue;
    differences.push_back({absl::StrCat("[", i, "] ", NameOfChange((*wanted)[i].event)),
                           ShortEnumName(v1::Outcome_descriptor(), outcome),
                           absl::StrCat(Name(result.outcome), result.error.empty() ? "" : ": ", result.error)});
  }
  Note(step, differences, "");
  return absl::OkStatus();
}

absl::Status ScenarioRunner::CompareHttp(const Step& step, const CheckInput& input,
                                         std::vector<Difference>* differences) {
  for (const HttpWanted& wanted : step.http) {
    CheckInput copy = input;
    copy.dialect = wanted.dialect;
    absl::StatusOr<Decision> decision = simulation_->Explain(copy, nullptr);
    if (!decision.ok()) return decision.status();
    const HttpHint& http = decision->http;
    if (http.status == wanted.status && (!wanted.code || http.code == *wanted.code)) continue;
    differences->push_back({absl::StrCat("http.", wanted.word), ShowHttp(wanted.status, wanted.code.value_or("")),
                            ShowHttp(http.status, http.code)});
  }
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunCheck(const Step& step) {
  v1::CheckRequest request;
  if (absl::Status status = MergeYaml(step.argument, file_, &request, &variables_); !status.ok()) return status;
  CheckInput input;
  FromProto(request, &input);
  std::vector<Difference> differences;
  if (absl::Status status = CompareHttp(step, input, &differences); !status.ok()) return status;

  Decision first, last;
  std::array<int64_t, kVerdicts> counts{};
  for (int64_t i = 0; i < step.repeat; ++i) {
    if (i > 0 && step.every > absl::ZeroDuration()) {
      if (absl::Status status = simulation_->Advance(step.every); !status.ok()) return status;
    }
    absl::StatusOr<Decision> decision =
        step.action == Action::kCheck ? simulation_->Check(input) : simulation_->Explain(input, nullptr);
    if (!decision.ok()) return decision.status();
    ++counts[static_cast<size_t>(decision->verdict) % kVerdicts];
    last = *std::move(decision);
    if (i == 0) first = last;
  }
  for (const auto& [verdict, wanted] : step.counts) {
    const int64_t got = counts[static_cast<size_t>(verdict)];
    if (got == wanted) continue;
    differences.push_back({ShortEnumName(v1::Verdict_descriptor(), verdict), absl::StrCat(wanted), absl::StrCat(got)});
  }
  v1::CheckResponse response;
  if (step.first) {
    ToProto(first, request.request_id(), &response);
    std::vector<Difference> of_first;
    absl::Status status = ReadAndCompare(*step.first, response, file_, variables_, &of_first);
    if (!status.ok()) return status;
    for (Difference& difference : of_first) {
      difference.field = absl::StrCat("first.", difference.field);
      differences.push_back(std::move(difference));
    }
  }
  ToProto(last, request.request_id(), &response);
  if (absl::Status status = CompareExpectation(step, response, &differences); !status.ok()) return status;
  if (!differences.empty()) Note(step, differences, Context(last, input));
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunReport(const Step& step) {
  absl::StatusOr<std::vector<v1::Usage>> usages = ReadScenarioUsages(step.argument, file_, variables_);
  if (!usages.ok()) return usages.status();
  for (const v1::Usage& usage : *usages) {
    if (absl::Status status = simulation_->Report(FromProto(usage)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunDescribe(const Step& step) {
  v1::Subject subject;
  if (absl::Status status = MergeYaml(step.argument, file_, &subject, &variables_); !status.ok()) return status;
  absl::StatusOr<v1::DescribeResponse> response = simulation_->Describe(subject);
  if (!response.ok()) return response.status();
  std::vector<Difference> differences;
  if (absl::Status status = CompareExpectation(step, *response, &differences); !status.ok()) return status;
  std::string context = absl::StrCat("state ", ShortEnumName(v1::AccountState_descriptor(), response->state()));
  if (response->cause() != 0) {
    absl::StrAppend(&context, ", cause ", ShortEnumName(v1::TerminationCause_descriptor(), response->cause()));
  }
  if (response->has_deadline()) {
    absl::StrAppend(&context, ", deadline ", FormatRfc3339(FromProto(response->deadline())));
  }
  Note(step, differences, absl::StrCat("      answer: ", context, "\n"));
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunAnnounced(const Step& step) {
  absl::StatusOr<std::vector<ScenarioAnnouncement>> wanted =
      ReadScenarioAnnouncements(step.argument, file_, variables_);
  if (!wanted.ok()) return wanted.status();
  absl::StatusOr<std::vector<Announcement>> announced = simulation_->NewAnnouncements();
  if (!announced.ok()) return announced.status();
  std::vector<v1::Announcement> got(announced->size());
  for (size_t i = 0; i < got.size(); ++i) ToProto((*announced)[i], &got[i]);

  bool same = wanted->size() == got.size();
  for (size_t i = 0; same && i < got.size(); ++i) {
    std::vector<Difference> of_subject;
    CompareListed((*wanted)[i].listed, (*wanted)[i].subject, got[i].subject(), "", &of_subject);
    same = (*wanted)[i].kind == got[i].kind() && of_subject.empty();
  }
  if (same) return absl::OkStatus();
  std::vector<std::string> wanted_shown, got_shown;
  for (const ScenarioAnnouncement& one : *wanted) wanted_shown.push_back(ShowAnnouncement(one.kind, one.subject));
  std::string context;
  for (const v1::Announcement& one : got) {
    got_shown.push_back(ShowAnnouncement(one.kind(), one.subject()));
    absl::StrAppend(&context, "      announced at ", FormatRfc3339(FromProto(one.at())), " ", got_shown.back(),
                    one.detail().empty() ? "" : ": ", one.detail(), "\n");
  }
  Note(step,
       {{"announced", absl::StrCat("[", absl::StrJoin(wanted_shown, ", "), "]"),
         absl::StrCat("[", absl::StrJoin(got_shown, ", "), "]")}},
       context);
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunAudit(const Step& step) {
  v1::LogQuery query;
  if (absl::Status status = MergeYaml(step.argument, file_, &query, &variables_); !status.ok()) return status;
  v1::DecisionRecord last;
  int64_t records = 0;
  const absl::Status queried = simulation_->QueryLog(query, [&](const v1::DecisionRecord& record) {
    last = record;
    ++records;
    return true;
  });
  if (!queried.ok()) return queried;
  std::vector<Difference> differences;
  if (step.records && records != *step.records) {
    differences.push_back({"records", absl::StrCat(*step.records), absl::StrCat(records)});
  }
  if (records == 0 && !step.expectation.empty()) {
    differences.push_back({"records", "at least one", "none"});
  } else if (absl::Status status = CompareExpectation(step, last, &differences); !status.ok()) {
    return status;
  }
  Note(step, differences, records == 0 ? "" : absl::StrCat("      last record: ", last.ShortDebugString(), "\n"));
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunMetrics(const Step& step) {
  const std::string text = simulation_->MetricsText();
  std::vector<Difference> differences;
  const auto line_of = [&text](size_t at) {
    const size_t begin = text.rfind('\n', at) + 1;  // npos + 1 = 0
    return text.substr(begin, text.find('\n', at) - begin);
  };
  for (const std::string& piece : step.has) {
    if (!absl::StrContains(text, piece)) differences.push_back({"has", piece, "no such text"});
  }
  for (const std::string& piece : step.lacks) {
    if (const size_t at = text.find(piece); at != std::string::npos) {
      differences.push_back({"lacks", absl::StrCat("no ", piece), line_of(at)});
    }
  }
  Note(step, differences, "");
  return absl::OkStatus();
}

absl::Status ScenarioRunner::RunReplay(const Step& step) {
  absl::StatusOr<std::string> difference = simulation_->Replay();
  if (!difference.ok()) return difference.status();
  if (!difference->empty()) Note(step, {{"export", "the same bytes", *difference}}, "");
  return absl::OkStatus();
}

absl::Status ScenarioRunner::CompareExpectation(const Step& step, const google::protobuf::Message& answer,
                                                std::vector<Difference>* differences) {
  absl::StatusOr<std::vector<Difference>> found = CompareAnswer(step.expectation, answer, file_, variables_);
  if (!found.ok()) return found.status();
  differences->insert(differences->end(), found->begin(), found->end());
  Keep(step, answer, differences);
  return absl::OkStatus();
}

void ScenarioRunner::Keep(const Step& step, const google::protobuf::Message& answer,
                          std::vector<Difference>* differences) {
  for (const Expectation::Keep& keep : step.expectation.keep) {
    const std::string text = FieldText(answer, keep.path);
    // An empty lease would end no lease, and the steps that rely on it would mislead.
    if (text.empty()) differences->push_back({absl::StrCat("keep ", keep.path.text), "something", "nothing"});
    variables_[keep.variable] = text;
  }
}

std::string ScenarioRunner::Context(const Decision& decision, const CheckInput& input) const {
  std::string context = absl::StrCat("      answer: ", Name(decision.verdict), " ", Name(decision.reason));
  if (!decision.clause.empty()) absl::StrAppend(&context, ", clause ", decision.clause);
  if (!decision.rule_id.empty()) absl::StrAppend(&context, ", rule ", decision.rule_id);
  const auto names = [](std::string* out, Reason reason) { absl::StrAppend(out, Name(reason)); };
  if (!decision.warnings.empty())
    absl::StrAppend(&context, ", warnings ", absl::StrJoin(decision.warnings, " ", names));
  absl::StrAppend(&context, ", revision ", decision.revision, "\n");
  std::vector<ExplainStep> steps;
  if (!simulation_->Explain(input, &steps).ok()) return context;
  size_t shown = 0;
  for (const ExplainStep& step : steps) {
    if (!step.matched || ++shown > kRulesShown) continue;
    absl::StrAppend(&context, "      matched: ", step.rule, step.clause.empty() ? "" : ", clause ", step.clause, "\n");
  }
  return context;
}

void ScenarioRunner::Note(const Step& step, const std::vector<Difference>& differences, const std::string& context) {
  if (differences.empty()) return;
  absl::StrAppend(&diff_, "    ", file_, ":", step.line, ": ", step.word, " at ", FormatRfc3339(simulation_->wall()),
                  "\n");
  for (const Difference& difference : differences) {
    absl::StrAppend(&diff_, "      ", difference.field, ": wanted ", difference.wanted, ", got ", difference.got, "\n");
  }
  absl::StrAppend(&diff_, context);
}

}  // namespace sluice
