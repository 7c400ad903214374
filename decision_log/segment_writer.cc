#include "decision_log/segment_writer.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

// 2 MiB: one and a half million names before it says "perhaps" too often.
constexpr size_t kSegmentFilterLines = size_t{1} << 15;

}  // namespace

SegmentWriter::SegmentWriter(Options options, LogPosition position)
    : options_(std::move(options)), position_(position), segment_filter_(kSegmentFilterLines) {}

void SegmentWriter::Add(absl::string_view record) {
  if (!ReadRecord(record, &record_)) return;  // cannot be: WriteRecord made it
  BlockHeader& header = open_.header;
  if (header.records == 0) {
    header.from_ns = std::numeric_limits<int64_t>::max();
    header.until_ns = std::numeric_limits<int64_t>::min();
    open_.raw.reserve(kBlockBytes + kRecordBytesMax);
  }
  const RecordNumbers& numbers = record_.numbers;
  ++header.records;
  header.from_ns = std::min(header.from_ns, numbers.at_ns);
  header.until_ns = std::max(header.until_ns, numbers.at_ns);
  header.verdicts = static_cast<uint16_t>(header.verdicts | 1u << (numbers.verdict & 15));
  header.reasons |= uint64_t{1} << (numbers.reason & 63);
  ++open_.classes[numbers.log_class];
  const size_t of_segment = TermsOf(record_, &terms_);
  for (const uint64_t term : terms_) open_filter_.Add(term);
  open_.segment_terms.insert(open_.segment_terms.end(), terms_.begin(),
                             terms_.begin() + static_cast<std::ptrdiff_t>(of_segment));
  open_.raw.append(record.data(), record.size());
  if (open_.raw.size() >= kBlockBytes) CloseBlock();
}

void SegmentWriter::CloseBlock() {
  if (open_.header.records == 0) return;
  open_.filter = open_filter_.Folded();
  open_filter_.Clear();
  waiting_.push_back(std::exchange(open_, Block()));
}

void SegmentWriter::AddNote(absl::string_view text) {
  CloseBlock();
  Block note;
  note.header.kind = BlockKind::kNote;
  note.raw = std::string(text);
  waiting_.push_back(std::move(note));
}

absl::Status SegmentWriter::WriteOut(absl::Time now) {
  while (!waiting_.empty()) {
    if (file_ == nullptr) {
      if (absl::Status status = OpenSegment(now); !status.ok()) return status;
    }
    if (absl::Status status = WriteBlock(&waiting_.front()); !status.ok()) return status;
    waiting_.pop_front();
    if (offset_ >= options_.segment_bytes) {
      if (absl::Status status = CloseSegment(); !status.ok()) return status;
    }
  }
  if (file_ != nullptr && now - opened_ >= options_.segment_lasts) return CloseSegment();
  return absl::OkStatus();
}

absl::Status SegmentWriter::Close(absl::Time now) {
  CloseBlock();
  if (absl::Status status = WriteOut(now); !status.ok()) return status;
  return file_ == nullptr ? absl::OkStatus() : CloseSegment();
}

absl::Status SegmentWriter::OpenSegment(absl::Time now) {
  const std::string path = SegmentPath(options_.folder, position_.segment);
  absl::StatusOr<std::shared_ptr<LogFile>> file = LogFile::CreateToWrite(path);
  if (!file.ok()) return file.status();
  header_ = {position_.segment, position_.number, absl::ToUnixNanos(now), position_.link, options_.node};
  const std::string bytes = FormatSegmentHeader(header_);
  if (absl::Status status = (*file)->Write(0, bytes); !status.ok()) {
    unlink(path.c_str());  // made anew when there is room
    return status;
  }
  file_ = *std::move(file);
  offset_ = bytes.size();
  opened_ = now;
  bytes_written_ += static_cast<int64_t>(bytes.size());
  // The header is the first thing of the segment that the chain runs through.
  position_.link = NextLink(position_.link, {bytes});
  return absl::OkStatus();
}

absl::Status SegmentWriter::WriteBlock(Block* block) {
  BlockHeader& header = block->header;
  header.first_number = position_.number;
  header.raw_bytes = static_cast<uint32_t>(block->raw.size());
  const std::string bytes = FormatBlock(position_.link, block->filter, Compress(block->raw), &header);
  if (absl::Status status = file_->Write(offset_, bytes); !status.ok()) return status;
  index_.push_back({offset_, header});
  offset_ += bytes.size();
  bytes_written_ += static_cast<int64_t>(bytes.size());
  position_.link = header.link;
  position_.number += header.records;
  for (int i = 0; i < kLogClassCount; ++i) records_written_[i] += block->classes[i];
  // The filter of a segment is as large as a cache: what is written soon is asked for now.
  constexpr size_t kAhead = 8;
  const std::vector<uint64_t>& terms = block->segment_terms;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i + kAhead < terms.size()) segment_filter_.Prefetch(terms[i + kAhead]);
    segment_filter_.Add(terms[i]);
  }
  return absl::OkStatus();
}

absl::Status SegmentWriter::CloseSegment() {
  if (file_->lost()) {
    LeaveSegment();
    return absl::OkStatus();
  }
  const std::string raw = FormatIndex(index_);
  BlockHeader header;
  header.kind = BlockKind::kIndex;
  header.first_number = position_.number;
  header.raw_bytes = static_cast<uint32_t>(raw.size());
  std::string bytes = FormatBlock(position_.link, segment_filter_.Folded(), Compress(raw), &header);
  bytes += FormatTrailer(offset_);
  if (absl::Status status = file_->Write(offset_, bytes); !status.ok()) return status;
  bytes_written_ += static_cast<int64_t>(bytes.size());
  ++segments_closed_;
  position_.link = header.link;
  LeaveSegment();
  return absl::OkStatus();
}

void SegmentWriter::LeaveSegment() {
  ++position_.segment;
  file_.reset();
  index_.clear();
  segment_filter_.Clear();
}

}  // namespace sluice
