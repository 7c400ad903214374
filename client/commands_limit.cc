// limit: what is used too much.
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

struct LimitFlags {
  std::string id, scope, dimension = "REQUESTS", level = "AGREEMENT", sharing, from, to;
  std::vector<std::string> operations;
  double rate = 0;
  double burst = 0;
  bool shape = false;
  bool trial = false;
  SubjectFlags subject;
  EventFlags event;
};

// The scope that the subject's flags name: a default's scope must be given.
std::string ScopeOf(const SubjectFlags& subject) {
  if (!subject.client_ip.empty()) return "CLIENT_IP";
  if (!subject.host.empty()) return "DOMAIN";
  if (!subject.key.empty()) return "OBJECT";
  if (!subject.bucket.empty()) return "BUCKET";
  return subject.account.empty() ? "" : "ACCOUNT";
}

absl::Status Fill(const LimitFlags& flags, v1::SetLimit* limit) {
  limit->set_limit_id(flags.id.empty() ? NewId("limit") : flags.id);
  const std::string scope = flags.scope.empty() ? ScopeOf(flags.subject) : flags.scope;
  if (scope.empty()) {
    return absl::InvalidArgumentError(
        "wanted a subject (--account, --bucket, --host, --ip, ...), or --scope for the default of all accounts, "
        "buckets, "
        "objects, domains or addresses");
  }
  absl::StatusOr<int> word = ParseWord("--scope", v1::LimitScope_descriptor(), scope);
  if (!word.ok()) return word.status();
  limit->set_scope(static_cast<v1::LimitScope>(*word));
  word = ParseWord("--dimension", v1::Dimension_descriptor(), flags.dimension);
  if (!word.ok()) return word.status();
  limit->set_dimension(static_cast<v1::Dimension>(*word));
  word = ParseWord("--level", v1::Level_descriptor(), flags.level);
  if (!word.ok()) return word.status();
  limit->set_level(static_cast<v1::Level>(*word));
  if (!flags.sharing.empty()) {
    word = ParseWord("--sharing", v1::Sharing_descriptor(), flags.sharing);
    if (!word.ok()) return word.status();
    limit->set_sharing(static_cast<v1::Sharing>(*word));
  }
  for (const std::string& operation : flags.operations) {
    word = ParseWord("--operation", v1::Operation_descriptor(), operation);
    if (!word.ok()) return word.status();
    limit->add_operations(static_cast<v1::Operation>(*word));
  }
  if (!flags.subject.empty()) {
    absl::StatusOr<v1::Subject> subject = flags.subject.ToMessage();
    if (!subject.ok()) return subject.status();
    *limit->mutable_subject() = *std::move(subject);
  }
  limit->set_rate(flags.rate);
  limit->set_burst(flags.burst);
  limit->set_shape(flags.shape);
  limit->set_trial(flags.trial);
  absl::Status status;
  if (!flags.from.empty()) status.Update(ParseWhen("--from", flags.from, limit->mutable_from()));
  if (!flags.to.empty()) status.Update(ParseWhen("--to", flags.to, limit->mutable_to()));
  return status;
}

int RunSetLimit(const Session& session, const LimitFlags& flags) {
  v1::PolicyEvent event;
  if (absl::Status status = Fill(flags, event.mutable_set_limit()); !status.ok()) return session.Fail(status);
  const EventText text = TextOf(event);
  return ApplyOne(session, flags.event, event,
                  absl::StrCat("limit ", text.id, " on ", text.subject, ", ", text.detail));
}

int RunClearLimit(const Session& session, const LimitFlags& flags) {
  v1::PolicyEvent event;
  event.mutable_clear_limit()->set_limit_id(flags.id);
  return ApplyOne(session, flags.event, std::move(event), absl::StrCat("limit ", flags.id, " cleared"));
}

}  // namespace

void AddLimitCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "limit", "Limits: requests, bytes, connections, stored amounts.");
  auto set = std::make_shared<LimitFlags>();
  CLI::App* command = AddCommand(family, session, "set", "Set a limit on one subject, or the default of a scope.",
                                 "sluicectl limit set --scope CLIENT_IP --rate 10 --burst 30",
                                 [=] { return RunSetLimit(*session, *set); });
  command->add_option("--rate", set->rate, "per second, or the amount held; 0 forbids")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--burst", set->burst, "how much at once; default: one second's worth")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--dimension", set->dimension, "REQUESTS, BYTES_IN, BYTES_OUT, CONNECTIONS, STORED_BYTES, ...")
      ->capture_default_str();
  command->add_option("--scope", set->scope, "ACCOUNT, BUCKET, OBJECT, DOMAIN or CLIENT_IP; default: the subject's");
  command->add_option("--level", set->level, "AGREEMENT, WEB_PAGE, ATTACHMENT or CONTRACT, which outranks all")
      ->capture_default_str();
  command->add_option("--operation,--op", set->operations, "which operations it meets; default: all")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--sharing", set->sharing, "NODE: each sidecar grants the rate; FLEET: all together");
  command->add_flag("--shape", set->shape, "slow down rather than throttle; for bytes");
  command->add_flag("--trial", set->trial, "count what it would refuse, and refuse nothing");
  command->add_option("--from", set->from, "when it begins: RFC 3339, or +2h");
  command->add_option("--to", set->to, "when it ends: RFC 3339, or +7d");
  command->add_option("--id", set->id, "the limit's id; default: a new one, which is printed");
  set->subject.AddTo(command);
  set->event.AddTo(command);

  auto clear = std::make_shared<LimitFlags>();
  command = AddCommand(family, session, "clear", "Clear a limit.", "sluicectl limit clear limit-7",
                       [=] { return RunClearLimit(*session, *clear); });
  command->add_option("ID", clear->id, "the limit's id")->required();
  clear->event.AddTo(command);

  auto subject = std::make_shared<SubjectFlags>();
  command = AddCommand(family, session, "list", "List the limits, all or on one subject.",
                       "sluicectl limit list --account u-1001", [=] { return PrintList(*session, "limit", *subject); });
  subject->AddTo(command);
}

}  // namespace sluice
