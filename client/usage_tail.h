// Turns an access log that grows into reports of usage, each line counted once, over restarts of this process too.
//
// Before a batch is sent, where it begins and ends is on disk; the id of its report is where it begins. After a crash
// between the two, the same lines are sent again under the same id, and sluiced counts them once. It remembers the last
// 262,144 ids, over its own restarts too.
#ifndef SLUICE_CLIENT_USAGE_TAIL_H_
#define SLUICE_CLIENT_USAGE_TAIL_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/access_log.h"
#include "client/log_follower.h"
#include "enforcement/values.h"
#include "sluice/v1/check.pb.h"

namespace sluice {

// What is kept between runs.
struct TailState {
  LogPosition position;     // everything before it is reported
  int64_t pending_end = 0;  // a batch from `position` to this offset may have been sent; 0 = none
};
// NOT_FOUND where there is no such file; DATA_LOSS where it is not what SaveTailState writes.
absl::StatusOr<TailState> LoadTailState(const std::string& path);
// Whole or not at all, and on disk when it returns.
absl::Status SaveTailState(const std::string& path, const TailState& state);

class UsageTail {
 public:
  struct Options {
    std::string state_path;
    // What the log does not say, as in a replay.
    std::string host, bucket, owner;
    absl::optional<Operation> operation;  // nothing = by method
    bool host_first = false;              // each line begins with the host that was asked for: Apache's vhost_combined
    size_t lines_max = 10000;             // of a batch
  };
  struct Counts {
    int64_t lines = 0, unreadable = 0, bytes = 0, reports = 0;
  };
  // Sends one report; blocks. An error means that it may or may not have been counted.
  using Send = std::function<absl::Status(const v1::ReportRequest&)>;

  // All must outlive this.
  UsageTail(Options options, LogFollower* follower, Send send);

  // First, once: sends a batch that was under way when an earlier process ended.
  absl::Status Resume(const TailState& state, absl::Time now);
  // Reports what the log has now, up to one batch. False where there was nothing. After an error of `send` the batch is
  // kept: call again.
  absl::StatusOr<bool> Step(absl::Time now);

  const Counts& counts() const { return counts_; }

 private:
  // Reads `line` into line_. `*first_host`: the word before it, where there is one.
  bool Read(absl::string_view line, absl::string_view* first_host);
  void Add(absl::string_view line);
  absl::Status SendBatch();

  const Options options_;
  LogFollower* const follower_;
  const Send send_;
  AccessLine line_;
  LogPosition begin_, end_;  // of the batch
  bool open_ = false;        // the batch has lines
  bool sealed_ = false;      // the batch may have been sent: it is sent again as it is
  std::string held_;         // a line of the next file, read before the batch of the last one was sent
  bool holds_ = false;
  LogPosition held_begin_, held_end_;
  absl::flat_hash_map<std::string, int> index_;  // of batch_.usages, by who and what
  v1::ReportRequest batch_;
  Counts counts_;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_USAGE_TAIL_H_
