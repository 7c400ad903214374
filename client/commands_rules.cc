// flag, order: what is prohibited, by the provider and by law.
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

struct RuleFlags {
  std::string id, category, severity, expires_at, authority, document;
  std::vector<std::string> operations, regions;
  bool trial = false;
  SubjectFlags subject;
  EventFlags event;
};

int RunAddFlag(const Session& session, const RuleFlags& flags) {
  v1::PolicyEvent event;
  v1::RaiseFlag* flag = event.mutable_raise_flag();
  flag->set_flag_id(flags.id.empty() ? NewId("flag") : flags.id);
  flag->set_category(flags.category);
  flag->set_authority(flags.authority);
  flag->set_trial(flags.trial);
  absl::StatusOr<v1::Subject> subject = flags.subject.ToMessage();
  if (!subject.ok()) return session.Fail(subject.status());
  *flag->mutable_subject() = *std::move(subject);
  if (!flags.severity.empty()) {
    absl::StatusOr<int> severity = ParseWord("--severity", v1::Severity_descriptor(), flags.severity);
    if (!severity.ok()) return session.Fail(severity.status());
    flag->set_severity(static_cast<v1::Severity>(*severity));
  }
  if (!flags.expires_at.empty()) {
    absl::Status status = ParseWhen("--expires-at", flags.expires_at, flag->mutable_expires_at());
    if (!status.ok()) return session.Fail(status);
  }
  const std::string about = absl::StrCat("flag ", flag->flag_id(), " on ", SubjectText(flag->subject()));
  return ApplyOne(session, flags.event, std::move(event), about);
}

int RunRemoveFlag(const Session& session, const RuleFlags& flags) {
  v1::PolicyEvent event;
  event.mutable_clear_flag()->set_flag_id(flags.id);
  return ApplyOne(session, flags.event, std::move(event), absl::StrCat("flag ", flags.id, " cleared"));
}

int RunIssueOrder(const Session& session, const RuleFlags& flags) {
  v1::PolicyEvent event;
  v1::IssueOrder* order = event.mutable_issue_order();
  order->set_order_id(flags.id.empty() ? NewId("order") : flags.id);
  order->set_authority(flags.authority);
  order->set_document(flags.document);
  absl::StatusOr<v1::Subject> subject = flags.subject.ToMessage();
  if (!subject.ok()) return session.Fail(subject.status());
  *order->add_subjects() = *std::move(subject);
  for (const std::string& word : flags.operations) {
    absl::StatusOr<int> operation = ParseWord("--operation", v1::Operation_descriptor(), word);
    if (!operation.ok()) return session.Fail(operation.status());
    order->add_operations(static_cast<v1::Operation>(*operation));
  }
  for (const std::string& region : flags.regions) order->add_regions(region);
  if (!flags.expires_at.empty()) {
    absl::Status status = ParseWhen("--expires-at", flags.expires_at, order->mutable_expires_at());
    if (!status.ok()) return session.Fail(status);
  }
  const std::string about = absl::StrCat("order ", order->order_id(), " on ", SubjectText(order->subjects(0)));
  return ApplyOne(session, flags.event, std::move(event), about);
}

int RunLiftOrder(const Session& session, const RuleFlags& flags) {
  v1::PolicyEvent event;
  event.mutable_lift_order()->set_order_id(flags.id);
  return ApplyOne(session, flags.event, std::move(event), absl::StrCat("order ", flags.id, " lifted"));
}

// `list` of one kind, by subject or whole.
void AddList(CLI::App* family, Session* session, const std::string& kind, const std::string& example) {
  auto subject = std::make_shared<SubjectFlags>();
  CLI::App* list =
      AddCommand(family, session, "list", absl::StrCat("List the ", kind, "s in force, all or on one subject."),
                 example, [=] { return PrintList(*session, kind, *subject); });
  subject->AddTo(list);
}

}  // namespace

void AddRuleCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "flag", "Flags mark what is prohibited: content, spam, malware, attackers.");
  auto add = std::make_shared<RuleFlags>();
  CLI::App* command = AddCommand(family, session, "add", "Raise a flag on one subject, or replace the flag of that id.",
                                 "sluicectl flag add --bucket photos --key a.png --category 3.1.3.5.3 --severity BLOCK",
                                 [=] { return RunAddFlag(*session, *add); });
  command->add_option("--category", add->category, "the clause it falls under: 3.1.3.4, 3.1.3.5.1 to .8, 3.1.3.7, ...")
      ->required();
  command->add_option("--severity", add->severity, "REVIEW, BLOCK or CRITICAL; default: the category's");
  command->add_option("--id", add->id, "the flag's id; default: a new one, which is printed");
  command->add_option("--expires-at", add->expires_at, "when it ends: RFC 3339, or +7d; default: when it is removed");
  command->add_option("--authority", add->authority, "who found it, for the audit trail");
  command->add_flag("--trial", add->trial, "count what it would deny, and deny nothing");
  add->subject.AddTo(command);
  add->event.AddTo(command);

  auto remove = std::make_shared<RuleFlags>();
  command = AddCommand(family, session, "remove", "Clear a flag. Takes the role that raised it, or LEGAL.",
                       "sluicectl flag remove flag-7 --role LEGAL", [=] { return RunRemoveFlag(*session, *remove); });
  command->add_option("ID", remove->id, "the flag's id")->required();
  remove->event.AddTo(command);
  AddList(family, session, "flag", "sluicectl flag list --bucket photos");

  family = AddFamily(app, "order", "Legal orders bar by law (9.2.2) and outrank everything.");
  auto issue = std::make_shared<RuleFlags>();
  command = AddCommand(family, session, "issue", "Issue an order on one subject, or replace the order of that id.",
                       "sluicectl order issue --host www.example.com --authority \"a court\" --document 2026-17",
                       [=] { return RunIssueOrder(*session, *issue); });
  command->add_option("--id", issue->id, "the order's id; default: a new one, which is printed");
  command->add_option("--operation,--op", issue->operations, "what it bars; default: all but MANAGE_READ and PAY")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--region", issue->regions, "where it holds; default: everywhere")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--expires-at", issue->expires_at, "when it ends: RFC 3339, or +30d; default: when it is lifted");
  command->add_option("--authority", issue->authority, "who demands it");
  command->add_option("--document", issue->document, "reference of the legal document");
  issue->subject.AddTo(command);
  issue->event.AddTo(command);

  auto lift = std::make_shared<RuleFlags>();
  command = AddCommand(family, session, "lift", "Lift an order.", "sluicectl order lift order-2026-17",
                       [=] { return RunLiftOrder(*session, *lift); });
  command->add_option("ID", lift->id, "the order's id")->required();
  lift->event.AddTo(command);
  AddList(family, session, "order", "sluicectl order list --host www.example.com");
}

}  // namespace sluice
