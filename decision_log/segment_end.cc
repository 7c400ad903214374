#include "decision_log/segment_end.h"

#include <algorithm>
#include <string>

#include "decision_log/record.h"

namespace sluice {
namespace {

constexpr uint64_t kBlockRecordsMax = kBlockBytesMax / sizeof(RecordNumbers);

int64_t NextNumber(const BlockHeader& header) {
  return header.first_number + (header.kind == BlockKind::kRecords ? header.records : 0);
}

// Beyond every number behind `end.whole`, as far as headers can be found there; and beyond what the rest has room for.
int64_t NumberBehind(const SegmentReader& segment, const SegmentEnd& end) {
  int64_t next = end.next_number;
  if (segment.closed()) {
    for (const IndexEntry& block : segment.blocks()) {
      if (block.header.first_number <= kNumberMax) next = std::max(next, NextNumber(block.header));
    }
    return next;
  }
  uint64_t known = end.whole;
  segment
      .FindBlocks(end.whole,
                  [&](uint64_t offset, const BlockHeader& header) {
                    next = std::max(next, NextNumber(header));
                    known = std::max(known, offset + kBlockHeaderBytes + header.body_bytes());
                    return true;
                  })
      .IgnoreError();  // what cannot be read is counted as room
  const uint64_t stop = std::min(segment.Trailer().value_or(segment.file_bytes()), segment.file_bytes());
  const uint64_t room = stop - std::min(known, stop);
  return next + static_cast<int64_t>(room / kBlockHeaderBytes * kBlockRecordsMax);
}

}  // namespace

SegmentEnd FindEnd(const SegmentReader& segment) {
  SegmentEnd end;
  end.whole = segment.begin();
  end.link = segment.first_link();
  end.next_number = segment.header().first_number;
  const absl::StatusOr<ChainLink> last = segment.FollowChain([&](const SegmentReader::Linked& block) {
    end.whole = block.offset + kBlockHeaderBytes + block.header->body_bytes();
    end.link = block.header->link;
    end.next_number = NextNumber(*block.header);
  });
  end.last_number = end.next_number - 1;
  if (last.ok() && (segment.closed() || segment.end() == segment.file_bytes())) return end;
  end.kind = MayBeTorn(segment, end.whole) ? SegmentEnd::Kind::kTorn : SegmentEnd::Kind::kDamaged;
  if (end.kind == SegmentEnd::Kind::kDamaged) end.next_number = NumberBehind(segment, end);
  return end;
}

bool MayBeTorn(const SegmentReader& segment, uint64_t whole) {
  if (segment.closed() || segment.Trailer().has_value()) return false;
  if (segment.file_bytes() - whole > kUnfinishedBytesMax) return false;
  // The write that was cut short began at `whole`: with the header of its one block, or the index and its trailer. A
  // block that is all there was altered, or follows from something else; so was a trailer behind an index that is.
  bool torn = true;
  const absl::Status read = segment.FindBlocks(whole, [&](uint64_t offset, const BlockHeader& header) {
    std::string raw;
    const uint64_t end = offset + kBlockHeaderBytes + header.body_bytes();
    const bool all_there = offset == whole && segment.ReadBlock({offset, header}, &raw).ok();
    const bool as_index = header.kind == BlockKind::kIndex && segment.file_bytes() < end + kTrailerBytes;
    torn = offset == whole && (!all_there || as_index);
    return torn;
  });
  return read.ok() && torn;
}

}  // namespace sluice
