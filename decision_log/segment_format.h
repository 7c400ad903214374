// The bytes of a segment, one file of the log:
//
//     segment header | block | block | ... | index block | trailer
//
// A block holds some hundred records, compressed with zstd, behind a header that says which numbers and times they have
// and a Bloom filter of the names in them; or a note, a line of text on the log itself. The index block repeats the
// headers of all blocks, with a filter of the whole segment; it and the trailer are there once a segment is closed. All
// integers are little-endian. Every header carries its own checksum (XXH3-64), that of what follows it, and the link of
// the hash chain up to and with it.
#ifndef SLUICE_DECISION_LOG_SEGMENT_FORMAT_H_
#define SLUICE_DECISION_LOG_SEGMENT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "decision_log/hash_chain.h"

namespace sluice {

inline constexpr size_t kBlockBytes = 256 << 10;   // of records, before compression: then it is closed
inline constexpr size_t kBlockBytesMax = 1 << 20;  // what a reader believes a header
inline constexpr size_t kBlockFilterLines = 512;   // 32 KiB before folding: seven thousand names
// The most that a write cut short can leave behind.
inline constexpr size_t kUnfinishedBytesMax = 2 * kBlockBytesMax;
inline constexpr size_t kIndexBytesMax = size_t{1} << 30;
inline constexpr size_t kNodeNameBytesMax = 256;
inline constexpr int64_t kNumberMax = int64_t{1} << 62;  // of segments and records: what a reader believes

// 2: filters of blocks have ids of requests and traces. 3: records have the class "overload". Older ones are read, and
// written no more.
inline constexpr uint32_t kSegmentVersion = 3;

struct SegmentHeader {
  int64_t segment = 0;       // its number, from 1
  int64_t first_number = 0;  // of the first record in it, whether or not one came
  int64_t created_ns = 0;    // Unix time
  ChainLink before{};        // the last link of the segment before
  std::string node;
  uint32_t version = kSegmentVersion;
};
// The header as it is written. Its size is that of the result.
std::string FormatSegmentHeader(const SegmentHeader& header);
// DATA_LOSS with what is wrong. `bytes` may go on behind the header; `*size` is that of the header.
absl::StatusOr<SegmentHeader> ParseSegmentHeader(absl::string_view bytes, size_t* size);
inline constexpr size_t kSegmentHeaderBytesMax = 96 + kNodeNameBytesMax;

enum class BlockKind : uint8_t { kRecords = 1, kNote = 2, kIndex = 3 };

struct BlockHeader {
  BlockKind kind = BlockKind::kRecords;
  uint16_t verdicts = 0;  // bits by number: which occur
  uint32_t records = 0;
  int64_t first_number = 0;           // of a note: of the record that comes next
  int64_t from_ns = 0, until_ns = 0;  // times of the records, both inclusive
  uint64_t reasons = 0;               // bits by number: which occur first in an answer
  uint32_t raw_bytes = 0;             // of the payload before compression
  uint32_t filter_bytes = 0;
  uint32_t payload_bytes = 0;
  uint64_t checksum = 0;  // of filter and payload
  ChainLink link{};

  size_t body_bytes() const { return size_t{filter_bytes} + payload_bytes; }
};
inline constexpr size_t kBlockHeaderBytes = 108;

// A whole block: header, filter, payload. Fills payload_bytes, filter_bytes, checksum and link of `*header`.
// `payload` is compressed already.
std::string FormatBlock(const ChainLink& before, absl::string_view filter, absl::string_view payload,
                        BlockHeader* header);
// DATA_LOSS where `bytes` begin with no header that is whole.
absl::StatusOr<BlockHeader> ParseBlockHeader(absl::string_view bytes);
// Where the first header that is whole begins in `bytes`, at `from` or behind; npos where there is none.
size_t FindBlockHeader(absl::string_view bytes, size_t from);
// DATA_LOSS unless `body`, filter and payload, is what the header was written with.
absl::Status CheckBody(const BlockHeader& header, absl::string_view body);
// The link that a block with these bytes must have.
ChainLink LinkOf(const ChainLink& before, absl::string_view header, absl::string_view body);

std::string Compress(absl::string_view raw);
// DATA_LOSS where it is not `raw_bytes` when unpacked; where it says so itself, before any memory is taken. Reuses the
// memory of `*raw`.
absl::Status Uncompress(absl::string_view payload, size_t raw_bytes, std::string* raw);

// What the index block says of each block but itself.
struct IndexEntry {
  uint64_t offset = 0;
  BlockHeader header;  // without raw_bytes, checksum and link
};
inline constexpr size_t kIndexEntryBytes = 56;
std::string FormatIndex(const std::vector<IndexEntry>& entries);
absl::StatusOr<std::vector<IndexEntry>> ParseIndex(absl::string_view raw);

inline constexpr size_t kTrailerBytes = 24;
std::string FormatTrailer(uint64_t index_offset);
// DATA_LOSS where `bytes` are no trailer: the segment was not closed.
absl::StatusOr<uint64_t> ParseTrailer(absl::string_view bytes);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_SEGMENT_FORMAT_H_
