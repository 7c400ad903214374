#include "decision_log/retention.h"

#include <limits>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "decision_log/segment_reader.h"

namespace sluice {
namespace {

// Of a segment that was never closed the filters of its blocks are asked.
bool MayHold(const SegmentReader& segment, uint64_t term) {
  const absl::StatusOr<bool> whole = segment.MayHold({term});
  if (!whole.ok()) return true;
  if (segment.closed() || !*whole) return *whole;
  for (const IndexEntry& block : segment.blocks()) {
    const absl::StatusOr<bool> may_hold = segment.BlockMayHold(block, {term});
    if (block.header.kind == BlockKind::kRecords && (!may_hold.ok() || *may_hold)) return true;
  }
  return false;
}

// True too where `go_on` ended the look: then nobody knows.
bool IsHeld(const SegmentReader& segment, const std::vector<uint64_t>& held, RetentionLook::GoOn go_on) {
  // Each is a read or two, of a segment that was not closed one a block.
  constexpr size_t kTermsAtOnce = 64;
  for (size_t i = 0; i < held.size(); ++i) {
    if (i % kTermsAtOnce == 0 && !go_on()) return true;
    if (MayHold(segment, held[i])) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<RetentionLook> RetentionLook::Begin(const std::string& folder, const RetentionRule& rule, absl::Time now,
                                                   int64_t open_segment) {
  absl::StatusOr<std::vector<SegmentFile>> segments = ListSegments(folder);
  if (!segments.ok()) return segments.status();
  RetentionLook look;
  look.rule_ = rule;
  look.oldest_ns_ = absl::ToUnixNanos(now - rule.keep_for);
  look.open_segment_ = open_segment;
  look.segments_ = *std::move(segments);
  for (const SegmentFile& segment : look.segments_) look.bytes_left_ += segment.bytes;
  return look;
}

absl::optional<Removal> RetentionLook::Next(Held held, GoOn go_on) {
  bool stopped = false;
  const auto goes_on = [&] {
    stopped = stopped || !go_on();
    return !stopped;
  };
  absl::optional<std::vector<uint64_t>> terms;
  while (next_ < segments_.size()) {
    const SegmentFile& file = segments_[next_++];
    if (open_segment_ != 0 && file.segment >= open_segment_) break;
    const absl::StatusOr<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(file.path);
    if (!segment.ok()) continue;
    // One without a record is as old as it was made.
    const bool empty = (*segment)->until_ns() == std::numeric_limits<int64_t>::min();
    const int64_t until_ns = empty ? (*segment)->header().created_ns : (*segment)->until_ns();
    const bool aged = until_ns < oldest_ns_;
    const bool too_large = rule_.keep_bytes > 0 && bytes_left_ > rule_.keep_bytes;
    if (!aged && !too_large) break;  // those after it are younger
    if (!terms) terms = held(goes_on);
    held_unknown_ = !terms && !stopped;
    if (!terms || !goes_on()) break;
    const bool is_held = IsHeld(**segment, *terms, goes_on);
    if (stopped) break;
    if (is_held) {
      ++held_segments_;
      continue;
    }
    int64_t next_number = (*segment)->header().first_number;
    const absl::StatusOr<ChainLink> link = (*segment)->FollowChain([&](const SegmentReader::Linked& block) {
      next_number = block.header->first_number + block.header->records;
      goes_on();
    });
    if (stopped) break;
    // Damaged, or with an end that no start took for torn: evidence of that, for people to look at.
    if (!link.ok() || (*segment)->end() != (*segment)->file_bytes()) continue;
    bytes_left_ -= file.bytes;
    return Removal{
        file.segment, (*segment)->header().first_number, next_number - 1, *link, aged ? "age" : "size", file.path,
        file.bytes};
  }
  next_ = segments_.size();
  return absl::nullopt;
}

std::string FormatRemoval(const Removal& removal) {
  return absl::StrCat("removed segment=", removal.segment, " records=", removal.first_number, "-", removal.last_number,
                      " link=", FormatLink(removal.link), " why=", removal.why);
}

bool ParseRemoval(absl::string_view note, Removal* removal) {
  if (!absl::ConsumePrefix(&note, "removed ")) return false;
  for (const absl::string_view field : absl::StrSplit(note, ' ')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(field, absl::MaxSplits('=', 1));
    if (pair.first == "segment" && !absl::SimpleAtoi(pair.second, &removal->segment)) return false;
    if (pair.first == "records") {
      const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(pair.second, absl::MaxSplits('-', 1));
      if (!absl::SimpleAtoi(ends.first, &removal->first_number) ||
          !absl::SimpleAtoi(ends.second, &removal->last_number)) {
        return false;
      }
    }
    if (pair.first == "link") {
      const absl::optional<ChainLink> link = ParseLink(pair.second);
      if (!link) return false;
      removal->link = *link;
    }
  }
  return removal->segment > 0 && removal->segment <= kNumberMax && removal->last_number >= 0 &&
         removal->last_number <= kNumberMax;
}

}  // namespace sluice
