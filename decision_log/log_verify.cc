#include "decision_log/log_verify.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "decision_log/log_folder.h"
#include "decision_log/retention.h"
#include "decision_log/segment_end.h"
#include "decision_log/segment_reader.h"

namespace sluice {
namespace {

// What is left of a segment once it is read: enough to join it to its neighbours.
struct Read {
  int64_t segment = 0;
  int64_t first_number = 0, next_number = 0;
  ChainLink before{}, last{};
  bool whole = false;  // its chain was followed to the end
};

// Bytes at the end of a segment that are no whole block.
struct Unfinished {
  int64_t segment = 0;
  bool may_be_torn = false;
  std::string text;
};

class Verifier {
 public:
  explicit Verifier(const absl::optional<ChainLink>& known) : known_(known) {}

  void ReadSegment(const SegmentFile& file) {
    ++report_.segments;
    report_.bytes += file.bytes;
    Read read;
    read.segment = file.segment;
    const absl::StatusOr<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(file.path);
    if (!segment.ok()) {
      Fault(segment.status().message());
      reads_.push_back(read);
      return;
    }
    const SegmentHeader& header = (*segment)->header();
    if (header.segment != file.segment) {
      Fault(absl::StrCat(file.path, ": wanted segment ", file.segment, ", got segment ", header.segment));
    }
    read.before = header.before;
    read.first_number = read.next_number = header.first_number;
    std::vector<IndexEntry> blocks;
    const absl::StatusOr<ChainLink> last = (*segment)->FollowChain([&](const SegmentReader::Linked& block) {
      if (block.header->kind != BlockKind::kIndex) blocks.push_back({block.offset, *block.header});
      if (known_ && block.header->link == *known_) knows_ = true;
      ReadBlock(file, block, &read);
    });
    if (!last.ok()) Fault(last.status().message());
    read.whole = last.ok();
    if (last.ok()) read.last = *last;
    // Queries go by the index: one that leaves a block out would hide it.
    if (last.ok() && FormatIndex((*segment)->blocks()) != FormatIndex(blocks)) {
      Fault(absl::StrCat(file.path, ": the index does not say what the blocks are"));
    }
    // What is behind the last whole block of a segment that was never closed: a write that a crash cut short, or
    // damage.
    if ((*segment)->end() != (*segment)->file_bytes()) {
      const uint64_t torn = (*segment)->file_bytes() - (*segment)->end();
      unfinished_.push_back(
          {file.segment, MayBeTorn(**segment, (*segment)->end()),
           absl::StrCat(file.path, ": ", torn, " bytes behind record ", read.next_number - 1, " are no whole block")});
    }
    reads_.push_back(read);
  }

  LogReport Finish() && {
    for (size_t i = 0; i < reads_.size(); ++i) Join(i == 0 ? nullptr : &reads_[i - 1], reads_[i]);
    for (const Unfinished& each : unfinished_) {
      // Only the newest segment is still being written, or was when the node died.
      const bool expected = each.segment == reads_.back().segment && each.may_be_torn;
      (expected ? report_.remarks : report_.faults).push_back(each.text);
    }
    if (known_ && !knows_) {
      Fault(absl::StrCat("the chain has no link ", FormatLink(*known_), ": the log was cut off, or written anew"));
    }
    if (!reads_.empty()) report_.last_link = reads_.back().last;
    return std::move(report_);
  }

 private:
  void Fault(absl::string_view text) { report_.faults.emplace_back(text); }

  void ReadBlock(const SegmentFile& file, const SegmentReader::Linked& block, Read* read) {
    const BlockHeader& header = *block.header;
    if (header.kind == BlockKind::kIndex) return;
    ++report_.blocks;
    if (header.kind == BlockKind::kNote) {
      ReadNote(block.raw);
      return;
    }
    if (header.first_number != read->next_number) {
      Fault(absl::StrCat(file.path, " at byte ", block.offset, ": wanted record ", read->next_number, ", got record ",
                         header.first_number));
    }
    uint32_t records = 0;
    absl::string_view rest = block.raw;
    for (; ReadRecord(rest, &record_); rest.remove_prefix(record_.numbers.size)) {
      ++records;
      ++report_.by_class[record_.numbers.log_class];
    }
    if (records != header.records) {
      Fault(absl::StrCat(file.path, " at byte ", block.offset, ": wanted ", header.records, " records, got ", records));
    }
    if (!rest.empty()) {
      Fault(absl::StrCat(file.path, " at byte ", block.offset, ": ", rest.size(), " bytes are no record"));
    }
    if (report_.records == 0) {
      report_.first_number = header.first_number;
      report_.from_ns = header.from_ns;
      report_.until_ns = header.until_ns;
    }
    report_.records += records;
    report_.from_ns = std::min(report_.from_ns, header.from_ns);
    report_.until_ns = std::max(report_.until_ns, header.until_ns);
    read->next_number = header.first_number + header.records;
    report_.last_number = read->next_number - 1;
  }

  void ReadNote(absl::string_view note) {
    Removal removal;
    if (ParseRemoval(note, &removal)) removals_[removal.segment] = removal;
    if (!absl::StartsWith(note, "started")) report_.remarks.emplace_back(note);
  }

  // Whether `read` goes on where the segment before it ended: the one that is there, or the last that was removed.
  void Join(const Read* previous, const Read& read) {
    const int64_t missing = read.segment - 1;
    const bool follows = previous == nullptr ? missing == 0 : previous->segment == missing;
    ChainLink before{};
    int64_t number = 1;
    if (follows && previous != nullptr) {
      if (!previous->whole) return;  // said already
      before = previous->last;
      number = previous->next_number;
    } else if (!follows) {
      const auto removal = removals_.find(missing);
      if (removal == removals_.end()) {
        Fault(absl::StrCat("segment ", missing, " is missing, and no note says that it was removed"));
        return;
      }
      before = removal->second.link;
      number = removal->second.last_number + 1;
    }
    if (!read.whole && read.first_number == 0) return;  // its header could not be read
    if (read.before != before) {
      Fault(absl::StrCat("the chain breaks between segments ", missing, " and ", read.segment));
    }
    if (read.first_number != number) {
      Fault(absl::StrCat("segment ", read.segment, ": wanted record ", number, " first, got ", read.first_number));
    }
  }

  const absl::optional<ChainLink> known_;
  bool knows_ = false;
  LogReport report_;
  std::vector<Read> reads_;
  std::map<int64_t, Removal> removals_;
  std::vector<Unfinished> unfinished_;
  RecordView record_;
};

}  // namespace

absl::StatusOr<LogReport> VerifyLog(const std::string& folder, const absl::optional<ChainLink>& known) {
  const absl::StatusOr<std::vector<SegmentFile>> segments = ListSegments(folder);
  if (!segments.ok()) return segments.status();
  Verifier verifier(known);
  for (const SegmentFile& file : *segments) verifier.ReadSegment(file);
  return std::move(verifier).Finish();
}

}  // namespace sluice
