#include "client/replay_report.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/table.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

using Align = Table::Align;

std::string Share(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : absl::StrFormat("%.1f%%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

Color ColorOf(Verdict verdict) {
  return verdict == Verdict::kAllow ? Color::kGreen : verdict == Verdict::kThrottle ? Color::kYellow : Color::kRed;
}

std::string Moment(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, ChinaStandardTime()); }

std::string OrDash(absl::string_view text) { return text.empty() ? "-" : std::string(text); }

std::string ReasonWord(Reason reason) { return reason == Reason::kUnspecified ? "-" : std::string(Name(reason)); }

// Every remark on the reading of the log, each behind its number of lines or events.
std::vector<std::string> Remarks(const ReplaySummary& summary, const ReplayFacts& facts) {
  std::vector<std::string> remarks;
  const auto add = [&](int64_t count, absl::string_view text) {
    if (count > 0) remarks.push_back(absl::StrCat(WithCommas(count), " ", text));
  };
  add(summary.damaged_tails,
      absl::StrCat("damaged behind the size (the first: line ", summary.first_damaged_tail, "), asked all the same"));
  add(summary.no_request, "without a request that could be asked (\"-\", broken TLS greetings, scans)");
  add(summary.unknown_methods, "with an unknown method, judged as the strictest operation");
  add(summary.names_for_clients, "asked without an address: the log names the client otherwise");
  add(summary.refused_input,
      absl::StrCat("not asked, as a gateway could not ask them either (", summary.first_refusal, ")"));
  add(summary.late, "too far out of order, judged later than their time");
  add(static_cast<int64_t>(facts.events_not_reached),
      "of the policy's events not reached: dated after the end of the log");
  add(static_cast<int64_t>(facts.rejected.size()), "of the policy's events rejected while the log ran:");
  return remarks;
}

std::string Header(const ReplaySummary& summary, const ReplayFacts& facts, bool colored) {
  Table table(std::vector<Table::Column>{{""}, {""}});
  const auto add = [&](absl::string_view label, std::string value, Color color = Color::kNone) {
    table.AddRow({Cell(label, Color::kDim), Cell(std::move(value), color)});
  };
  add("access log", facts.log);
  add("policy", facts.policy);
  if (summary.first <= summary.last) {
    add("from", Moment(summary.first));
    add("to", absl::StrCat(Moment(summary.last), " (China Standard Time)"));
  }
  if (facts.shift > absl::ZeroDuration()) {
    add("replayed", absl::StrCat(WithCommas(absl::ToInt64Hours(facts.shift) / 24),
                                 " days later than written: the policy was exported then"));
  }
  add("lines",
      absl::StrFormat("%s read, %s asked, %s unreadable", WithCommas(summary.lines), WithCommas(summary.asked),
                      WithCommas(summary.unreadable)),
      summary.unreadable > 0 ? Color::kYellow : Color::kNone);
  add("speed", absl::StrFormat("%s lines/s (%.3f s)", WithCommas(static_cast<int64_t>(summary.LinesPerSecond())),
                               absl::ToDoubleSeconds(summary.took)));
  return table.Render(colored);
}

std::string Title(absl::string_view text, bool colored) {
  return absl::StrCat("\n", Paint(text, Color::kBold, colored), "\n");
}

std::string Heaviest(absl::string_view title, absl::string_view name, const HeavyHitters& hitters, size_t top,
                     bool colored) {
  Table table({{std::string(name), Align::kLeft, 60},
               {"REQUESTS", Align::kRight},
               {"BYTES", Align::kRight},
               {"THROTTLED", Align::kRight},
               {"DENIED", Align::kRight}});
  for (const HeavyHitters::Entry& entry : hitters.Top(top)) {
    table.AddRow({entry.name, WithCommas(entry.requests), HumanBytes(entry.bytes),
                  Cell(WithCommas(entry.throttled), entry.throttled > 0 ? Color::kYellow : Color::kDim),
                  Cell(WithCommas(entry.denied), entry.denied > 0 ? Color::kRed : Color::kDim)});
  }
  std::string text = absl::StrCat(Title(title, colored), table.Render(colored));
  if (!hitters.exact()) {
    absl::StrAppend(&text, "More than ", WithCommas(static_cast<int64_t>(hitters.names())),
                    " different ones: what came before one of them was taken in is not counted.\n");
  }
  return text;
}

std::string Unreadable(const ReplaySummary& summary, bool colored) {
  if (summary.unreadable == 0) return "";
  Table reasons({{"LINES", Align::kRight}, {"REASON"}});
  for (int i = 1; i < kAccessLineErrorCount; ++i) {
    const auto error = static_cast<AccessLineError>(i);
    if (summary.by_error[static_cast<size_t>(i)] == 0) continue;
    reasons.AddRow({WithCommas(summary.by_error[static_cast<size_t>(i)]), Cell(Describe(error))});
  }
  Table examples({{"LINE", Align::kRight}, {"REASON"}, {"TEXT", Align::kLeft, 80}});
  for (const ReplaySummary::Example& example : summary.examples) {
    examples.AddRow({absl::StrCat(example.line), Cell(Describe(example.error)), example.text});
  }
  return absl::StrCat(Title("Lines that could not be read", colored), reasons.Render(colored),
                      Title("The first of them", colored), examples.Render(colored));
}

}  // namespace

std::string ReplayTables(const ReplaySummary& summary, const ReplayFacts& facts, size_t top, bool colored) {
  std::string text = Header(summary, facts, colored);

  Table verdicts({{"VERDICT"}, {"REQUESTS", Align::kRight}, {"SHARE", Align::kRight}, {"BYTES", Align::kRight}});
  for (const Verdict verdict : {Verdict::kAllow, Verdict::kThrottle, Verdict::kDeny}) {
    const ReplaySummary::Count& count = summary.by_verdict[static_cast<size_t>(verdict)];
    verdicts.AddRow({Cell(Name(verdict), ColorOf(verdict)), WithCommas(count.requests),
                     Share(count.requests, summary.asked), HumanBytes(count.bytes)});
  }
  absl::StrAppend(&text, Title("By verdict", colored), verdicts.Render(colored));

  Table answers({{"VERDICT"},
                 {"REASON"},
                 {"CLAUSE"},
                 {"RULE", Align::kLeft, 40},
                 {"REQUESTS", Align::kRight},
                 {"SHARE", Align::kRight},
                 {"BYTES", Align::kRight}});
  for (const auto& [key, count] : summary.SortedAnswers()) {
    const auto& [verdict, reason, clause, rule] = key;
    answers.AddRow({Cell(Name(verdict), ColorOf(verdict)), ReasonWord(reason), OrDash(clause), OrDash(rule),
                    WithCommas(count.requests), Share(count.requests, summary.asked), HumanBytes(count.bytes)});
  }
  absl::StrAppend(&text, Title("By reason, clause and rule", colored), answers.Render(colored));

  Table trials({{"WOULD HAVE BEEN"},
                {"REASON"},
                {"RULE", Align::kLeft, 40},
                {"REQUESTS", Align::kRight},
                {"SHARE", Align::kRight},
                {"BYTES", Align::kRight}});
  for (const auto& [key, count] : summary.SortedTrials()) {
    const auto& [verdict, reason, clause, rule] = key;
    trials.AddRow({Cell(Name(verdict), ColorOf(verdict)), ReasonWord(reason), OrDash(rule), WithCommas(count.requests),
                   Share(count.requests, summary.asked), HumanBytes(count.bytes)});
  }
  if (trials.size() > 0) absl::StrAppend(&text, Title("By rules on trial", colored), trials.Render(colored));

  Table warnings({{"WARNING"}, {"REQUESTS", Align::kRight}});
  for (size_t i = 0; i < summary.warnings.size(); ++i) {
    if (summary.warnings[i] > 0) warnings.AddRow({Cell(Name(static_cast<Reason>(i))), WithCommas(summary.warnings[i])});
  }
  if (warnings.size() > 0)
    absl::StrAppend(&text, Title("Let through with a warning", colored), warnings.Render(colored));

  if (top > 0 && summary.asked > 0) {
    absl::StrAppend(&text,
                    Heaviest("Heaviest addresses by requests", "ADDRESS", summary.addresses_by_requests, top, colored),
                    Heaviest("Heaviest addresses by bytes", "ADDRESS", summary.addresses_by_bytes, top, colored),
                    Heaviest("Heaviest paths by requests", "PATH", summary.paths_by_requests, top, colored),
                    Heaviest("Heaviest paths by bytes", "PATH", summary.paths_by_bytes, top, colored));
  }
  absl::StrAppend(&text, Unreadable(summary, colored));
  const std::vector<std::string> remarks = Remarks(summary, facts);
  if (!remarks.empty()) absl::StrAppend(&text, Title("Remarks", colored));
  for (const std::string& remark : remarks) absl::StrAppend(&text, Printable(remark), "\n");
  for (const std::string& rejected : facts.rejected) absl::StrAppend(&text, "  ", Printable(rejected), "\n");
  return text;
}

}  // namespace sluice
