// What answers a LogQuery: the log of a node, one that is only kept in memory, or the files of one.
#ifndef SLUICE_DECISION_LOG_DECISION_SOURCE_H_
#define SLUICE_DECISION_LOG_DECISION_SOURCE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

// Where a query goes on. The initial value is the oldest record. Good for the log that filled it alone.
struct LogCursor {
  int64_t segment = 0;
  uint64_t offset = 0;
};

class DecisionSource {
 public:
  virtual ~DecisionSource() = default;
  // Calls `visit` for each record that meets `query`, oldest first, until it returns false or query.limit (0 = none) is
  // reached. `from` is inclusive, `to` exclusive; an account meets owner or requester; bucket, key and host are the
  // resolved ones; a reason is the one that the answer gave first. `*cursor` is where to begin, and where a later query
  // goes on after this one came to its end; `follow` is the caller's to do. INVALID_ARGUMENT for a query that cannot be
  // asked; DATA_LOSS, after all that could be read, where some could not. May block on the disk; holds up no check.
  // Thread-safe.
  virtual absl::Status Query(const v1::LogQuery& query, LogCursor* cursor,
                             const std::function<bool(const v1::DecisionRecord&)>& visit) const = 0;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_DECISION_SOURCE_H_
