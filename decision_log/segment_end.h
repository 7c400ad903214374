// Where a segment that another process wrote ends: whole, torn by a crash, or damaged; and what numbers come behind it.
//
// Only the last write of a segment that was not closed can have been cut short. Whatever else does not follow from the
// chain was altered after it was written, or lost by the disk, and what stands behind it may be whole.
#ifndef SLUICE_DECISION_LOG_SEGMENT_END_H_
#define SLUICE_DECISION_LOG_SEGMENT_END_H_

#include <cstdint>

#include "decision_log/hash_chain.h"
#include "decision_log/segment_reader.h"

namespace sluice {

struct SegmentEnd {
  enum class Kind { kWhole, kTorn, kDamaged };
  Kind kind = Kind::kWhole;
  uint64_t whole = 0;       // bytes that are what was written
  ChainLink link{};         // the last among them
  int64_t last_number = 0;  // of the records among them, or of the last before the segment
  int64_t next_number = 1;  // greater than every number that was given out, but those of a torn write
};

// Reads the whole segment. Blocks on the disk.
SegmentEnd FindEnd(const SegmentReader& segment);

// Whether what stands behind `whole` can be what a write that was cut short has left. Reads that much, if it is no more
// than such a write leaves.
bool MayBeTorn(const SegmentReader& segment, uint64_t whole);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_SEGMENT_END_H_
