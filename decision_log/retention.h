// Which segments of a log may go: those older than they have to be kept, or the oldest of a log that grew too large,
// but never one that may hold something of a subject under a legal hold.
#ifndef SLUICE_DECISION_LOG_RETENTION_H_
#define SLUICE_DECISION_LOG_RETENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "decision_log/hash_chain.h"
#include "decision_log/log_folder.h"
#include "decision_log/record.h"

namespace sluice {

struct RetentionRule {
  absl::Duration keep_for = absl::Hours(24 * 180);  // clause 3.1.7 and the law want six months
  uint64_t keep_bytes = 0;                          // of all segments together; 0 = no bound
};

struct Removal {
  int64_t segment = 0;
  int64_t first_number = 0, last_number = 0;  // of its records
  ChainLink link{};                           // its last
  std::string why;                            // "age" or "size"
  std::string path;
  uint64_t bytes = 0;
};

// One look at which segments of a log may go, oldest first, one at a time: to read a long log takes minutes, in which
// there is other work. Not thread-safe.
class RetentionLook {
 public:
  // Looks at the segments before `open_segment` (0 = all of them).
  static absl::StatusOr<RetentionLook> Begin(const std::string& folder, const RetentionRule& rule, absl::Time now,
                                             int64_t open_segment);

  // Does what else there is to do; false ends the look.
  using GoOn = absl::FunctionRef<bool()>;
  // Gives the terms of what is under a legal hold; nullopt where nobody knows, and then nothing may go.
  using Held = absl::FunctionRef<absl::optional<std::vector<uint64_t>>(GoOn go_on)>;
  // The next segment that may go; nullopt where there is none. One whose filter cannot rule out all that `held` gives
  // stays, and so does one that cannot be read. `held` is asked once a call, if a segment is due: a hold that comes
  // while the look lasts keeps what is still there. Blocks on the disk; calls `go_on` after some milliseconds each.
  absl::optional<Removal> Next(Held held, GoOn go_on);

  int64_t held_segments() const { return held_segments_; }  // due, and kept for a hold, so far
  bool held_unknown() const { return held_unknown_; }       // something is due, and `held` gave nullopt

 private:
  RetentionLook() = default;

  RetentionRule rule_;
  int64_t oldest_ns_ = 0;
  int64_t open_segment_ = 0;
  std::vector<SegmentFile> segments_;
  size_t next_ = 0;
  uint64_t bytes_left_ = 0;  // of all segments, without those that may go
  int64_t held_segments_ = 0;
  bool held_unknown_ = false;
};

// The note that the chain keeps of a removal, and what LogVerify reads back.
std::string FormatRemoval(const Removal& removal);
bool ParseRemoval(absl::string_view note, Removal* removal);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_RETENTION_H_
