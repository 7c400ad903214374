// A LogQuery, made ready to be asked of blocks and records: names in their one form, times and words as numbers.
#ifndef SLUICE_DECISION_LOG_LOG_FILTER_H_
#define SLUICE_DECISION_LOG_LOG_FILTER_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "decision_log/record.h"
#include "decision_log/segment_format.h"
#include "enforcement/names.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

class LogFilter {
 public:
  // INVALID_ARGUMENT for an address, a trace id or a limit that is none.
  static absl::StatusOr<LogFilter> Create(const v1::LogQuery& query);

  // Whether a block or segment with records of those times, verdicts and reasons may have one that meets the query.
  bool MayMeet(const BlockHeader& header) const;
  // What each record that meets the query has: in the filter of its segment, and in that of its block, by the version
  // of the segment's format.
  absl::Span<const uint64_t> segment_terms() const { return absl::MakeConstSpan(terms_).subspan(0, segment_terms_); }
  absl::Span<const uint64_t> block_terms(uint32_t version) const {
    return version == 1 ? absl::MakeConstSpan(terms_).subspan(0, first_terms_) : absl::MakeConstSpan(terms_);
  }

  bool Meets(const RecordView& record) const;

  int64_t limit() const { return query_.limit() > 0 ? query_.limit() : std::numeric_limits<int64_t>::max(); }

 private:
  explicit LogFilter(const v1::LogQuery& query) : query_(query) {}

  v1::LogQuery query_;
  std::string host_;
  absl::optional<AddressBlock> address_;
  int64_t from_ns_ = std::numeric_limits<int64_t>::min();
  int64_t to_ns_ = std::numeric_limits<int64_t>::max();
  std::vector<uint64_t> terms_;  // of segments, then the key's, then those that format 1 did not have
  size_t segment_terms_ = 0, first_terms_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LOG_FILTER_H_
