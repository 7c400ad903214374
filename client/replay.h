// What a policy would have answered to traffic that was already served: asks for each line of an access log, at that
// line's time, and adds up the answers.
#ifndef SLUICE_CLIENT_REPLAY_H_
#define SLUICE_CLIENT_REPLAY_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/access_log.h"
#include "enforcement/check.h"
#include "enforcement/heavy_hitters.h"

namespace sluice {

// Answers for a replay. Times never go back.
class ReplayJudge {
 public:
  virtual ~ReplayJudge() = default;
  // Called once, before the first check, with the time of the first line. An error ends the replay.
  virtual absl::Status Begin(absl::Time first) = 0;
  virtual Decision Check(const CheckInput& input, absl::Time at) = 0;
  virtual void Report(const UsageInput& usage, absl::Time at) = 0;
};

struct ReplayOptions {
  // What the log does not say of its requests.
  std::string host;    // of lines whose target names no host
  std::string bucket;  // the key is then the path
  std::string owner;
  std::string requester;
  std::string region;                   // "" = the node's
  absl::optional<Operation> operation;  // nothing = by method (OperationOf)

  // Servers write a line when a request ends, Apache with the time at which it began: lines are only roughly in order.
  // They are judged in order of time, as far as they are within this stretch and number of each other.
  absl::Duration reorder = absl::Seconds(60);
  size_t reorder_lines_max = 65536;

  size_t names_max = 16384;  // different addresses, and paths, that are counted exactly
  size_t examples_max = 5;   // unreadable lines that are kept for showing
};

// GET, HEAD: PUBLIC_READ. PUT, POST, PATCH and WebDAV's writes: UPLOAD. DELETE: DELETE. OPTIONS, PROPFIND and their
// like: LIST. Others: UNSPECIFIED, which is judged as the strictest. Methods are case-sensitive.
Operation OperationOf(absl::string_view method);

struct ReplaySummary {
  struct Example {
    int64_t line = 0;  // from 1
    AccessLineError error = AccessLineError::kNone;
    std::string text;  // its head
  };
  struct Count {
    int64_t requests = 0;
    int64_t bytes = 0;
  };
  // Verdict, reason, clause, rule id.
  using AnswerKey = std::tuple<Verdict, Reason, std::string, std::string>;

  explicit ReplaySummary(const ReplayOptions& options);

  // The answers in order: allowed first, denied last, of one verdict the most frequent first.
  std::vector<std::pair<AnswerKey, Count>> SortedAnswers() const { return Sorted(answers); }
  std::vector<std::pair<AnswerKey, Count>> SortedTrials() const { return Sorted(trials); }
  double LinesPerSecond() const;

  int64_t lines = 0;
  int64_t asked = 0;
  int64_t unreadable = 0;
  std::array<int64_t, kAccessLineErrorCount> by_error{};
  std::vector<Example> examples;   // the first unreadable ones
  int64_t damaged_tails = 0;       // read, but cut or broken behind the size
  int64_t first_damaged_tail = 0;  // its line
  int64_t no_request = 0;          // readable lines without a request: nothing to ask
  int64_t names_for_clients = 0;   // asked without an address: the log has a name in its place
  int64_t refused_input = 0;       // the engine's Validate would refuse the check: a name over its bound
  std::string first_refusal;
  int64_t late = 0;  // lines judged later than their time, for they came too far out of order
  int64_t unknown_methods = 0;
  absl::Time first = absl::InfiniteFuture();
  absl::Time last = absl::InfinitePast();

  std::array<Count, 4> by_verdict{};              // by Verdict
  absl::flat_hash_map<AnswerKey, Count> trials;   // what rules on trial would have answered instead; as `answers`
  absl::flat_hash_map<AnswerKey, Count> answers;  // at most kAnswersMax; the rest under OTHERS as rule id
  std::array<int64_t, kReasonCount> warnings{};   // requests let through with this remark
  static std::vector<std::pair<AnswerKey, Count>> Sorted(const absl::flat_hash_map<AnswerKey, Count>& answers);

  HeavyHitters addresses_by_requests, addresses_by_bytes, paths_by_requests, paths_by_bytes;
  absl::Duration took;
};
inline constexpr size_t kAnswersMax = 4096;

// One replay. Not thread-safe.
class Replay {
 public:
  // `judge` must outlive this.
  Replay(ReplayOptions options, ReplayJudge* judge);

  // Reads `reader` to its end. `on_lines(bytes_read)` is called now and then. Memory is bounded by the options,
  // whatever the length of the log.
  absl::Status Run(LineReader* reader, const std::function<void(int64_t)>& on_lines);
  const ReplaySummary& summary() const { return summary_; }

 private:
  struct Pending {
    absl::Time time;
    int64_t line = 0;
    int64_t bytes = 0;
    Operation operation = Operation::kUnspecified;
    bool address = false;
    uint32_t client_size = 0;
    uint32_t host_size = 0;
    std::string text;  // client, host, path: one allocation a line
  };
  static bool Later(const Pending& a, const Pending& b) { return a.time != b.time ? a.time > b.time : a.line > b.line; }

  void Take(absl::string_view line);
  absl::Status Drain(bool all);
  absl::Status Ask(const Pending& pending);
  void Add(const Pending& pending, absl::string_view client, absl::string_view path, const Decision& decision);

  const ReplayOptions options_;
  ReplayJudge* const judge_;
  ReplaySummary summary_;
  AccessLine line_;
  std::vector<Pending> waiting_;  // a heap, the earliest first
  absl::Time newest_ = absl::InfinitePast();
  absl::Time clock_ = absl::InfinitePast();
  bool begun_ = false;
  std::string key_buffer_;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_REPLAY_H_
