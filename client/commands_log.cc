// log query, log verify: the decision log, of a running server or of its files.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/yaml_message.h"
#include "decision_log/log_reader.h"
#include "decision_log/log_verify.h"
#include "enforcement/trace_context.h"

namespace sluice {
namespace {

// How soon one who follows the files is told of what is new.
constexpr absl::Duration kFollowTick = absl::Milliseconds(250);

struct QueryFlags {
  std::string folder, from, to, verdict, reason;
  v1::LogQuery query;

  absl::StatusOr<v1::LogQuery> ToMessage() const {
    v1::LogQuery message = query;
    absl::Status status;
    if (!from.empty()) status.Update(ParseWhen("--from", from, message.mutable_from()));
    if (!to.empty()) status.Update(ParseWhen("--to", to, message.mutable_to()));
    if (!verdict.empty()) {
      const absl::StatusOr<int> word = ParseWord("--verdict", v1::Verdict_descriptor(), verdict);
      if (word.ok()) message.set_verdict(static_cast<v1::Verdict>(*word));
      status.Update(word.status());
    }
    if (!reason.empty()) {
      const absl::StatusOr<int> word = ParseWord("--reason", v1::Reason_descriptor(), reason);
      if (word.ok()) message.set_reason(static_cast<v1::Reason>(*word));
      status.Update(word.status());
    }
    if (!status.ok()) return status;
    return message;
  }
};

// One line: when, what was answered and why, who asked for what.
void PrintLine(const Session& session, const v1::DecisionRecord& record) {
  const v1::CheckRequest& request = record.request();
  const v1::CheckResponse& response = record.response();
  std::vector<std::string> what;
  const auto add = [&what](absl::string_view name, const std::string& value) {
    if (!value.empty()) what.push_back(absl::StrCat(name, " ", Printable(value)));
  };
  add("owner", request.owner());
  add("requester", request.requester());
  add("bucket", request.bucket());
  add("key", request.key());
  add("host", request.host());
  add("path", request.path());
  add("from", request.client_ip());
  add("rule", response.rule_id());
  add("trace", std::string(TraceIdOf(ParseTraceParent(record.trace_parent()))));
  const std::string verdict = ShortEnumName(v1::Verdict_descriptor(), response.verdict());
  *session.out << TimeText(record.at()) << "  " << Paint(verdict, ColorOf(response.verdict()), session.colored);
  if (response.reason() != v1::REASON_UNSPECIFIED) {
    *session.out << "  " << ShortEnumName(v1::Reason_descriptor(), response.reason());
  }
  if (!response.clause().empty()) *session.out << "  " << Printable(response.clause());
  *session.out << "  " << ShortEnumName(v1::Operation_descriptor(), request.operation()) << "  "
               << absl::StrJoin(what, "  ") << std::endl;
}

absl::Status QueryFolder(const std::string& folder, v1::LogQuery query,
                         const std::function<bool(const v1::DecisionRecord&)>& seen) {
  const LogReader reader(folder);
  LogCursor cursor;
  bool more = true;
  int64_t left = query.limit();
  while (true) {
    const absl::Status status = reader.Query(query, &cursor, [&](const v1::DecisionRecord& record) {
      more = seen(record) && --left != 0;
      return more;
    });
    if (!status.ok() || !more || !query.follow()) return status;
    if (query.limit() > 0) query.set_limit(left);
    absl::SleepFor(kFollowTick);
  }
}

int RunQuery(const Session& session, const QueryFlags& flags) {
  const absl::StatusOr<v1::LogQuery> query = flags.ToMessage();
  if (!query.ok()) return session.Fail(query.status());
  const auto seen = [&session](const v1::DecisionRecord& record) {
    if (session.output == Session::Output::kTable) {
      PrintLine(session, record);
    } else {
      session.PrintItem(record);
    }
    return session.out->good();
  };
  const absl::Status status =
      flags.folder.empty() ? session.Admin().QueryLog(*query, seen) : QueryFolder(flags.folder, *query, seen);
  return status.ok() ? kExitOk : session.Fail(status);
}

std::string TimeOf(int64_t ns) { return ns == 0 ? "-" : FormatRfc3339(absl::FromUnixNanos(ns)); }

void PrintReport(const Session& session, const LogReport& report) {
  std::ostream& out = *session.out;
  out << "segments  " << WithCommas(report.segments) << ", " << HumanBytes(static_cast<int64_t>(report.bytes)) << "\n"
      << "records   " << WithCommas(report.records) << ", numbers " << report.first_number << " to "
      << report.last_number << "\n"
      << "from      " << TimeOf(report.from_ns) << "\n"
      << "to        " << TimeOf(report.until_ns) << "\n";
  for (int i = kLogClassCount - 1; i >= 0; --i) {
    out << "  " << Name(static_cast<LogClass>(i)) << std::string(10 - Name(static_cast<LogClass>(i)).size(), ' ')
        << WithCommas(report.by_class[static_cast<size_t>(i)]) << "\n";
  }
  out << "link      " << FormatLink(report.last_link) << "\n";
  for (const std::string& remark : report.remarks) out << "note      " << Printable(remark) << "\n";
  for (const std::string& fault : report.faults) {
    out << Paint("FAULT", Color::kRed, session.colored) << "     " << Printable(fault) << "\n";
  }
  out << (report.faults.empty() ? "whole: nothing was altered or taken away\n" : "NOT whole\n");
}

int RunVerify(const Session& session, const std::string& folder, const std::string& link) {
  absl::optional<ChainLink> known;
  if (!link.empty()) {
    known = ParseLink(link);
    if (!known) return session.UsageError(absl::StrCat("--link: wanted 64 hex digits, got \"", link, "\""));
  }
  const absl::StatusOr<LogReport> report = VerifyLog(folder, known);
  if (!report.ok()) return session.Fail(report.status());
  PrintReport(session, *report);
  return report->faults.empty() ? kExitOk : kExitRefused;
}

void AddQuery(CLI::App* family, Session* session) {
  auto flags = std::make_shared<QueryFlags>();
  CLI::App* command =
      AddCommand(family, session, "query", "Print decisions, oldest first. -o json prints one object a line.",
                 "sluicectl log query --from -1h --account u-orchid --verdict deny -o json",
                 [=] { return RunQuery(*session, *flags); });
  const auto text = [&](const char* flag, const char* about, std::string* value) {
    command->add_option(flag, *value, about);
  };
  text("--folder", "read the files in this folder rather than ask the server", &flags->folder);
  text("--from", "from this moment on, inclusive: RFC 3339, now, -2h or -7d", &flags->from);
  text("--to", "up to this moment, exclusive", &flags->to);
  text("--account", "owner or requester", flags->query.mutable_account());
  text("--bucket", "bucket, as resolved", flags->query.mutable_bucket());
  text("--key", "key of the object; with --bucket whole files are skipped", flags->query.mutable_key());
  text("--host", "host of the request, in any spelling", flags->query.mutable_host());
  text("--ip", "address of the client, or a block such as 203.0.113.0/24", flags->query.mutable_client_ip());
  text("--verdict", "allow, throttle or deny", &flags->verdict);
  text("--reason", "the first reason of the answer, such as account-frozen", &flags->reason);
  text("--request-id", "the caller's own id", flags->query.mutable_request_id());
  text("--rule", "the flag, order, limit or hold that decided", flags->query.mutable_rule_id());
  text("--trace", "id of W3C trace context, as refusals and errors name it: 32 hex digits",
       flags->query.mutable_trace_id());
  command
      ->add_option_function<int64_t>(
          "--limit", [flags](int64_t value) { flags->query.set_limit(value); }, "end after so many; 0: never")
      ->check(CLI::NonNegativeNumber);
  command->add_flag_function(
      "--follow", [flags](int64_t) { flags->query.set_follow(true); }, "at the end wait for more, until interrupted");
}

void AddVerify(CLI::App* family, Session* session) {
  auto folder = std::make_shared<std::string>();
  auto link = std::make_shared<std::string>();
  CLI::App* command = AddCommand(
      family, session, "verify",
      "Read a whole decision log and say whether anything was altered or taken away. Exit code 1 where it was.",
      "sluicectl log verify /var/lib/sluice/decisions", [=] { return RunVerify(*session, *folder, *link); });
  command->add_option("FOLDER", *folder, "folder of the log")->required();
  command->add_option("--link", *link, "a link that an earlier run printed, kept elsewhere: the chain must have it");
}

}  // namespace

void AddLogCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "log", "The decision log: what was decided, for whom and why.");
  AddQuery(family, session);
  AddVerify(family, session);
}

}  // namespace sluice
