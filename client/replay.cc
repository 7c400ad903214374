#include "client/replay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "enforcement/engine.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr int64_t kLinesBetweenUpdates = 1024;
constexpr size_t kExampleBytesMax = 120;

}  // namespace

Operation OperationOf(absl::string_view method) {
  static constexpr std::pair<absl::string_view, Operation> kMethods[] = {
      {"GET", Operation::kPublicRead}, {"HEAD", Operation::kPublicRead}, {"PUT", Operation::kUpload},
      {"POST", Operation::kUpload},    {"PATCH", Operation::kUpload},    {"DELETE", Operation::kDelete},
      {"OPTIONS", Operation::kList},   {"PROPFIND", Operation::kList},   {"REPORT", Operation::kList},
      {"SEARCH", Operation::kList},    {"COPY", Operation::kUpload},     {"MOVE", Operation::kUpload},
      {"MKCOL", Operation::kUpload},   {"PROPPATCH", Operation::kUpload}};
  for (const auto& [name, operation] : kMethods) {
    if (name == method) return operation;
  }
  return Operation::kUnspecified;
}

ReplaySummary::ReplaySummary(const ReplayOptions& options)
    : addresses_by_requests(options.names_max, HeavyHitters::Weight::kRequests),
      addresses_by_bytes(options.names_max, HeavyHitters::Weight::kBytes),
      paths_by_requests(options.names_max, HeavyHitters::Weight::kRequests),
      paths_by_bytes(options.names_max, HeavyHitters::Weight::kBytes) {}

std::vector<std::pair<ReplaySummary::AnswerKey, ReplaySummary::Count>> ReplaySummary::Sorted(
    const absl::flat_hash_map<AnswerKey, Count>& answers) {
  std::vector<std::pair<AnswerKey, Count>> sorted(answers.begin(), answers.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    if (std::get<0>(a.first) != std::get<0>(b.first)) return std::get<0>(a.first) < std::get<0>(b.first);
    if (a.second.requests != b.second.requests) return a.second.requests > b.second.requests;
    return a.first < b.first;
  });
  return sorted;
}

double ReplaySummary::LinesPerSecond() const {
  return static_cast<double>(lines) / std::max(absl::ToDoubleSeconds(took), 1e-6);
}

Replay::Replay(ReplayOptions options, ReplayJudge* judge)
    : options_(std::move(options)), judge_(judge), summary_(options_) {}

absl::Status Replay::Run(LineReader* reader, const std::function<void(int64_t)>& on_lines) {
  const absl::Time started = absl::Now();
  absl::string_view line;
  for (;;) {
    absl::StatusOr<bool> more = reader->Next(&line);
    if (!more.ok()) return more.status();
    if (!*more) break;
    Take(line);
    if (absl::Status status = Drain(/*all=*/false); !status.ok()) return status;
    if (summary_.lines % kLinesBetweenUpdates == 0) on_lines(reader->bytes_read());
  }
  if (absl::Status status = Drain(/*all=*/true); !status.ok()) return status;
  summary_.took = absl::Now() - started;
  return absl::OkStatus();
}

void Replay::Take(absl::string_view line) {
  ++summary_.lines;
  const AccessLineError error = ParseAccessLine(line, &line_);
  if (error != AccessLineError::kNone) {
    ++summary_.unreadable;
    ++summary_.by_error[static_cast<size_t>(error)];
    if (summary_.examples.size() < options_.examples_max) {
      summary_.examples.push_back({summary_.lines, error, std::string(line.substr(0, kExampleBytesMax))});
    }
    return;
  }
  if (line_.damaged_tail) {
    if (summary_.damaged_tails++ == 0) summary_.first_damaged_tail = summary_.lines;
  }
  if (line_.method.empty()) {
    ++summary_.no_request;
    return;
  }
  Pending pending;
  pending.time = line_.time;
  pending.line = summary_.lines;
  pending.bytes = line_.bytes;
  if (options_.operation.has_value()) {
    pending.operation = *options_.operation;
  } else {
    pending.operation = OperationOf(line_.method);
    if (pending.operation == Operation::kUnspecified) ++summary_.unknown_methods;
  }
  pending.address = ParseAddress(line_.client).has_value();
  if (!pending.address) ++summary_.names_for_clients;
  const absl::string_view host = line_.host.empty() ? absl::string_view(options_.host) : line_.host;
  pending.client_size = static_cast<uint32_t>(line_.client.size());
  pending.host_size = static_cast<uint32_t>(host.size());
  pending.text = absl::StrCat(line_.client, host, line_.path);
  newest_ = std::max(newest_, pending.time);
  summary_.first = std::min(summary_.first, pending.time);
  summary_.last = std::max(summary_.last, pending.time);
  waiting_.push_back(std::move(pending));
  std::push_heap(waiting_.begin(), waiting_.end(), Later);
}

absl::Status Replay::Drain(bool all) {
  while (!waiting_.empty() &&
         (all || waiting_.size() > options_.reorder_lines_max || waiting_.front().time < newest_ - options_.reorder)) {
    std::pop_heap(waiting_.begin(), waiting_.end(), Later);
    const Pending pending = std::move(waiting_.back());
    waiting_.pop_back();
    if (absl::Status status = Ask(pending); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Replay::Ask(const Pending& pending) {
  if (!begun_) {
    begun_ = true;
    if (absl::Status status = judge_->Begin(pending.time); !status.ok()) return status;
  }
  if (pending.time < clock_) ++summary_.late;
  clock_ = std::max(clock_, pending.time);

  const absl::string_view text = pending.text;
  const absl::string_view client = text.substr(0, pending.client_size);
  const absl::string_view path = text.substr(pending.client_size + pending.host_size);
  CheckInput input;
  input.operation = pending.operation;
  input.requester = options_.requester;
  input.owner = options_.owner;
  input.host = text.substr(pending.client_size, pending.host_size);
  input.path = path;
  input.region = options_.region;
  if (pending.address) input.client_ip = client;
  if (!options_.bucket.empty()) {
    input.bucket = options_.bucket;
    input.key = KeyOfPath(path, &key_buffer_);
  }
  if (absl::Status status = Engine::Validate(input); !status.ok()) {
    if (summary_.refused_input++ == 0) {
      summary_.first_refusal = absl::StrCat("line ", pending.line, ": ", absl::string_view(status.message()));
    }
    return absl::OkStatus();
  }

  const Decision decision = judge_->Check(input, clock_);
  Add(pending, client, path, decision);
  if (decision.verdict == Verdict::kAllow) {
    UsageInput usage;
    usage.owner = input.owner;
    usage.bucket = input.bucket;
    usage.key = input.key;
    if (usage.key.empty()) usage.key = KeyOfPath(path, &key_buffer_);
    usage.host = input.host;
    usage.client_ip = input.client_ip;
    usage.operation = input.operation;
    usage.bytes_out = pending.bytes;
    judge_->Report(usage, clock_);
  }
  return absl::OkStatus();
}

void Replay::Add(const Pending& pending, absl::string_view client, absl::string_view path, const Decision& decision) {
  ++summary_.asked;
  const auto add = [&](ReplaySummary::Count* count) {
    ++count->requests;
    count->bytes += pending.bytes;
  };
  add(&summary_.by_verdict[static_cast<size_t>(decision.verdict) % summary_.by_verdict.size()]);
  const auto add_answer = [&](ReplaySummary::AnswerKey key, auto* answers) {
    if (answers->size() >= kAnswersMax && !answers->contains(key)) {
      std::get<3>(key) = "OTHERS";
      std::get<2>(key).clear();
    }
    add(&(*answers)[std::move(key)]);
  };
  add_answer({decision.verdict, decision.reason, decision.clause, decision.rule_id}, &summary_.answers);
  if (decision.trial_verdict != Verdict::kUnspecified) {
    add_answer({decision.trial_verdict, decision.trial_reason, "", decision.trial_rule_id}, &summary_.trials);
  }
  for (const Reason warning : decision.warnings) {
    ++summary_.warnings[static_cast<size_t>(warning) % summary_.warnings.size()];
  }
  summary_.addresses_by_requests.Add(client, pending.bytes, decision.verdict);
  summary_.addresses_by_bytes.Add(client, pending.bytes, decision.verdict);
  summary_.paths_by_requests.Add(path, pending.bytes, decision.verdict);
  summary_.paths_by_bytes.Add(path, pending.bytes, decision.verdict);
}

}  // namespace sluice
