// apply: policy files to a server.
#include <algorithm>
#include <array>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/progress.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

// Each batch is one message and at most one commit.
constexpr int kBatchEvents = 500;
// With more events than this only what was not applied is listed, unless --verbose asks for all.
constexpr size_t kListedMax = 40;

struct ApplyFlags {
  std::vector<std::string> files;
  std::string role;
  std::string source;
  bool verbose = false;
};

Color ColorOf(v1::Outcome outcome) {
  switch (outcome) {
    case v1::OUTCOME_APPLIED:
      return Color::kGreen;
    case v1::OUTCOME_REJECTED:
      return Color::kRed;
    default:
      return Color::kYellow;
  }
}

absl::StatusOr<std::vector<v1::PolicyEvent>> ReadEvents(const ApplyFlags& flags) {
  int role = 0;
  if (!flags.role.empty()) {
    absl::StatusOr<int> word = ParseWord("--role", v1::Role_descriptor(), flags.role);
    if (!word.ok()) return word.status();
    role = *word;
  }
  std::vector<v1::PolicyEvent> all;
  for (const std::string& file : flags.files) {
    absl::StatusOr<std::vector<v1::PolicyEvent>> events = ReadPolicyFile(file == "-" ? "/dev/stdin" : file);
    if (!events.ok()) return events.status();
    for (v1::PolicyEvent& event : *events) {
      if (role != 0 && event.role() == v1::ROLE_UNSPECIFIED) event.set_role(static_cast<v1::Role>(role));
      if (event.source().empty()) event.set_source(flags.source);
      all.push_back(std::move(event));
    }
  }
  return all;
}

// Prints what became of the events that were answered. `results` may be shorter than `events`.
void PrintResults(const Session& session, const std::vector<v1::PolicyEvent>& events, const v1::ApplyResponse& response,
                  bool verbose) {
  if (session.output != Session::Output::kTable) {
    session.Print(response);
    return;
  }
  std::array<int64_t, 5> counts{};
  Table table({{"#", Table::Align::kRight},
               {"OUTCOME"},
               {"KIND"},
               {"ID", Table::Align::kLeft, 40},
               {"SUBJECT", Table::Align::kLeft, 50},
               {"DETAIL", Table::Align::kLeft, 60},
               {"REVISION", Table::Align::kRight},
               {"ERROR"}});
  const bool all = verbose || events.size() <= kListedMax;
  for (int i = 0; i < response.results_size() && static_cast<size_t>(i) < events.size(); ++i) {
    const v1::EventResult& result = response.results(i);
    ++counts[static_cast<size_t>(result.outcome()) % counts.size()];
    if (!all && result.outcome() == v1::OUTCOME_APPLIED) continue;
    const EventText text = TextOf(events[static_cast<size_t>(i)]);
    table.AddRow({absl::StrCat(i + 1),
                  Cell(ShortEnumName(v1::Outcome_descriptor(), result.outcome()), ColorOf(result.outcome())), text.kind,
                  text.id, text.subject, text.detail, absl::StrCat(result.revision()), result.error()});
  }
  if (table.size() > 0) session.Print(table);
  *session.out << WithCommas(counts[v1::OUTCOME_APPLIED]) << " applied, " << WithCommas(counts[v1::OUTCOME_DUPLICATE])
               << " duplicate, " << WithCommas(counts[v1::OUTCOME_STALE]) << " stale, "
               << Paint(absl::StrCat(WithCommas(counts[v1::OUTCOME_REJECTED]), " rejected"),
                        counts[v1::OUTCOME_REJECTED] > 0 ? Color::kRed : Color::kNone, session.colored)
               << "; revision " << response.revision() << "\n";
}

int RunApply(const Session& session, const ApplyFlags& flags) {
  absl::StatusOr<std::vector<v1::PolicyEvent>> events = ReadEvents(flags);
  if (!events.ok()) return session.Fail(events.status());
  v1::ApplyResponse all;
  absl::Status status;
  {
    Progress progress(stderr, "applying", static_cast<int64_t>(events->size()), Progress::Unit::kCount);
    size_t sent = 0;
    Connection connection = session.Admin();
    do {
      v1::ApplyRequest request;
      for (; sent < events->size() && request.events_size() < kBatchEvents; ++sent) {
        *request.add_events() = (*events)[sent];
      }
      absl::StatusOr<v1::ApplyResponse> response = connection.Apply(request);
      if (!response.ok()) {
        status = response.status();
        break;
      }
      all.mutable_results()->MergeFrom(response->results());
      all.set_revision(std::max(all.revision(), response->revision()));
      progress.Update(all.results_size());
    } while (sent < events->size());
  }
  // What was answered is durable, even where a later batch failed: say so first.
  if (status.ok() || all.results_size() > 0) PrintResults(session, *events, all, flags.verbose);
  if (!status.ok()) {
    if (all.results_size() > 0) {
      *session.err << "sluicectl: " << all.results_size() << " of " << events->size()
                   << " events were answered before this error; of the rest up to " << kBatchEvents
                   << " may have been applied. Applying the files again is safe for events with an event_id.\n";
    }
    return session.Fail(status);
  }
  if (static_cast<size_t>(all.results_size()) != events->size()) {
    return session.Fail(
        absl::InternalError(absl::StrCat("sent ", events->size(), " events, got ", all.results_size(), " results")));
  }
  const bool rejected = std::any_of(all.results().begin(), all.results().end(), [](const v1::EventResult& result) {
    return result.outcome() == v1::OUTCOME_REJECTED;
  });
  return rejected ? kExitRefused : kExitOk;
}

}  // namespace

void AddApplyCommand(CLI::App* app, Session* session) {
  auto flags = std::make_shared<ApplyFlags>();
  flags->source = "sluicectl";
  CLI::App* command = AddCommand(
      app, session, "apply", "Apply the events of policy files, in order. Exit code 1 where any is rejected.",
      "sluicectl apply -f examples/demo/policy.yaml", [=] { return RunApply(*session, *flags); });
  command
      ->add_option("-f,--file", flags->files, "a policy file (YAML or JSON), - for standard input; may be given again")
      ->required();
  command->add_option("--role", flags->role,
                      "role of events that name none; default: the first that the pack and the node let you");
  command->add_option("--source", flags->source, "source of events that name none")->capture_default_str();
  command->add_flag("-v,--verbose", flags->verbose, "list every event, however many");
}

}  // namespace sluice
