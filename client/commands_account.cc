// account: how an account stands, and suspending it.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/timeline.h"
#include "client/yaml_message.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// The clause behind a state, and the one that its deadline leads to.
struct StateClauses {
  std::string state;
  std::string deadline;
};

StateClauses ClausesOf(const Pack& pack, const v1::DescribeResponse& account) {
  const auto reason = [&](Reason value) { return pack.reasons[static_cast<size_t>(value)].clause; };
  const auto cause = [&](TerminationCause value) { return pack.causes[static_cast<size_t>(value)].clause; };
  switch (account.state()) {
    case v1::ACCOUNT_STATE_PENDING:
      return {reason(Reason::kPendingPayment), ""};
    case v1::ACCOUNT_STATE_NOTICE:
      return {reason(Reason::kTerminationNotice), ""};
    case v1::ACCOUNT_STATE_WITHHELD:
      return {reason(Reason::kServiceWithheld), ""};
    case v1::ACCOUNT_STATE_FROZEN:
      return {reason(Reason::kAccountFrozen), cause(TerminationCause::kArrears)};
    case v1::ACCOUNT_STATE_RETENTION:
      return {cause(static_cast<TerminationCause>(account.cause())), cause(TerminationCause::kExpired)};
    case v1::ACCOUNT_STATE_RECLAIMABLE:
    case v1::ACCOUNT_STATE_RECLAIMED:
      return {cause(static_cast<TerminationCause>(account.cause())), ""};
    default:
      return {};
  }
}

// What the state means, in the words of the pack.
std::string MeaningOf(const Pack& pack, v1::AccountState state) {
  const auto of = [&](Reason reason) {
    const ReasonRule& rule = pack.reasons[static_cast<size_t>(reason)];
    return absl::StrCat(rule.zh, " ", rule.en);
  };
  switch (state) {
    case v1::ACCOUNT_STATE_PENDING:
      return of(Reason::kPendingPayment);
    case v1::ACCOUNT_STATE_NOTICE:
      return of(Reason::kTerminationNotice);
    case v1::ACCOUNT_STATE_WITHHELD:
      return of(Reason::kServiceWithheld);
    case v1::ACCOUNT_STATE_FROZEN:
      return of(Reason::kAccountFrozen);
    case v1::ACCOUNT_STATE_RETENTION:
      return of(Reason::kAgreementEnded);
    case v1::ACCOUNT_STATE_RECLAIMABLE:
      // A hold, a CRITICAL flag or a pending payment holds back the announcement, not the state.
      return "期限已过；公告 RECLAIMABLE 之后存储系统方可回收空间。 "
             "The time has run out; storage may take the space back once RECLAIMABLE was announced.";
    case v1::ACCOUNT_STATE_RECLAIMED:
      return of(Reason::kReclaimed);
    default:
      return "";
  }
}

// The events of an account, oldest first, by what was sent and when it took effect.
Table TableOfHistory(const google::protobuf::RepeatedPtrField<v1::PolicyEvent>& events) {
  Table table({{"EVENT"},
               {"DETAIL", Table::Align::kLeft, 60},
               {"EFFECTIVE"},
               {"ARRIVED"},
               {"BY"},
               {"NOTE", Table::Align::kLeft, 40}});
  for (const v1::PolicyEvent& event : events) {
    std::string detail;
    if (event.has_set_balance()) {
      detail = absl::StrCat("balance ", event.set_balance().balance_minor(), ", consumption ",
                            event.set_balance().consumption_minor());
    } else if (event.has_payment_pending()) {
      detail = event.payment_pending().pending() ? "a payment is on its way" : "no payment is on its way";
    } else if (event.has_set_service_end()) {
      detail = absl::StrCat("end ", TimeText(event.set_service_end().end()));
    } else if (event.has_give_notice()) {
      detail = absl::StrCat("termination ", TimeText(event.give_notice().termination()));
    } else if (event.has_terminate()) {
      detail = absl::StrCat("cause ", ShortEnumName(v1::TerminationCause_descriptor(), event.terminate().cause()));
    }
    table.AddRow({TextOf(event).kind, detail, TimeText(event.effective_at()), TimeText(event.arrived_at()),
                  ShortEnumName(v1::Role_descriptor(), event.role()), event.note()});
  }
  return table;
}

Color ColorOf(v1::AccountState state) {
  switch (state) {
    case v1::ACCOUNT_STATE_ACTIVE:
      return Color::kGreen;
    case v1::ACCOUNT_STATE_PENDING:
    case v1::ACCOUNT_STATE_NOTICE:
    case v1::ACCOUNT_STATE_WITHHELD:
      return Color::kYellow;
    default:
      return Color::kRed;
  }
}

int ShowAccount(const Session& session, const std::string& name, const std::string& at) {
  absl::StatusOr<std::unique_ptr<const Pack>> pack = session.LoadPack();
  if (!pack.ok()) return session.Fail(pack.status());
  v1::DescribeRequest request;
  request.mutable_subject()->set_account(name);
  absl::Time now = absl::Now();
  if (!at.empty()) {
    if (absl::Status status = ParseWhen("--at", at, request.mutable_at()); !status.ok()) return session.Fail(status);
    now = FromProto(request.at());
  }
  absl::StatusOr<v1::DescribeResponse> account = session.Admin().Describe(request);
  if (!account.ok()) return session.Fail(account.status());
  if (session.output != Session::Output::kTable) {
    session.Print(*account);
    return kExitOk;
  }
  const StateClauses clauses = ClausesOf(**pack, *account);
  Table table(std::vector<Table::Column>{{""}, {""}});
  const auto add = [&](absl::string_view label, std::string value, Color color = Color::kNone) {
    if (!value.empty()) table.AddRow({Cell(label, Color::kDim), Cell(std::move(value), color)});
  };
  add("account", name, Color::kBold);
  if (account->state() == v1::ACCOUNT_STATE_UNSPECIFIED) {
    add("state", "unknown: no event has opened it", Color::kYellow);
  } else {
    add("state", ShortEnumName(v1::AccountState_descriptor(), account->state()), ColorOf(account->state()));
  }
  add("meaning", MeaningOf(**pack, account->state()));
  if (account->cause() != 0) add("cause", ShortEnumName(v1::TerminationCause_descriptor(), account->cause()));
  add("clause", clauses.state);
  if (account->has_state_since()) add("since", TimeText(account->state_since()));
  if (account->has_deadline()) {
    const absl::Time deadline = FromProto(account->deadline());
    add("deadline", absl::StrCat(TimeText(account->deadline()), ", ", TimeLeft(deadline, now),
                                 clauses.deadline.empty() ? "" : absl::StrCat(" (", clauses.deadline, ")")));
  }
  if (!at.empty()) add("as of", TimeText(request.at()));
  add("revision", absl::StrCat(account->revision()));
  session.Print(table);
  if (account->has_deadline() && account->has_state_since()) {
    const absl::Time since = FromProto(account->state_since());
    const absl::Time deadline = FromProto(account->deadline());
    // What begins at its own deadline, as RECLAIMABLE does, has no window to draw.
    if (since < deadline) *session.out << "\n" << DrawTimeline(since, deadline, now);
  }
  if (account->in_force_size() > 0) {
    *session.out << "\n" << Paint("In force on it", Color::kBold, session.colored) << "\n";
    session.Print(TableOfEvents(account->in_force()));
  }
  if (account->history_size() > 0) {
    *session.out << "\n" << Paint("What made it so", Color::kBold, session.colored) << "\n";
    session.Print(TableOfHistory(account->history()));
  }
  return kExitOk;
}

}  // namespace

void AddAccountCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "account", "Accounts: how they stand, freezing and unfreezing.");
  auto show_name = std::make_shared<std::string>();
  auto show_at = std::make_shared<std::string>();
  CLI::App* command = AddCommand(
      family, session, "show", "Show an account's state, its clock, what is in force on it, and its history.",
      "sluicectl account show u-1001 --at +30d", [=] { return ShowAccount(*session, *show_name, *show_at); });
  command->add_option("NAME", *show_name, "the account")->required();
  command->add_option("--at", *show_at, "the moment: RFC 3339, or +2h, -30m, +7d; default: now");

  struct Change {
    std::string name;
    EventFlags event;
  };
  auto freeze = std::make_shared<Change>();
  command = AddCommand(family, session, "freeze", "Freeze an account (7.2.1): the window of 30 natural days begins.",
                       "sluicectl account freeze u-1001 --note \"balance below consumption\"", [=] {
                         v1::PolicyEvent event;
                         event.mutable_freeze()->set_account(freeze->name);
                         return ApplyOne(*session, freeze->event, event, absl::StrCat("freeze of ", freeze->name));
                       });
  command->add_option("NAME", freeze->name, "the account")->required();
  freeze->event.AddTo(command);

  auto unfreeze = std::make_shared<Change>();
  command =
      AddCommand(family, session, "unfreeze", "Unfreeze an account: it is again what it was before.",
                 "sluicectl account unfreeze u-1001", [=] {
                   v1::PolicyEvent event;
                   event.mutable_unfreeze()->set_account(unfreeze->name);
                   return ApplyOne(*session, unfreeze->event, event, absl::StrCat("unfreeze of ", unfreeze->name));
                 });
  command->add_option("NAME", unfreeze->name, "the account")->required();
  unfreeze->event.AddTo(command);
}

}  // namespace sluice
