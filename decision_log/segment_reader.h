// Reads one segment, closed or still being written, without ever writing to it. Other processes may read while sluiced
// writes: a block that is not whole yet is not there yet.
#ifndef SLUICE_DECISION_LOG_SEGMENT_READER_H_
#define SLUICE_DECISION_LOG_SEGMENT_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "decision_log/log_folder.h"
#include "decision_log/segment_format.h"

namespace sluice {

// Not thread-safe.
class SegmentReader {
 public:
  // Reads the header, and the index of a closed segment or the headers of all blocks of one that is not. NOT_FOUND
  // where the file is gone, DATA_LOSS where it begins with no whole header.
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(const std::string& path);

  const SegmentHeader& header() const { return header_; }
  const std::string& path() const { return file_->path(); }
  bool closed() const { return closed_; }
  // Where the first block is, and the link of what stands before it.
  uint64_t begin() const { return header_text_.size(); }
  ChainLink first_link() const;
  // Behind the last whole block; of a closed segment behind its trailer.
  uint64_t end() const { return end_; }
  // Of the file, when it was last looked at.
  uint64_t file_bytes() const { return file_bytes_; }
  // In order. The index block is none of them.
  const std::vector<IndexEntry>& blocks() const { return blocks_; }
  // Of the last record, as far as this has read. Nanoseconds; INT64_MIN where there is none.
  int64_t until_ns() const;

  // Looks for blocks that came since. A segment that was not closed may be by now.
  absl::Status Refresh();

  // False where no record of the segment, or of the block, has all of `terms`. Reads 64 bytes a term. Keys are in the
  // filters of blocks alone: `terms` of a segment must not have one. Of a segment that is not closed the answer is
  // true.
  absl::StatusOr<bool> MayHold(absl::Span<const uint64_t> terms) const;
  absl::StatusOr<bool> BlockMayHold(const IndexEntry& block, absl::Span<const uint64_t> terms) const;

  // The records of a block, or the line of a note, unpacked into `*raw`. DATA_LOSS where its bytes were altered.
  absl::Status ReadBlock(const IndexEntry& block, std::string* raw) const;

  // Gives each header that is whole from `offset` on to `visit`, wherever it stands and whatever is between, until that
  // returns false. For a segment of which a part was altered.
  absl::Status FindBlocks(uint64_t offset, absl::FunctionRef<bool(uint64_t, const BlockHeader&)> visit) const;
  // Where the index is by a trailer that is whole, whether or not the index is; nullopt where there is no such trailer.
  absl::optional<uint64_t> Trailer() const;

  // Follows the chain through the whole file, and gives the link after each block to `visit`. DATA_LOSS at the first
  // byte that is not what was written. Returns the last link.
  struct Linked {
    const BlockHeader* header;
    uint64_t offset;
    absl::string_view raw;  // of a note; of records their bytes; of the index nothing
  };
  template <typename Visit>
  absl::StatusOr<ChainLink> FollowChain(const Visit& visit) const;

 private:
  explicit SegmentReader(std::shared_ptr<LogFile> file) : file_(std::move(file)) {}
  absl::Status ReadIndex(uint64_t offset);
  absl::StatusOr<bool> FilterMayHold(uint64_t filter_offset, size_t filter_bytes,
                                     absl::Span<const uint64_t> terms) const;
  // DATA_LOSS unless a block of that size at `offset` lies within the file. Before memory is taken for it: sizes come
  // from the file itself.
  absl::Status CheckWithin(uint64_t offset, const BlockHeader& header) const;
  // Reads the block at `offset` and checks every byte of it, its link included.
  absl::Status ReadLinked(uint64_t offset, const ChainLink& before, BlockHeader* header, std::string* raw) const;

  const std::shared_ptr<LogFile> file_;
  SegmentHeader header_;
  std::string header_text_;
  bool closed_ = false;
  uint64_t end_ = 0;
  uint64_t file_bytes_ = 0;
  std::vector<IndexEntry> blocks_;
  uint64_t filter_offset_ = 0;  // of a closed segment
  size_t filter_bytes_ = 0;
};

template <typename Visit>
absl::StatusOr<ChainLink> SegmentReader::FollowChain(const Visit& visit) const {
  ChainLink link = first_link();
  const uint64_t stop = closed_ ? end_ - kTrailerBytes : end_;
  std::string raw;
  for (uint64_t offset = begin(); offset < stop;) {
    BlockHeader header;
    if (absl::Status status = ReadLinked(offset, link, &header, &raw); !status.ok()) return status;
    link = header.link;
    visit(Linked{&header, offset, raw});
    offset += kBlockHeaderBytes + header.body_bytes();
  }
  return link;
}

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_SEGMENT_READER_H_
