#include "decision_log/segment_reader.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "decision_log/bloom_filter.h"

namespace sluice {
namespace {

absl::Status In(const LogFile& file, uint64_t offset, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(file.path(), " at byte ", offset, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentReader>> SegmentReader::Open(const std::string& path) {
  absl::StatusOr<std::shared_ptr<LogFile>> file = LogFile::OpenToRead(path);
  if (!file.ok()) return file.status();
  std::unique_ptr<SegmentReader> reader(new SegmentReader(*std::move(file)));
  std::string start;
  if (absl::Status status = reader->file_->Read(0, kSegmentHeaderBytesMax, &start); !status.ok()) return status;
  size_t header_bytes = 0;
  absl::StatusOr<SegmentHeader> header = ParseSegmentHeader(start, &header_bytes);
  if (!header.ok()) return In(*reader->file_, 0, header.status());
  reader->header_ = *std::move(header);
  reader->header_text_ = start.substr(0, header_bytes);
  reader->end_ = header_bytes;
  if (absl::Status status = reader->Refresh(); !status.ok()) return status;
  return reader;
}

int64_t SegmentReader::until_ns() const {
  int64_t until = std::numeric_limits<int64_t>::min();
  for (const IndexEntry& block : blocks_) {
    if (block.header.kind == BlockKind::kRecords) until = std::max(until, block.header.until_ns);
  }
  return until;
}

absl::Status SegmentReader::Refresh() {
  if (closed_) return absl::OkStatus();
  const absl::StatusOr<uint64_t> size = file_->Size();
  if (!size.ok()) return size.status();
  file_bytes_ = *size;
  // Where the index cannot be read the blocks themselves still can.
  if (const absl::optional<uint64_t> index = Trailer(); index && ReadIndex(*index).ok()) return absl::OkStatus();
  std::string bytes;
  while (end_ + kBlockHeaderBytes <= file_bytes_) {
    if (absl::Status status = file_->Read(end_, kBlockHeaderBytes, &bytes); !status.ok()) return status;
    const absl::StatusOr<BlockHeader> header = ParseBlockHeader(bytes);
    if (!header.ok() || header->kind == BlockKind::kIndex) break;
    const uint64_t next = end_ + kBlockHeaderBytes + header->body_bytes();
    if (next > file_bytes_) break;
    blocks_.push_back({end_, *header});
    end_ = next;
  }
  return absl::OkStatus();
}

absl::Status SegmentReader::CheckWithin(uint64_t offset, const BlockHeader& header) const {
  if (offset <= file_bytes_ && kBlockHeaderBytes + header.body_bytes() <= file_bytes_ - offset) return absl::OkStatus();
  return In(*file_, offset,
            absl::DataLossError(absl::StrCat("the block of record ", header.first_number, " is cut short")));
}

absl::Status SegmentReader::ReadIndex(uint64_t offset) {
  if (offset < header_text_.size() || offset > file_bytes_) return absl::DataLossError("index outside of the file");
  std::string bytes;
  if (absl::Status status = file_->Read(offset, kBlockHeaderBytes, &bytes); !status.ok()) return status;
  const absl::StatusOr<BlockHeader> header = ParseBlockHeader(bytes);
  if (!header.ok()) return header.status();
  if (header->kind != BlockKind::kIndex) return absl::DataLossError("wanted the index, got another block");
  // As many entries as there is room for blocks before it.
  if (header->raw_bytes > offset / kBlockHeaderBytes * kIndexEntryBytes) {
    return absl::DataLossError("the index is longer than the segment has blocks");
  }
  std::string raw;
  if (absl::Status status = ReadBlock({offset, *header}, &raw); !status.ok()) return status;
  absl::StatusOr<std::vector<IndexEntry>> entries = ParseIndex(raw);
  if (!entries.ok()) return entries.status();
  blocks_ = *std::move(entries);
  filter_offset_ = offset + kBlockHeaderBytes;
  filter_bytes_ = header->filter_bytes;
  end_ = file_bytes_;
  closed_ = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> SegmentReader::FilterMayHold(uint64_t filter_offset, size_t filter_bytes,
                                                  absl::Span<const uint64_t> terms) const {
  if (filter_bytes < kFilterLineBytes || !std::has_single_bit(filter_bytes)) return true;
  std::string line;
  for (const uint64_t term : terms) {
    const uint64_t at = filter_offset + BloomFilter::LineOffset(term, filter_bytes);
    if (absl::Status status = file_->Read(at, kFilterLineBytes, &line); !status.ok()) return status;
    if (line.size() == kFilterLineBytes && !BloomFilter::LineMayHold(line, term)) return false;
  }
  return true;
}

absl::StatusOr<bool> SegmentReader::MayHold(absl::Span<const uint64_t> terms) const {
  return closed_ ? FilterMayHold(filter_offset_, filter_bytes_, terms) : true;
}

absl::StatusOr<bool> SegmentReader::BlockMayHold(const IndexEntry& block, absl::Span<const uint64_t> terms) const {
  return FilterMayHold(block.offset + kBlockHeaderBytes, block.header.filter_bytes, terms);
}

absl::Status SegmentReader::ReadBlock(const IndexEntry& block, std::string* raw) const {
  if (absl::Status status = CheckWithin(block.offset, block.header); !status.ok()) return status;
  std::string bytes;
  absl::Status status = file_->Read(block.offset, kBlockHeaderBytes + block.header.body_bytes(), &bytes);
  if (!status.ok()) return status;
  const absl::StatusOr<BlockHeader> header = ParseBlockHeader(bytes);
  if (!header.ok()) return In(*file_, block.offset, header.status());
  const absl::string_view body = absl::string_view(bytes).substr(kBlockHeaderBytes);
  if (status = CheckBody(*header, body); !status.ok()) return In(*file_, block.offset, status);
  status = Uncompress(body.substr(header->filter_bytes), header->raw_bytes, raw);
  return status.ok() ? status : In(*file_, block.offset, status);
}

ChainLink SegmentReader::first_link() const { return NextLink(header_.before, {header_text_}); }

absl::optional<uint64_t> SegmentReader::Trailer() const {
  if (file_bytes_ < begin() + kTrailerBytes) return absl::nullopt;
  std::string bytes;
  if (!file_->Read(file_bytes_ - kTrailerBytes, kTrailerBytes, &bytes).ok()) return absl::nullopt;
  const absl::StatusOr<uint64_t> index = ParseTrailer(bytes);
  return index.ok() ? absl::optional<uint64_t>(*index) : absl::nullopt;
}

absl::Status SegmentReader::FindBlocks(uint64_t offset,
                                       absl::FunctionRef<bool(uint64_t, const BlockHeader&)> visit) const {
  constexpr size_t kPiece = size_t{1} << 20;
  std::string bytes;
  for (; offset < file_bytes_; offset += kPiece) {
    // A header may begin at the end of a piece. What came since the file was looked at is not asked for.
    const uint64_t wanted = std::min<uint64_t>(kPiece + kBlockHeaderBytes - 1, file_bytes_ - offset);
    if (absl::Status status = file_->Read(offset, wanted, &bytes); !status.ok()) return status;
    for (size_t at = FindBlockHeader(bytes, 0); at < kPiece; at = FindBlockHeader(bytes, at + 1)) {
      if (!visit(offset + at, *ParseBlockHeader(absl::string_view(bytes).substr(at)))) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status SegmentReader::ReadLinked(uint64_t offset, const ChainLink& before, BlockHeader* header,
                                       std::string* raw) const {
  std::string head, body;
  if (absl::Status status = file_->Read(offset, kBlockHeaderBytes, &head); !status.ok()) return status;
  absl::StatusOr<BlockHeader> parsed = ParseBlockHeader(head);
  if (!parsed.ok()) return In(*file_, offset, parsed.status());
  *header = *parsed;
  if (absl::Status status = CheckWithin(offset, *header); !status.ok()) return status;
  if (absl::Status status = file_->Read(offset + kBlockHeaderBytes, header->body_bytes(), &body); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckBody(*header, body); !status.ok()) return In(*file_, offset, status);
  if (LinkOf(before, head, body) != header->link) {
    return In(*file_, offset,
              absl::DataLossError("the chain breaks: this block, or what stood before it, was altered"));
  }
  raw->clear();
  if (header->kind == BlockKind::kIndex) return absl::OkStatus();
  const absl::string_view payload = absl::string_view(body).substr(header->filter_bytes);
  absl::Status status = Uncompress(payload, header->raw_bytes, raw);
  return status.ok() ? status : In(*file_, offset, status);
}

}  // namespace sluice
