#include "decision_log/segment_format.h"

#include <xxhash.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr absl::string_view kSegmentMagic = "SLUICELG";
constexpr absl::string_view kTrailerMagic = "SLUICEND";
constexpr uint32_t kBlockMagic = 0x4B4C4253;  // "SBLK"
// Level 1 for a block, with a table of positions a quarter as large, and repeats of four and five bytes left alone: of
// denials of 100 and of 10,000 accounts 2 % smaller, and in 0.78 of the time.
constexpr int kCompression = 1;
constexpr int kPositionsLog = 12;
constexpr int kRepeatBytesMin = 6;

std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> NewCompressor() {
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kCompression);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_hashLog, kPositionsLog);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_minMatch, kRepeatBytesMin);
  return context;
}

template <typename Number>
void Put(Number number, std::string* out) {
  out->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <typename Number>
Number Take(absl::string_view* bytes) {
  Number number;
  std::memcpy(&number, bytes->data(), sizeof(number));
  bytes->remove_prefix(sizeof(number));
  return number;
}

void PutLink(const ChainLink& link, std::string* out) {
  out->append(reinterpret_cast<const char*>(link.data()), link.size());
}

ChainLink TakeLink(absl::string_view* bytes) {
  ChainLink link;
  std::memcpy(link.data(), bytes->data(), link.size());
  bytes->remove_prefix(link.size());
  return link;
}

uint64_t Checksum(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// The part of a block's header that its link covers.
constexpr size_t kLinkedBytes = kBlockHeaderBytes - kChainLinkBytes - sizeof(uint64_t);

}  // namespace

std::string FormatSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentMagic);
  const absl::string_view node = absl::string_view(header.node).substr(0, kNodeNameBytesMax);
  Put(header.version, &bytes);
  Put(static_cast<uint32_t>(node.size()), &bytes);
  Put(header.segment, &bytes);
  Put(header.first_number, &bytes);
  Put(header.created_ns, &bytes);
  PutLink(header.before, &bytes);
  bytes.append(node.data(), node.size());
  Put(Checksum(bytes), &bytes);
  return bytes;
}

absl::StatusOr<SegmentHeader> ParseSegmentHeader(absl::string_view bytes, size_t* size) {
  constexpr size_t kFixed = 8 + 4 + 4 + 3 * 8 + kChainLinkBytes;
  if (bytes.size() < kFixed + sizeof(uint64_t) || bytes.substr(0, kSegmentMagic.size()) != kSegmentMagic) {
    return absl::DataLossError("wanted the header of a segment of a decision log, got other bytes");
  }
  absl::string_view rest = bytes.substr(kSegmentMagic.size());
  SegmentHeader header;
  header.version = Take<uint32_t>(&rest);
  if (header.version < 1 || header.version > kSegmentVersion) {
    return absl::DataLossError(
        absl::StrCat("wanted format 1 to ", kSegmentVersion, " of a segment, got ", header.version));
  }
  const auto node_bytes = Take<uint32_t>(&rest);
  header.segment = Take<int64_t>(&rest);
  header.first_number = Take<int64_t>(&rest);
  header.created_ns = Take<int64_t>(&rest);
  header.before = TakeLink(&rest);
  if (node_bytes > kNodeNameBytesMax || rest.size() < node_bytes + sizeof(uint64_t)) {
    return absl::DataLossError("the header of the segment is cut short");
  }
  if (header.segment < 1 || header.segment > kNumberMax || header.first_number < 1 ||
      header.first_number > kNumberMax) {
    return absl::DataLossError(absl::StrCat("wanted segment and first record from 1 to 2^62, got ", header.segment,
                                            " and ", header.first_number));
  }
  header.node = std::string(rest.substr(0, node_bytes));
  rest.remove_prefix(node_bytes);
  *size = kFixed + node_bytes + sizeof(uint64_t);
  if (Take<uint64_t>(&rest) != Checksum(bytes.substr(0, *size - sizeof(uint64_t)))) {
    return absl::DataLossError("the header of the segment does not match its checksum");
  }
  return header;
}

std::string FormatBlock(const ChainLink& before, absl::string_view filter, absl::string_view payload,
                        BlockHeader* header) {
  header->filter_bytes = static_cast<uint32_t>(filter.size());
  header->payload_bytes = static_cast<uint32_t>(payload.size());
  std::string body(filter);
  body.append(payload.data(), payload.size());
  header->checksum = Checksum(body);

  std::string bytes;
  bytes.reserve(kBlockHeaderBytes + body.size());
  Put(kBlockMagic, &bytes);
  Put(static_cast<uint16_t>(header->kind), &bytes);
  Put(header->verdicts, &bytes);
  Put(header->records, &bytes);
  Put(header->raw_bytes, &bytes);
  Put(header->first_number, &bytes);
  Put(header->from_ns, &bytes);
  Put(header->until_ns, &bytes);
  Put(header->reasons, &bytes);
  Put(header->filter_bytes, &bytes);
  Put(header->payload_bytes, &bytes);
  Put(uint32_t{0}, &bytes);  // for what later versions need
  Put(header->checksum, &bytes);
  header->link = NextLink(before, {bytes, body});
  PutLink(header->link, &bytes);
  Put(Checksum(bytes), &bytes);
  bytes += body;
  return bytes;
}

absl::StatusOr<BlockHeader> ParseBlockHeader(absl::string_view bytes) {
  if (bytes.size() < kBlockHeaderBytes) return absl::DataLossError("the header of a block is cut short");
  const absl::string_view whole = bytes.substr(0, kBlockHeaderBytes);
  absl::string_view rest = whole;
  const bool magic = Take<uint32_t>(&rest) == kBlockMagic;
  BlockHeader header;
  const auto kind = Take<uint16_t>(&rest);
  header.kind = static_cast<BlockKind>(kind);
  header.verdicts = Take<uint16_t>(&rest);
  header.records = Take<uint32_t>(&rest);
  header.raw_bytes = Take<uint32_t>(&rest);
  header.first_number = Take<int64_t>(&rest);
  header.from_ns = Take<int64_t>(&rest);
  header.until_ns = Take<int64_t>(&rest);
  header.reasons = Take<uint64_t>(&rest);
  header.filter_bytes = Take<uint32_t>(&rest);
  header.payload_bytes = Take<uint32_t>(&rest);
  Take<uint32_t>(&rest);
  header.checksum = Take<uint64_t>(&rest);
  header.link = TakeLink(&rest);
  const size_t most = header.kind == BlockKind::kIndex ? kIndexBytesMax : kBlockBytesMax;
  if (!magic || Take<uint64_t>(&rest) != Checksum(whole.substr(0, kBlockHeaderBytes - sizeof(uint64_t))) || kind < 1 ||
      kind > 3 || header.first_number < 1 || header.first_number > kNumberMax || header.raw_bytes > most ||
      header.body_bytes() > 2 * most) {
    return absl::DataLossError("wanted the header of a block, got bytes that do not match their checksum");
  }
  return header;
}

size_t FindBlockHeader(absl::string_view bytes, size_t from) {
  std::string magic;
  Put(kBlockMagic, &magic);
  size_t at = bytes.find(magic, from);
  while (at != absl::string_view::npos && !ParseBlockHeader(bytes.substr(at)).ok()) at = bytes.find(magic, at + 1);
  return at;
}

absl::Status CheckBody(const BlockHeader& header, absl::string_view body) {
  if (body.size() == header.body_bytes() && Checksum(body) == header.checksum) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the block of record ", header.first_number,
                   body.size() == header.body_bytes() ? " does not match its checksum" : " is cut short"));
}

ChainLink LinkOf(const ChainLink& before, absl::string_view header, absl::string_view body) {
  return NextLink(before, {header.substr(0, kLinkedBytes), body});
}

std::string Compress(absl::string_view raw) {
  // One context a thread: it is half a megabyte.
  thread_local const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context = NewCompressor();
  std::string packed(ZSTD_compressBound(raw.size()), '\0');
  const size_t size = ZSTD_compress2(context.get(), packed.data(), packed.size(), raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) abort();  // only for want of memory: the buffer is as large as it can need
  packed.resize(size);
  return packed;
}

absl::Status Uncompress(absl::string_view payload, size_t raw_bytes, std::string* raw) {
  thread_local const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  // Compress always writes the size; what says another is not worth the memory.
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != raw_bytes) {
    return absl::DataLossError(absl::StrCat("wanted a block of ", raw_bytes, " bytes, got another"));
  }
  raw->resize(raw_bytes);
  const size_t size = ZSTD_decompressDCtx(context.get(), raw->data(), raw->size(), payload.data(), payload.size());
  if (ZSTD_isError(size) != 0 || size != raw_bytes) {
    return absl::DataLossError(absl::StrCat("wanted a block of ", raw_bytes, " bytes, got ",
                                            ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : absl::StrCat(size)));
  }
  return absl::OkStatus();
}

std::string FormatIndex(const std::vector<IndexEntry>& entries) {
  std::string raw;
  raw.reserve(entries.size() * kIndexEntryBytes);
  for (const IndexEntry& entry : entries) {
    Put(entry.offset, &raw);
    Put(static_cast<uint16_t>(entry.header.kind), &raw);
    Put(entry.header.verdicts, &raw);
    Put(entry.header.records, &raw);
    Put(entry.header.first_number, &raw);
    Put(entry.header.from_ns, &raw);
    Put(entry.header.until_ns, &raw);
    Put(entry.header.reasons, &raw);
    Put(entry.header.filter_bytes, &raw);
    Put(entry.header.payload_bytes, &raw);
  }
  return raw;
}

absl::StatusOr<std::vector<IndexEntry>> ParseIndex(absl::string_view raw) {
  if (raw.size() % kIndexEntryBytes != 0) return absl::DataLossError("the index of the segment is cut short");
  std::vector<IndexEntry> entries(raw.size() / kIndexEntryBytes);
  for (IndexEntry& entry : entries) {
    entry.offset = Take<uint64_t>(&raw);
    entry.header.kind = static_cast<BlockKind>(Take<uint16_t>(&raw));
    entry.header.verdicts = Take<uint16_t>(&raw);
    entry.header.records = Take<uint32_t>(&raw);
    entry.header.first_number = Take<int64_t>(&raw);
    entry.header.from_ns = Take<int64_t>(&raw);
    entry.header.until_ns = Take<int64_t>(&raw);
    entry.header.reasons = Take<uint64_t>(&raw);
    entry.header.filter_bytes = Take<uint32_t>(&raw);
    entry.header.payload_bytes = Take<uint32_t>(&raw);
  }
  return entries;
}

std::string FormatTrailer(uint64_t index_offset) {
  std::string bytes(kTrailerMagic);
  Put(index_offset, &bytes);
  Put(Checksum(bytes), &bytes);
  return bytes;
}

absl::StatusOr<uint64_t> ParseTrailer(absl::string_view bytes) {
  if (bytes.size() != kTrailerBytes || bytes.substr(0, kTrailerMagic.size()) != kTrailerMagic) {
    return absl::DataLossError("the segment was not closed");
  }
  absl::string_view rest = bytes.substr(kTrailerMagic.size());
  const auto offset = Take<uint64_t>(&rest);
  if (Take<uint64_t>(&rest) != Checksum(bytes.substr(0, kTrailerBytes - sizeof(uint64_t)))) {
    return absl::DataLossError("the trailer of the segment does not match its checksum");
  }
  return offset;
}

}  // namespace sluice
