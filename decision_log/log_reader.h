// Queries over the folder of a log, by whoever may read it: sluiced of its own, sluicectl of a copy.
#ifndef SLUICE_DECISION_LOG_LOG_READER_H_
#define SLUICE_DECISION_LOG_LOG_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "decision_log/decision_source.h"

namespace sluice {

// What a query read, and what time and filters spared it.
struct LogQueryCost {
  int64_t segments_read = 0, segments_skipped = 0;
  int64_t blocks_read = 0, blocks_skipped = 0;  // of the segments that were read
  int64_t records_read = 0;
};

class LogReader final : public DecisionSource {
 public:
  explicit LogReader(std::string folder) : folder_(std::move(folder)) {}

  absl::Status Query(const v1::LogQuery& query, LogCursor* cursor,
                     const std::function<bool(const v1::DecisionRecord&)>& visit) const override {
    return Query(query, cursor, visit, nullptr);
  }
  // The same, adding to `*cost`, which may be null.
  absl::Status Query(const v1::LogQuery& query, LogCursor* cursor,
                     const std::function<bool(const v1::DecisionRecord&)>& visit, LogQueryCost* cost) const;

 private:
  const std::string folder_;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LOG_READER_H_
