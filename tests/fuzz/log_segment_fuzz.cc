// A segment of the decision log, whatever is in it. A first byte of 0: the rest is the file. Otherwise the rest says
// what blocks hold, and checksums and links around them are right, so that a fuzzer gets behind them. It is read, or
// refused where it is damaged; what verification finds whole a query finds whole; and a record is found by each of the
// names it has. Where a start would go on is within the file, and it leaves alone what verification calls damaged.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "decision_log/bloom_filter.h"
#include "decision_log/log_filter.h"
#include "decision_log/log_reader.h"
#include "decision_log/log_verify.h"
#include "decision_log/record_text.h"
#include "decision_log/segment_end.h"
#include "decision_log/segment_format.h"
#include "tests/fuzz/choices.h"

namespace sluice {
namespace {

void Expect(bool holds) {
  if (!holds) abort();
}

// The folder of a log of one segment, in memory but for a link to it.
class OneSegment {
 public:
  OneSegment() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-fuzz.XXXXXX").string();
    Expect(fd_ >= 0 && mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    std::filesystem::create_symlink(absl::StrCat("/proc/self/fd/", fd_), folder_ + "/0000000001.slog");
  }
  ~OneSegment() { std::filesystem::remove_all(folder_); }

  void Write(absl::string_view bytes) const {
    Expect(ftruncate(fd_, 0) == 0);
    Expect(pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  const std::string& folder() const { return folder_; }

 private:
  const int fd_;
  std::string folder_;
};

// Whatever names a record has, a query for one of them takes it, and its terms are among those a filter is made of.
void ExpectFound(const RecordView& record, const v1::DecisionRecord& message) {
  TermHashes terms;
  TermsOf(record, &terms);
  Expect(terms.size() <= 8);
  const auto found_by = [&](const v1::LogQuery& query) {
    const absl::StatusOr<LogFilter> filter = LogFilter::Create(query);
    Expect(filter.ok() && filter->Meets(record));
    for (const uint64_t term : filter->block_terms(kSegmentVersion)) Expect(absl::c_linear_search(terms, term));
  };
  v1::LogQuery query;
  query.set_account(message.request().owner());
  query.set_bucket(message.request().bucket());
  query.set_key(message.request().key());
  query.set_request_id(message.request().request_id());
  query.set_rule_id(message.response().rule_id());
  found_by(query);
  query.Clear();
  query.set_account(message.request().requester());
  found_by(query);
}

void ReadRecords(absl::string_view raw) {
  RecordView record;
  v1::DecisionRecord message, again;
  for (; ReadRecord(raw, &record); raw.remove_prefix(record.numbers.size)) {
    ToProto(record, "n1", 1, &message);
    // A message that is no UTF-8 is one that no client can read.
    Expect(again.ParseFromString(message.SerializeAsString()));
    ExpectFound(record, message);
  }
}

std::string FilterOf(absl::string_view raw, uint32_t* records) {
  BloomFilter filter(kBlockFilterLines);
  RecordView record;
  TermHashes terms;
  for (; ReadRecord(raw, &record); raw.remove_prefix(record.numbers.size), ++*records) {
    TermsOf(record, &terms);
    for (const uint64_t term : terms) filter.Add(term);
  }
  return filter.Folded();
}

// Blocks from what the fuzzer says: a kind, how far the header lies, how many bytes, and those. The last block closes
// the segment where it is an index.
std::string MakeSegment(absl::string_view rest) {
  const SegmentHeader segment{1, 1, 1772330400000000000, {}, "n1", kSegmentVersion};
  std::string bytes = FormatSegmentHeader(segment);
  ChainLink link = NextLink({}, {bytes});
  int64_t number = 1;
  std::vector<IndexEntry> index;
  while (rest.size() >= 4) {
    Choices choices(reinterpret_cast<const uint8_t*>(rest.data()), 4);
    const int kind = choices.Of(4);   // 3: the index that belongs there
    const int lies = choices.Of(16);  // bits: of records, of bytes, of the filter, of the number
    size_t size = size_t{choices.Byte()} << 8;
    size |= choices.Byte();
    rest.remove_prefix(4);
    const absl::string_view said = rest.substr(0, size);
    rest.remove_prefix(said.size());
    const std::string raw = kind == 3 ? FormatIndex(index) : std::string(said);
    BlockHeader header;
    header.kind = kind == 0 ? BlockKind::kRecords : kind == 1 ? BlockKind::kNote : BlockKind::kIndex;
    header.first_number = number;
    header.from_ns = header.until_ns = segment.created_ns;
    std::string filter;
    if (header.kind == BlockKind::kRecords) {
      ReadRecords(raw);
      filter = FilterOf(raw, &header.records);
    }
    if ((lies & 1) != 0) header.records += 1000;
    if ((lies & 8) != 0) header.first_number = kNumberMax - 1;
    if ((lies & 4) != 0) filter.resize(filter.size() / 2 + 3);
    header.raw_bytes = static_cast<uint32_t>(raw.size()) + ((lies & 2) != 0 ? 1 : 0);
    const std::string block = FormatBlock(link, filter, Compress(raw), &header);
    link = header.link;
    number += header.records;
    index.push_back({bytes.size(), header});
    if (header.kind == BlockKind::kIndex) return bytes + block + FormatTrailer(bytes.size());
    bytes += block;
  }
  return bytes;
}

void ReadLog(const std::string& folder) {
  const absl::StatusOr<LogReport> report = VerifyLog(folder, absl::nullopt);
  Expect(report.ok());
  int64_t found = 0;
  LogCursor cursor;
  LogQueryCost cost;
  const absl::Status status = LogReader(folder).Query(
      {}, &cursor,
      [&found](const v1::DecisionRecord&) {
        ++found;
        return true;
      },
      &cost);
  if (report->faults.empty()) {
    Expect(status.ok());
    Expect(found == report->records);
  }
  const auto segment = SegmentReader::Open(SegmentPath(folder, 1));
  if (!segment.ok()) return;
  const SegmentEnd end = FindEnd(**segment);
  Expect(end.whole <= (*segment)->file_bytes());
  Expect(end.next_number > end.last_number);
  // What a start leaves alone, or cuts, is what verification says.
  Expect(end.kind != SegmentEnd::Kind::kDamaged || !report->faults.empty());
  Expect(end.kind != SegmentEnd::Kind::kTorn || !(*segment)->closed());
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const sluice::OneSegment segment;
  if (size == 0) return 0;
  const absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  segment.Write(data[0] == 0 ? std::string(rest) : sluice::MakeSegment(rest));
  sluice::ReadLog(segment.folder());
  sluice::ReadRecords(rest);
  return 0;
}
