// pack: agreement packs, as files, without a server.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agreement/loader.h"
#include "client/commands.h"
#include "client/pack_diff.h"
#include "google/protobuf/struct.pb.h"

namespace sluice {
namespace {

// The word for the pack that is compiled in.
constexpr char kCompiledIn[] = "default";

absl::StatusOr<std::unique_ptr<const Pack>> Load(const std::string& file) {
  return file == kCompiledIn ? LoadDefaultPack() : LoadPackFile(file);
}

int CheckPacks(const Session& session, const std::vector<std::string>& files) {
  int code = kExitOk;
  for (const std::string& file : files) {
    absl::StatusOr<std::unique_ptr<const Pack>> loaded = Load(file);
    if (!loaded.ok()) {
      code = session.Fail(loaded.status());
      continue;
    }
    const Pack& pack = **loaded;
    *session.out << "ok " << file << ": pack " << pack.name << " " << pack.version << ", " << pack.categories.size()
                 << " categories, " << pack.parameters.size() << " parameters, digest " << pack.digest << "\n";
  }
  return code;
}

std::string Words(const std::vector<Operation>& operations) {
  return absl::StrJoin(operations, ", ", [](std::string* out, Operation each) { absl::StrAppend(out, Name(each)); });
}

google::protobuf::Value Text(absl::string_view text) {
  google::protobuf::Value value;
  value.set_string_value(std::string(text));
  return value;
}

void PrintForPrograms(const Session& session, const std::vector<AnswerChange>& answers,
                      const std::vector<RuleChange>& rules) {
  google::protobuf::Struct all;
  google::protobuf::ListValue* list = (*all.mutable_fields())["answers"].mutable_list_value();
  for (const AnswerChange& change : answers) {
    auto& fields = *list->add_values()->mutable_struct_value()->mutable_fields();
    fields["about"] = Text(change.about);
    fields["who"] = Text(change.who);
    for (const Operation operation : change.operations) {
      *fields["operations"].mutable_list_value()->add_values() = Text(Name(operation));
    }
    fields["before"] = Text(change.before);
    fields["after"] = Text(change.after);
  }
  list = (*all.mutable_fields())["rules"].mutable_list_value();
  for (const RuleChange& change : rules) {
    auto& fields = *list->add_values()->mutable_struct_value()->mutable_fields();
    fields["rule"] = Text(change.rule);
    fields["before"] = Text(change.before);
    fields["after"] = Text(change.after);
  }
  *session.out << (session.output == Session::Output::kYaml ? SpreadYaml(ToJson(all, false)) : ToJson(all, true));
}

void PrintForPeople(const Session& session, const std::vector<AnswerChange>& answers,
                    const std::vector<RuleChange>& rules) {
  if (!answers.empty()) {
    *session.out << Paint("Answers that change", Color::kBold, session.colored) << "\n";
    Table table({{"STATE OR FLAG"}, {"WHO ASKS"}, {"OPERATIONS", Table::Align::kLeft, 60}, {"BEFORE"}, {"AFTER"}});
    for (const AnswerChange& change : answers) {
      table.AddRow(
          {change.about, change.who, Words(change.operations), change.before, Cell(change.after, Color::kBold)});
    }
    session.Print(table);
  }
  if (!rules.empty()) {
    *session.out << (answers.empty() ? "" : "\n") << Paint("Rules that read otherwise", Color::kBold, session.colored)
                 << "\n";
    Table table({{"RULE"}, {"BEFORE", Table::Align::kLeft, 60}, {"AFTER", Table::Align::kLeft, 60}});
    for (const RuleChange& change : rules) table.AddRow({change.rule, change.before, Cell(change.after, Color::kBold)});
    session.Print(table);
  }
  if (!answers.empty() || !rules.empty()) *session.out << "\n";
  size_t operations = 0;
  for (const AnswerChange& change : answers) operations += change.operations.size();
  *session.out << rules.size() << (rules.size() == 1 ? " rule reads" : " rules read") << " otherwise, " << operations
               << (operations == 1 ? " answer changes" : " answers change") << "\n";
}

int DiffPacks(const Session& session, const std::string& before, const std::string& after) {
  absl::StatusOr<std::unique_ptr<const Pack>> a = Load(before);
  if (!a.ok()) return session.Fail(a.status());
  absl::StatusOr<std::unique_ptr<const Pack>> b = Load(after);
  if (!b.ok()) return session.Fail(b.status());
  const std::vector<RuleChange> rules = CompareRules(**a, **b);
  std::vector<AnswerChange> answers;
  if (!rules.empty()) {
    absl::StatusOr<std::vector<PackAnswer>> answers_a = ProbePack(**a);
    if (!answers_a.ok()) return session.Fail(answers_a.status());
    absl::StatusOr<std::vector<PackAnswer>> answers_b = ProbePack(**b);
    if (!answers_b.ok()) return session.Fail(answers_b.status());
    answers = CompareAnswers(*answers_a, *answers_b);
  }
  if (session.output == Session::Output::kTable) {
    PrintForPeople(session, answers, rules);
  } else {
    PrintForPrograms(session, answers, rules);
  }
  return rules.empty() ? kExitOk : kExitRefused;
}

}  // namespace

void AddPackCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "pack", "Agreement packs: checking, comparing and printing them.");
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      AddCommand(family, session, "check", "Read packs as sluiced would: all errors, with file and line.",
                 "sluicectl pack check our-agreement.yaml", [=] { return CheckPacks(*session, *files); });
  command->add_option("FILE", *files, "packs; \"default\" is the one that is compiled in")->required();

  auto before = std::make_shared<std::string>();
  auto after = std::make_shared<std::string>();
  command = AddCommand(
      family, session, "diff",
      "Say what changes from one pack to another: answers by state, category and operation, and rules.",
      "sluicectl pack diff default our-agreement.yaml", [=] { return DiffPacks(*session, *before, *after); });
  command->add_option("A", *before, "a pack, or \"default\"")->required();
  command->add_option("B", *after, "a pack, or \"default\"")->required();

  AddCommand(family, session, "print", "Print the pack that is compiled in: what to start a pack of one's own from.",
             "sluicectl pack print > our-agreement.yaml", [=] {
               *session->out << DefaultPackText();
               return static_cast<int>(kExitOk);
             });
}

}  // namespace sluice
