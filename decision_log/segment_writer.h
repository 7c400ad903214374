// Puts records into blocks and blocks into segments. What the disk does not take waits here, in order, until it does.
#ifndef SLUICE_DECISION_LOG_SEGMENT_WRITER_H_
#define SLUICE_DECISION_LOG_SEGMENT_WRITER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "decision_log/bloom_filter.h"
#include "decision_log/log_folder.h"
#include "decision_log/record.h"
#include "decision_log/segment_format.h"

namespace sluice {

// Where a log goes on.
struct LogPosition {
  int64_t segment = 1;  // the next
  int64_t number = 1;   // of the next record
  ChainLink link{};     // the last
};

// Not thread-safe, but for what file() gives.
class SegmentWriter {
 public:
  struct Options {
    std::string folder;
    std::string node;
    uint64_t segment_bytes = uint64_t{64} << 20;     // then a segment is closed
    absl::Duration segment_lasts = absl::Hours(24);  // or after so long
  };
  SegmentWriter(Options options, LogPosition position);

  // Takes a record as WriteRecord made it. Never fails: a full block waits for WriteOut.
  void Add(absl::string_view record);
  // A line on the log itself, without a newline. Goes behind the records so far.
  void AddNote(absl::string_view text);
  // What has been taken becomes a block, however small.
  void CloseBlock();
  bool has_open_block() const { return open_.header.records > 0; }
  bool waits() const { return !waiting_.empty(); }

  // Writes what waits, and closes a segment that is large or old enough. After an error nothing is lost: what was not
  // written still waits. Writes, but does not sync: the kernel's cache takes it.
  absl::Status WriteOut(absl::Time now);
  // WriteOut, then closes the segment.
  absl::Status Close(absl::Time now);
  // What comes goes into another segment, and this one gets no index: for a file of which a Sync failed.
  // REQUIRES: file() is not null.
  void LeaveSegment();

  // The file that is written to, for another thread to Sync; null where there is none.
  std::shared_ptr<LogFile> file() const { return file_; }
  int64_t open_segment() const { return file_ == nullptr ? 0 : header_.segment; }
  // What is on disk.
  const LogPosition& written() const { return position_; }
  const std::array<int64_t, kLogClassCount>& records_written() const { return records_written_; }
  int64_t bytes_written() const { return bytes_written_; }
  int64_t segments_closed() const { return segments_closed_; }

 private:
  struct Block {
    BlockHeader header;
    std::string raw;
    std::string filter;
    std::vector<uint64_t> segment_terms;
    std::array<int64_t, kLogClassCount> classes{};
  };

  absl::Status OpenSegment(absl::Time now);
  absl::Status WriteBlock(Block* block);
  absl::Status CloseSegment();

  const Options options_;
  LogPosition position_;

  Block open_;
  BloomFilter open_filter_{kBlockFilterLines};
  RecordView record_;
  TermHashes terms_;
  std::deque<Block> waiting_;

  std::shared_ptr<LogFile> file_;
  SegmentHeader header_;
  uint64_t offset_ = 0;
  absl::Time opened_;
  std::vector<IndexEntry> index_;
  BloomFilter segment_filter_;

  std::array<int64_t, kLogClassCount> records_written_{};
  int64_t bytes_written_ = 0;
  int64_t segments_closed_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_SEGMENT_WRITER_H_
