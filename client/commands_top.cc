// top: who asks for most, live.
#include <unistd.h>

#include <cmath>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

using Align = Table::Align;

struct TopFlags {
  std::vector<std::string> kinds;
  std::string by = "REQUESTS";
  std::string interval_word = "2s";
  int limit = 10;
  bool once = false;
};

// What moves the cursor home and clears what is below: the screen is drawn over, so that it does not flicker.
constexpr absl::string_view kHome = "\033[H";
constexpr absl::string_view kClearLine = "\033[K";
constexpr absl::string_view kClearBelow = "\033[J";

absl::StatusOr<v1::TopRequest> RequestOf(const TopFlags& flags) {
  v1::TopRequest request;
  for (const std::string& word : flags.kinds) {
    absl::StatusOr<int> kind = ParseWord("--kind", v1::TopKind_descriptor(), word);
    if (!kind.ok()) return kind.status();
    request.add_kinds(static_cast<v1::TopKind>(*kind));
  }
  absl::StatusOr<int> by = ParseWord("--by", v1::TopBy_descriptor(), flags.by);
  if (!by.ok()) return by.status();
  request.set_by(static_cast<v1::TopBy>(*by));
  request.set_limit(flags.limit);
  return request;
}

std::string Rate(double per_second, v1::TopBy by) {
  if (by == v1::TOP_BY_BYTES) return absl::StrCat(HumanBytes(static_cast<int64_t>(per_second)), "/s");
  return per_second < 100 ? absl::StrFormat("%.1f/s", per_second)
                          : absl::StrCat(WithCommas(std::llround(per_second)), "/s");
}

std::string Percent(double share) { return absl::StrFormat("%.1f%%", 100 * share); }

std::string Render(const v1::TopResponse& response, v1::TopBy by, bool colored) {
  std::string text = absl::StrFormat("over the last %.0f s\n", response.seconds());
  for (const v1::TopList& list : response.lists()) {
    const std::string kind = ShortEnumName(v1::TopKind_descriptor(), list.kind());
    std::vector<Table::Column> columns = {
        {kind, Align::kLeft, 60}, {"RATE", Align::kRight}, {"SHARE", Align::kRight}, {"DOUBT", Align::kRight}};
    if (by != v1::TOP_BY_BYTES) {
      columns.push_back({"THROTTLED", Align::kRight});
      columns.push_back({"DENIED", Align::kRight});
    }
    Table table(std::move(columns));
    for (const v1::TopEntry& entry : list.entries()) {
      std::vector<Cell> cells = {
          entry.name(), Rate(entry.per_second(), by),
          Percent(list.per_second() > 0 ? entry.per_second() / list.per_second() : 0),
          Cell(entry.doubt() > 0 ? absl::StrCat("-", Rate(entry.doubt(), by)) : "", Color::kDim)};
      if (by != v1::TOP_BY_BYTES) {
        cells.emplace_back(Percent(entry.throttled()), entry.throttled() > 0 ? Color::kYellow : Color::kDim);
        cells.emplace_back(Percent(entry.denied()), entry.denied() > 0 ? Color::kRed : Color::kDim);
      }
      table.AddRow(std::move(cells));
    }
    absl::StrAppend(&text, "\n");
    if (list.entries_size() == 0) {
      absl::StrAppend(&text, Paint(kind, Color::kBold, colored), "  nothing yet\n");
    } else {
      absl::StrAppend(&text, table.Render(colored));
    }
  }
  return text;
}

// Each line with what clears its rest.
std::string ForScreen(absl::string_view text) {
  std::string screen(kHome);
  for (const char c : text) {
    if (c == '\n') absl::StrAppend(&screen, kClearLine);
    screen.push_back(c);
  }
  return absl::StrCat(screen, kClearBelow);
}

int RunTop(const Session& session, const TopFlags& flags) {
  const absl::StatusOr<v1::TopRequest> request = RequestOf(flags);
  if (!request.ok()) return session.Fail(request.status());
  absl::Duration interval;
  if (!absl::ParseDuration(flags.interval_word, &interval) || interval < absl::Milliseconds(100)) {
    return session.UsageError(
        absl::StrCat("--interval: wanted a duration from 100ms on, got \"", flags.interval_word, "\""));
  }
  Connection connection = session.Admin();
  // Drawn over and over on a terminal alone; a pipe gets one picture after the other.
  const bool screen = session.out == &std::cout && isatty(STDOUT_FILENO) == 1 && !flags.once &&
                      session.output == Session::Output::kTable;
  for (;;) {
    const absl::StatusOr<v1::TopResponse> response = connection.Top(*request);
    if (!response.ok()) return session.Fail(response.status());
    if (session.output != Session::Output::kTable) {
      flags.once ? session.Print(*response) : session.PrintItem(*response);
    } else {
      const std::string text = Render(*response, request->by(), session.colored);
      *session.out << (screen ? ForScreen(text) : text) << std::flush;
    }
    if (flags.once || !session.out->good()) return kExitOk;
    absl::SleepFor(interval);
  }
}

}  // namespace

void AddTopCommand(CLI::App* app, Session* session) {
  auto flags = std::make_shared<TopFlags>();
  CLI::App* command =
      AddCommand(app, session, "top", "Show who asks for most: accounts, buckets, objects, domains, addresses.",
                 "sluicectl top --kind account --kind address --by bytes", [=] { return RunTop(*session, *flags); });
  command->add_option("--kind", flags->kinds, "ACCOUNT, BUCKET, OBJECT, DOMAIN, ADDRESS; default: all")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--by", flags->by, "REQUESTS or BYTES")->capture_default_str();
  command->add_option("-n,--limit", flags->limit, "how many of each kind, at most 100")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  command->add_option("--interval", flags->interval_word, "how often to look again")->capture_default_str();
  command->add_flag("--once", flags->once, "show it once and end");
}

}  // namespace sluice
