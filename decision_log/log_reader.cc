#include "decision_log/log_reader.h"

#include <memory>
#include <vector>

#include "decision_log/log_filter.h"
#include "decision_log/log_folder.h"
#include "decision_log/record_text.h"
#include "decision_log/segment_reader.h"

namespace sluice {
namespace {

using Visitor = std::function<bool(const v1::DecisionRecord&)>;

// One query on its way through segments and blocks.
class Search {
 public:
  Search(const LogFilter* filter, const Visitor* visit, LogQueryCost* cost)
      : filter_(filter), visit_(visit), cost_(cost), left_(filter->limit()) {}

  // From `offset` on, which moves to the end of what was read. False where the visitor has enough.
  bool Read(const SegmentReader& segment, uint64_t* offset) {
    const absl::StatusOr<bool> may_hold = segment.MayHold(filter_->segment_terms());
    if (!Note(may_hold.status()) || !*may_hold) {
      ++cost_->segments_skipped;
      *offset = segment.end();
      return true;
    }
    ++cost_->segments_read;
    for (const IndexEntry& block : segment.blocks()) {
      if (block.offset < *offset) continue;
      const absl::StatusOr<bool> worth = IsWorthReading(segment, block);
      if (!Note(worth.status()) || !*worth) {
        ++cost_->blocks_skipped;
        continue;
      }
      ++cost_->blocks_read;
      if (const absl::Status read = segment.ReadBlock(block, &raw_); !read.ok()) {
        // The end of a segment that is still written: there when it is whole.
        if (!segment.closed() && &block == &segment.blocks().back()) {
          *offset = block.offset;
          return true;
        }
        Note(read);
        continue;
      }
      if (!VisitBlock(segment.header(), block.header)) return false;
    }
    *offset = segment.end();
    return true;
  }

  const absl::Status& status() const { return status_; }

 private:
  absl::StatusOr<bool> IsWorthReading(const SegmentReader& segment, const IndexEntry& block) const {
    if (!filter_->MayMeet(block.header)) return false;
    return segment.BlockMayHold(block, filter_->block_terms(segment.header().version));
  }

  bool VisitBlock(const SegmentHeader& segment, const BlockHeader& block) {
    int64_t number = block.first_number;
    for (absl::string_view rest = raw_; !rest.empty(); ++number) {
      if (!ReadRecord(rest, &record_)) {
        Note(absl::DataLossError("a record of a whole block cannot be read"));
        return true;
      }
      rest.remove_prefix(record_.numbers.size);
      ++cost_->records_read;
      if (!filter_->Meets(record_)) continue;
      ToProto(record_, segment.node, number, &message_);
      if (!(*visit_)(message_) || --left_ == 0) return false;
    }
    return true;
  }

  // Keeps the first error; the search goes on behind it.
  bool Note(const absl::Status& status) {
    if (!status.ok() && status_.ok()) status_ = status;
    return status.ok();
  }

  const LogFilter* const filter_;
  const Visitor* const visit_;
  LogQueryCost* const cost_;
  int64_t left_;
  absl::Status status_;
  std::string raw_;
  RecordView record_;
  v1::DecisionRecord message_;
};

}  // namespace

absl::Status LogReader::Query(const v1::LogQuery& query, LogCursor* cursor, const Visitor& visit,
                              LogQueryCost* cost) const {
  const absl::StatusOr<LogFilter> filter = LogFilter::Create(query);
  if (!filter.ok()) return filter.status();
  const absl::StatusOr<std::vector<SegmentFile>> segments = ListSegments(folder_);
  if (!segments.ok()) return segments.status();
  LogQueryCost own;
  Search search(&*filter, &visit, cost != nullptr ? cost : &own);
  absl::Status unreadable;
  for (const SegmentFile& file : *segments) {
    if (file.segment < cursor->segment) continue;
    if (file.segment > cursor->segment) *cursor = {file.segment, 0};
    const absl::StatusOr<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(file.path);
    if (!segment.ok()) {
      // Removed since it was listed; or so new that its header is not whole yet.
      const bool newest = file.segment == segments->back().segment;
      if (!absl::IsNotFound(segment.status()) && !newest) unreadable.Update(segment.status());
      continue;
    }
    if (!search.Read(**segment, &cursor->offset)) return absl::OkStatus();
  }
  unreadable.Update(search.status());
  return unreadable;
}

}  // namespace sluice
