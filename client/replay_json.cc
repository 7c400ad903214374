// The findings of a replay for programs.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/replay_report.h"
#include "client/table.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

// Writes objects and lists with their commas; the caller opens and closes.
class JsonWriter {
 public:
  void Open(absl::string_view key, char bracket) {
    Key(key);
    text_.push_back(bracket);
    first_ = true;
  }
  void Close(char bracket) {
    text_.push_back(bracket);
    first_ = false;
  }
  void Text(absl::string_view key, absl::string_view value) {
    Key(key);
    Quote(value);
  }
  void Number(absl::string_view key, int64_t value) {
    Key(key);
    absl::StrAppend(&text_, value);
  }
  void Real(absl::string_view key, double value) {
    Key(key);
    absl::StrAppendFormat(&text_, "%.6g", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  void Key(absl::string_view key) {
    if (!first_) text_.push_back(',');
    first_ = false;
    if (key.empty()) return;
    Quote(key);
    text_.push_back(':');
  }
  void Quote(absl::string_view value);

  std::string text_;
  bool first_ = true;
};

void JsonWriter::Quote(absl::string_view value) {
  text_.push_back('"');
  for (size_t i = 0; i < value.size();) {
    const auto byte = static_cast<uint8_t>(value[i]);
    if (byte < 0x20 || byte == 0x7F) {
      absl::StrAppendFormat(&text_, "\\u%04x", byte);
      ++i;
    } else if (byte == '"' || byte == '\\') {
      text_.push_back('\\');
      text_.push_back(value[i++]);
    } else if (byte < 0x80) {
      text_.push_back(value[i++]);
    } else {
      // A whole character, or one byte that is none.
      const size_t length = Utf8Length(value.substr(i));
      absl::StrAppend(&text_, length == 0 ? absl::string_view("\\ufffd") : value.substr(i, length));
      i += std::max<size_t>(length, 1);
    }
  }
  text_.push_back('"');
}

void WriteHeaviest(absl::string_view key, absl::string_view name, const HeavyHitters& hitters, size_t top,
                   JsonWriter* json) {
  json->Open(key, '{');
  json->Text("counts", hitters.exact() ? "exact" : "at_least");
  json->Open("top", '[');
  for (const HeavyHitters::Entry& entry : hitters.Top(top)) {
    json->Open("", '{');
    json->Text(name, entry.name);
    json->Number("requests", entry.requests);
    json->Number("bytes", entry.bytes);
    json->Number("throttled", entry.throttled);
    json->Number("denied", entry.denied);
    json->Number("doubt", entry.doubt);
    json->Close('}');
  }
  json->Close(']');
  json->Close('}');
}

void WriteLines(const ReplaySummary& summary, const ReplayFacts& facts, JsonWriter* json) {
  json->Open("lines", '{');
  json->Number("read", summary.lines);
  json->Number("asked", summary.asked);
  json->Number("unreadable", summary.unreadable);
  json->Number("damaged_behind_size", summary.damaged_tails);
  json->Number("without_request", summary.no_request);
  json->Number("unknown_method", summary.unknown_methods);
  json->Number("without_address", summary.names_for_clients);
  json->Number("not_askable", summary.refused_input);
  json->Number("late", summary.late);
  json->Open("unreadable_by_reason", '{');
  for (int i = 1; i < kAccessLineErrorCount; ++i) {
    const int64_t count = summary.by_error[static_cast<size_t>(i)];
    if (count > 0) json->Number(Describe(static_cast<AccessLineError>(i)), count);
  }
  json->Close('}');
  json->Open("first_unreadable", '[');
  for (const ReplaySummary::Example& example : summary.examples) {
    json->Open("", '{');
    json->Number("line", example.line);
    json->Text("reason", Describe(example.error));
    json->Text("text", example.text);
    json->Close('}');
  }
  json->Close(']');
  json->Close('}');
}

}  // namespace

std::string ReplayJson(const ReplaySummary& summary, const ReplayFacts& facts, size_t top) {
  JsonWriter json;
  json.Open("", '{');
  json.Text("access_log", facts.log);
  json.Text("policy", facts.policy);
  if (summary.first <= summary.last) {
    json.Text("from", FormatTime(summary.first));
    json.Text("to", FormatTime(summary.last));
  }
  json.Number("replayed_later_days", absl::ToInt64Hours(facts.shift) / 24);
  WriteLines(summary, facts, &json);
  json.Real("seconds", absl::ToDoubleSeconds(summary.took));
  json.Real("lines_per_second", summary.LinesPerSecond());
  json.Open("verdicts", '{');
  for (const Verdict verdict : {Verdict::kAllow, Verdict::kThrottle, Verdict::kDeny}) {
    const ReplaySummary::Count& count = summary.by_verdict[static_cast<size_t>(verdict)];
    json.Open(Name(verdict), '{');
    json.Number("requests", count.requests);
    json.Number("bytes", count.bytes);
    json.Close('}');
  }
  json.Close('}');
  json.Open("answers", '[');
  for (const auto& [key, count] : summary.SortedAnswers()) {
    const auto& [verdict, reason, clause, rule] = key;
    json.Open("", '{');
    json.Text("verdict", Name(verdict));
    json.Text("reason", Name(reason));
    json.Text("clause", clause);
    json.Text("rule_id", rule);
    json.Number("requests", count.requests);
    json.Number("bytes", count.bytes);
    json.Close('}');
  }
  json.Close(']');
  json.Open("trials", '[');
  for (const auto& [key, count] : summary.SortedTrials()) {
    const auto& [verdict, reason, clause, rule] = key;
    json.Open("", '{');
    json.Text("verdict", Name(verdict));
    json.Text("reason", Name(reason));
    json.Text("rule_id", rule);
    json.Number("requests", count.requests);
    json.Number("bytes", count.bytes);
    json.Close('}');
  }
  json.Close(']');
  json.Open("warnings", '{');
  for (size_t i = 0; i < summary.warnings.size(); ++i) {
    if (summary.warnings[i] > 0) json.Number(Name(static_cast<Reason>(i)), summary.warnings[i]);
  }
  json.Close('}');
  WriteHeaviest("addresses_by_requests", "address", summary.addresses_by_requests, top, &json);
  WriteHeaviest("addresses_by_bytes", "address", summary.addresses_by_bytes, top, &json);
  WriteHeaviest("paths_by_requests", "path", summary.paths_by_requests, top, &json);
  WriteHeaviest("paths_by_bytes", "path", summary.paths_by_bytes, top, &json);
  json.Number("events_not_reached", static_cast<int64_t>(facts.events_not_reached));
  json.Open("events_rejected", '[');
  for (const std::string& rejected : facts.rejected) json.Text("", rejected);
  json.Close(']');
  json.Close('}');
  return json.Take() + "\n";
}

}  // namespace sluice
