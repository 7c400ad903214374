#include "client/scenario_reader.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"

namespace sluice {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;

struct ActionWord {
  const char* word;
  Action action;
};
constexpr ActionWord kActions[] = {
    {"apply", Action::kApply},   {"check", Action::kCheck},        {"explain", Action::kExplain},
    {"report", Action::kReport}, {"describe", Action::kDescribe},  {"announced", Action::kAnnounced},
    {"audit", Action::kAudit},   {"metrics", Action::kMetrics},    {"restart", Action::kRestart},
    {"replay", Action::kReplay}, {"wall_step", Action::kWallStep}, {"clock_error", Action::kClockError},
};

// The type of the answer that an action's expectation is about; nullptr where it has none.
const Message* AnswerOf(Action action) {
  switch (action) {
    case Action::kCheck:
    case Action::kExplain:
      return &v1::CheckResponse::default_instance();
    case Action::kDescribe:
      return &v1::DescribeResponse::default_instance();
    case Action::kAudit:
      return &v1::DecisionRecord::default_instance();
    default:
      return nullptr;
  }
}

// The companions of `expect`.
const std::vector<std::string>& CompanionKeys() {
  static const auto* const kKeys =
      new std::vector<std::string>{"expect", "absent", "present", "at_most", "at_least", "lacks", "keep"};
  return *kKeys;
}

using Mapping = std::map<std::string, YAML::Node>;

class Reader {
 public:
  explicit Reader(absl::string_view file) : file_(file) {}

  absl::StatusOr<Scenario> ReadCase(const YAML::Node& node);

 private:
  // `what` is where the mapping stands, for messages: "case", "step".
  absl::StatusOr<Mapping> ReadMapping(const YAML::Node& node, absl::string_view what,
                                      const std::vector<std::string>& known);
  absl::StatusOr<std::string> ReadText(const YAML::Node& node, absl::string_view field);
  absl::StatusOr<std::vector<std::string>> ReadTexts(const YAML::Node& node, absl::string_view field);
  absl::StatusOr<int64_t> ReadCount(const YAML::Node& node, absl::string_view field, int64_t least);
  absl::StatusOr<absl::Duration> ReadDuration(const YAML::Node& node, absl::string_view field);
  absl::StatusOr<FieldPath> ReadPath(const YAML::Node& node, absl::string_view field, const std::string& text,
                                     const Descriptor* type);

  absl::Status ReadNode(const YAML::Node& node, Scenario* scenario);
  absl::Status ReadStep(const YAML::Node& node, Scenario* scenario);
  absl::Status ReadArgument(Step* step);
  absl::Status ReadFlag(const Step& step);
  absl::Status ReadExpectations(const Mapping& keys, Step* step);
  absl::Status ReadExpect(const YAML::Node& node, Step* step);
  absl::Status ReadCounts(const YAML::Node& node, Step* step);
  absl::Status ReadRecords(const YAML::Node& node, Step* step);
  absl::Status ReadBounds(const YAML::Node& node, absl::string_view field, const Descriptor* type,
                          std::vector<Expectation::Bound>* bounds);
  absl::Status ReadHttp(const YAML::Node& node, Step* step);
  // Whether it can be read as such a message.
  absl::Status Try(const YAML::Node& node, const Message& prototype, absl::string_view beside = "") {
    const std::unique_ptr<Message> message(prototype.New());
    return MergeYaml(node, file_, message.get(), &variables_, beside);
  }

  const absl::string_view file_;
  YamlVariables variables_;  // kept by earlier steps of the case, with values that only the run will know
};

absl::StatusOr<Mapping> Reader::ReadMapping(const YAML::Node& node, absl::string_view what,
                                            const std::vector<std::string>& known) {
  if (!node.IsMap()) return YamlError(node, file_, what, "a mapping");
  Mapping mapping;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return YamlError(entry.first, file_, what, "the name of a field");
    const std::string& key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return YamlProblem(entry.first, file_, what, UnknownKey(key, known));
    }
    if (!mapping.emplace(key, entry.second).second) {
      return YamlProblem(entry.first, file_, what, absl::StrCat(key, " is there twice"));
    }
  }
  return mapping;
}

absl::StatusOr<std::string> Reader::ReadText(const YAML::Node& node, absl::string_view field) {
  if (!node.IsScalar()) return YamlError(node, file_, field, "text");
  return node.Scalar();
}

absl::StatusOr<std::vector<std::string>> Reader::ReadTexts(const YAML::Node& node, absl::string_view field) {
  if (!node.IsSequence()) return YamlError(node, file_, field, "a list");
  std::vector<std::string> texts;
  for (const YAML::Node& item : node) {
    absl::StatusOr<std::string> text = ReadText(item, field);
    if (!text.ok()) return text.status();
    if (text->empty()) return YamlError(item, file_, field, "text that is not empty");
    texts.push_back(*std::move(text));
  }
  return texts;
}

absl::StatusOr<int64_t> Reader::ReadCount(const YAML::Node& node, absl::string_view field, int64_t least) {
  int64_t count;
  if (!node.IsScalar() || !absl::SimpleAtoi(node.Scalar(), &count) || count < least) {
    return YamlError(node, file_, field, absl::StrCat("a whole number from ", least, " on"));
  }
  return count;
}

absl::StatusOr<absl::Duration> Reader::ReadDuration(const YAML::Node& node, absl::string_view field) {
  absl::Duration duration;
  if (!node.IsScalar() || !absl::ParseDuration(node.Scalar(), &duration) ||
      absl::AbsDuration(duration) == absl::InfiniteDuration()) {
    return YamlError(node, file_, field, "a duration like 1s, 10m or -1h");
  }
  return duration;
}

absl::StatusOr<FieldPath> Reader::ReadPath(const YAML::Node& node, absl::string_view field, const std::string& text,
                                           const Descriptor* type) {
  absl::StatusOr<FieldPath> path = ResolveFieldPath(type, text);
  if (!path.ok()) return YamlProblem(node, file_, absl::StrCat(field, ": ", text), path.status().message());
  return path;
}

absl::StatusOr<Scenario> Reader::ReadCase(const YAML::Node& node) {
  variables_.clear();
  absl::StatusOr<Mapping> keys =
      ReadMapping(node, "case", {"id", "title", "clause", "choice", "fixture", "node", "steps"});
  if (!keys.ok()) return keys.status();
  Scenario scenario;
  scenario.line = LineOf(node);
  for (const char* required : {"id", "steps"}) {
    if (keys->count(required) == 0) return YamlProblem(node, file_, "case", absl::StrCat("wanted ", required));
  }
  for (auto& [key, target] : std::map<std::string, std::string*>{
           {"id", &scenario.id}, {"title", &scenario.title}, {"clause", &scenario.clause}}) {
    if (keys->count(key) == 0) continue;
    absl::StatusOr<std::string> text = ReadText(keys->at(key), key);
    if (!text.ok()) return text.status();
    *target = *std::move(text);
  }
  if (scenario.id.empty()) return YamlProblem(keys->at("id"), file_, "id", "wanted text, got nothing");
  if (auto found = keys->find("choice"); found != keys->end()) {
    const YAML::Node& choice = found->second;
    if (!choice.IsScalar() || (choice.Scalar() != "true" && choice.Scalar() != "false")) {
      return YamlError(choice, file_, "choice", "true or false");
    }
    scenario.choice = choice.Scalar() == "true";
  }
  if (auto found = keys->find("fixture"); found != keys->end()) {
    const YAML::Node& fixture = found->second;
    if (!fixture.IsScalar() || (fixture.Scalar() != "standard" && fixture.Scalar() != "none")) {
      return YamlError(fixture, file_, "fixture", "standard or none");
    }
    scenario.standard_fixture = fixture.Scalar() == "standard";
  }
  if (scenario.standard_fixture) scenario.node.node.region = "cn";
  if (auto found = keys->find("node"); found != keys->end()) {
    if (absl::Status status = ReadNode(found->second, &scenario); !status.ok()) return status;
  }
  const YAML::Node& steps = keys->at("steps");
  if (!steps.IsSequence() || steps.size() == 0) return YamlError(steps, file_, "steps", "a list of steps");
  for (const YAML::Node& step : steps) {
    if (absl::Status status = ReadStep(step, &scenario); !status.ok()) return status;
  }
  return scenario;
}

absl::Status Reader::ReadNode(const YAML::Node& node, Scenario* scenario) {
  absl::StatusOr<Mapping> keys =
      ReadMapping(node, "node", {"region", "dialect", "fleet_size", "audit_capacity", "failure_policy"});
  if (!keys.ok()) return keys.status();
  for (const auto& [key, value] : *keys) {
    const std::string field = absl::StrCat("node.", key);
    if (key == "fleet_size" || key == "audit_capacity") {
      absl::StatusOr<int64_t> count = ReadCount(value, field, key == "fleet_size" ? 1 : 0);
      if (!count.ok()) return count.status();
      if (key == "audit_capacity") {
        scenario->node.audit_capacity = static_cast<size_t>(*count);
      } else if (*count > std::numeric_limits<int>::max()) {
        return YamlError(value, file_, field, "a number of sidecars");
      } else {
        scenario->node.node.fleet_size = static_cast<int>(*count);
      }
      continue;
    }
    absl::StatusOr<std::string> text = ReadText(value, field);
    if (!text.ok()) return text.status();
    if (key == "region") {
      scenario->node.node.region = *text;
    } else if (key == "dialect") {
      const absl::optional<Dialect> dialect = ParseDialect(absl::AsciiStrToUpper(*text));
      if (!dialect || *dialect == Dialect::kUnspecified) return YamlError(value, file_, field, "generic, s3 or kodo");
      scenario->node.node.dialect = *dialect;
    } else {
      // For every reason alike.
      const absl::optional<FailureChoice> choice = ParseFailureChoice(*text);
      if (!choice || choice->decide) return YamlError(value, file_, field, "deny, allow or operations");
      for (const Reason reason : FailurePolicy::kReasons) scenario->node.node.failure.of(reason) = *choice;
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadStep(const YAML::Node& node, Scenario* scenario) {
  std::vector<std::string> known = {"at", "repeat", "every", "http"};
  known.insert(known.end(), CompanionKeys().begin(), CompanionKeys().end());
  for (const ActionWord& action : kActions) known.push_back(action.word);
  absl::StatusOr<Mapping> keys = ReadMapping(node, "step", known);
  if (!keys.ok()) return keys.status();

  Step step;
  step.line = LineOf(node);
  std::vector<std::string> words;
  for (const ActionWord& action : kActions) {
    auto found = keys->find(action.word);
    if (found == keys->end()) continue;
    words.push_back(action.word);
    step.word = action.word;
    step.action = action.action;
    step.argument.reset(found->second);  // operator= would write into the file's own node
  }
  if (words.size() != 1) {
    return YamlProblem(node, file_, "step",
                       absl::StrCat("wanted one action, got ", words.empty() ? "none" : absl::StrJoin(words, " and ")));
  }
  const bool asks = step.action == Action::kCheck || step.action == Action::kExplain;
  for (const auto& [key, value] : *keys) {
    const bool companion = std::find(CompanionKeys().begin(), CompanionKeys().end(), key) != CompanionKeys().end();
    const bool fits = key == "at" || key == step.word || (companion ? AnswerOf(step.action) != nullptr : asks);
    if (!fits) return YamlProblem(value, file_, "step", absl::StrCat(key, " does not go with ", step.word));
  }
  if (auto found = keys->find("at"); found != keys->end()) {
    const YAML::Node& at = found->second;
    if (at.IsScalar()) step.at = ParseRfc3339(at.Scalar());
    if (!step.at) return YamlError(at, file_, "at", "a time like 2026-03-01T10:00:00+08:00");
  }
  if (absl::Status status = ReadArgument(&step); !status.ok()) return status;
  if (absl::Status status = ReadExpectations(*keys, &step); !status.ok()) return status;
  for (const Expectation::Keep& keep : step.expectation.keep) variables_[keep.variable] = absl::nullopt;
  scenario->steps.push_back(step);
  return absl::OkStatus();
}

absl::Status Reader::ReadFlag(const Step& step) {
  if (step.argument.IsScalar() && step.argument.Scalar() == "true") return absl::OkStatus();
  return YamlError(step.argument, file_, step.word, "true");
}

absl::Status Reader::ReadArgument(Step* step) {
  const YAML::Node& node = step->argument;
  switch (step->action) {
    case Action::kApply:
      return ReadScenarioEvents(node, file_, variables_).status();
    case Action::kCheck:
    case Action::kExplain:
      return Try(node, v1::CheckRequest::default_instance());
    case Action::kReport:
      return ReadScenarioUsages(node, file_, variables_).status();
    case Action::kDescribe:
      return Try(node, v1::Subject::default_instance());
    case Action::kAnnounced:
      return ReadScenarioAnnouncements(node, file_, variables_).status();
    case Action::kAudit:
      return Try(node, v1::LogQuery::default_instance());
    case Action::kRestart:
    case Action::kReplay:
      return ReadFlag(*step);
    case Action::kMetrics: {
      absl::StatusOr<Mapping> keys = ReadMapping(node, "metrics", {"has", "lacks"});
      if (!keys.ok()) return keys.status();
      for (const auto& [key, value] : *keys) {
        absl::StatusOr<std::vector<std::string>> pieces = ReadTexts(value, absl::StrCat("metrics.", key));
        if (!pieces.ok()) return pieces.status();
        (key == "has" ? step->has : step->lacks) = *std::move(pieces);
      }
      return absl::OkStatus();
    }
    case Action::kWallStep: {
      absl::StatusOr<absl::Duration> duration = ReadDuration(node, "wall_step");
      if (!duration.ok()) return duration.status();
      step->wall_step = *duration;
      return absl::OkStatus();
    }
    case Action::kClockError: {
      if (node.IsScalar() && node.Scalar() == "unknown") return absl::OkStatus();
      absl::StatusOr<absl::Duration> duration = ReadDuration(node, "clock_error");
      if (!duration.ok() || *duration < absl::ZeroDuration()) {
        return YamlError(node, file_, "clock_error", "unknown, or a duration like 1s");
      }
      step->clock_error = *duration;
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadExpectations(const Mapping& keys, Step* step) {
  const Message* answer = AnswerOf(step->action);
  if (answer == nullptr) return absl::OkStatus();
  const Descriptor* type = answer->GetDescriptor();
  Expectation& expectation = step->expectation;
  if (auto found = keys.find("repeat"); found != keys.end()) {
    absl::StatusOr<int64_t> count = ReadCount(found->second, "repeat", 1);
    if (!count.ok()) return count.status();
    step->repeated = true;
    step->repeat = *count;
  }
  for (const auto& [key, value] : keys) {
    absl::Status status;
    if (key == "expect") {
      status = ReadExpect(value, step);
    } else if (key == "http") {
      status = ReadHttp(value, step);
    } else if (key == "at_most" || key == "at_least") {
      status = ReadBounds(value, key, type, key == "at_most" ? &expectation.at_most : &expectation.at_least);
    } else if (key == "every") {
      absl::StatusOr<absl::Duration> every = ReadDuration(value, key);
      if (!every.ok()) return every.status();
      if (*every < absl::ZeroDuration()) return YamlError(value, file_, key, "a duration like 1ms");
      if (!step->repeated) return YamlProblem(value, file_, key, "wanted repeat beside it");
      step->every = *every;
    } else if (key == "absent" || key == "present") {
      absl::StatusOr<std::vector<std::string>> names = ReadTexts(value, key);
      if (!names.ok()) return names.status();
      for (const std::string& name : *names) {
        absl::StatusOr<FieldPath> path = ReadPath(value, key, name, type);
        if (!path.ok()) return path.status();
        (key == "absent" ? expectation.absent : expectation.present).push_back(*std::move(path));
      }
    } else if (key == "lacks" || key == "keep") {
      if (!value.IsMap()) return YamlError(value, file_, key, "a mapping");
      for (const auto& entry : value) {
        if (!entry.first.IsScalar()) return YamlError(entry.first, file_, key, "the name of a field");
        if (key == "lacks") {
          absl::StatusOr<FieldPath> path = ReadPath(entry.first, key, entry.first.Scalar(), type);
          if (!path.ok()) return path.status();
          absl::StatusOr<std::vector<std::string>> pieces = ReadTexts(entry.second, key);
          if (!pieces.ok()) return pieces.status();
          expectation.lacks.push_back({*std::move(path), *std::move(pieces)});
          continue;
        }
        absl::StatusOr<std::string> name = ReadText(entry.second, key);
        if (!name.ok()) return name.status();
        absl::StatusOr<FieldPath> path = ReadPath(entry.second, key, *name, type);
        if (!path.ok()) return path.status();
        expectation.keep.push_back({entry.first.Scalar(), *std::move(path)});
      }
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadExpect(const YAML::Node& node, Step* step) {
  if (!node.IsMap()) return YamlError(node, file_, "expect", "a mapping");
  if (step->repeated) return ReadCounts(node, step);
  if (step->action == Action::kAudit) return ReadRecords(node, step);
  step->expectation.expect.emplace(node);
  return Try(node, *AnswerOf(step->action));
}

absl::Status Reader::ReadCounts(const YAML::Node& node, Step* step) {
  std::vector<std::string> known = {"first", "last"};
  const google::protobuf::EnumDescriptor* verdicts = v1::Verdict_descriptor();
  for (int i = 1; i < verdicts->value_count(); ++i)
    known.push_back(ShortEnumName(verdicts, verdicts->value(i)->number()));
  absl::StatusOr<Mapping> keys = ReadMapping(node, "expect with repeat", known);
  if (!keys.ok()) return keys.status();
  for (const auto& [key, value] : *keys) {
    if (key == "first" || key == "last") {
      (key == "first" ? step->first : step->expectation.expect).emplace(value);
      if (absl::Status status = Try(value, v1::CheckResponse::default_instance()); !status.ok()) return status;
      continue;
    }
    absl::StatusOr<int64_t> count = ReadCount(value, absl::StrCat("expect.", key), 0);
    if (!count.ok()) return count.status();
    step->counts.emplace_back(*ParseEnumName(verdicts, key), *count);
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadRecords(const YAML::Node& node, Step* step) {
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != "records") continue;
    absl::StatusOr<int64_t> records = ReadCount(entry.second, "expect.records", 0);
    if (!records.ok()) return records.status();
    if (step->records) return YamlProblem(entry.first, file_, "expect", "records is there twice");
    step->records = *records;
  }
  if (step->records && node.size() == 1) return absl::OkStatus();
  step->expectation.expect.emplace(node);
  step->expectation.beside = "records";
  return Try(node, v1::DecisionRecord::default_instance(), "records");
}

absl::Status Reader::ReadBounds(const YAML::Node& node, absl::string_view field, const Descriptor* type,
                                std::vector<Expectation::Bound>* bounds) {
  if (!node.IsMap()) return YamlError(node, file_, field, "a mapping");
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return YamlError(entry.first, file_, field, "the name of a field");
    absl::StatusOr<FieldPath> path = ReadPath(entry.first, field, entry.first.Scalar(), type);
    if (!path.ok()) return path.status();
    const google::protobuf::FieldDescriptor* last = path->fields.back();
    if (!IsOrdered(last))
      return YamlProblem(entry.first, file_, field, absl::StrCat(path->text, " is no number or time"));
    const Message* holder =
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(last->containing_type());
    const std::unique_ptr<Message> message(holder->New());
    absl::Status status = MergeYamlField(entry.second, file_, last, message.get(), &variables_);
    if (!status.ok()) return status;
    bounds->push_back({*std::move(path), entry.second});
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadHttp(const YAML::Node& node, Step* step) {
  absl::StatusOr<Mapping> keys = ReadMapping(node, "http", {"kodo", "s3", "generic"});
  if (!keys.ok()) return keys.status();
  for (const auto& [key, value] : *keys) {
    HttpWanted wanted;
    wanted.dialect = *ParseDialect(absl::AsciiStrToUpper(key));
    wanted.word = key;
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    const size_t blank = text.find(' ');
    if (!absl::SimpleAtoi(text.substr(0, blank), &wanted.status)) {
      return YamlError(value, file_, absl::StrCat("http.", key),
                       "a status, and perhaps an error name, like 503 SlowDown");
    }
    if (blank != std::string::npos) wanted.code = std::string(absl::StripAsciiWhitespace(text.substr(blank)));
    step->http.push_back(std::move(wanted));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Scenario>> ReadScenarios(absl::string_view text, absl::string_view file) {
  absl::StatusOr<std::vector<YAML::Node>> documents = LoadYaml(text, file);
  if (!documents.ok()) return documents.status();
  std::vector<Scenario> scenarios;
  Reader reader(file);
  for (const YAML::Node& document : *documents) {
    if (document.IsNull()) continue;  // nothing but comments
    if (!document.IsSequence()) return YamlError(document, file, "", "a list of cases");
    for (const YAML::Node& node : document) {
      absl::StatusOr<Scenario> scenario = reader.ReadCase(node);
      if (!scenario.ok()) return scenario.status();
      scenarios.push_back(*std::move(scenario));
    }
  }
  if (scenarios.empty()) return absl::InvalidArgumentError(absl::StrCat(file, ": wanted a list of cases, got nothing"));
  return scenarios;
}

}  // namespace sluice
