// Which segments of a log may go: those older than they have to be kept, or the oldest of a log that grew too large,
// but never one that may hold something of a subject under a legal hold.
#ifndef SLUICE_DECISION_LOG_RETENTION_H_
#define SLUICE_DECISION_LOG_RETENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decision_log/hash_chain.h"
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

struct RetentionPlan {
  std::vector<Removal> removals;  // oldest first
  int64_t held_segments = 0;      // due, and kept for a hold
  uint64_t bytes_after = 0;       // of all segments, once the removals are gone
};

// Looks at the segments before `open_segment` (0 = all of them). `held` are the terms of what is under a legal hold: a
// segment whose filter cannot rule all of them out stays. One that cannot be read stays too. Blocks on the disk.
absl::StatusOr<RetentionPlan> PlanRetention(const std::string& folder, const RetentionRule& rule, absl::Time now,
                                            int64_t open_segment, const std::vector<uint64_t>& held);

// The note that the chain keeps of a removal, and what LogVerify reads back.
std::string FormatRemoval(const Removal& removal);
bool ParseRemoval(absl::string_view note, Removal* removal);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_RETENTION_H_
