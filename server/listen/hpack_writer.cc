#include "server/listen/hpack_writer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice::http2 {
namespace {

constexpr absl::string_view kContentType = "application/grpc";
constexpr uint8_t kIndexed = 0x80;
constexpr uint8_t kLiteralKept = 0x40;  // literal, goes into the table
constexpr uint8_t kTableSize = 0x20;
constexpr uint32_t kStaticEntries = 61;
constexpr uint32_t kStaticStatus = 8;  // :status 200
constexpr uint32_t kStaticContentType = 31;

void AppendNumber(uint64_t value, int prefix_bits, uint8_t first, std::string* out) {
  const uint64_t limit = (uint64_t{1} << prefix_bits) - 1;
  if (value < limit) {
    out->push_back(static_cast<char>(first | value));
    return;
  }
  out->push_back(static_cast<char>(first | limit));
  for (value -= limit; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(0x80 | (value & 0x7f)));
  out->push_back(static_cast<char>(value));
}

void AppendText(absl::string_view text, std::string* out) {
  AppendNumber(text.size(), 7, 0, out);
  out->append(text.data(), text.size());
}

}  // namespace

void HpackWriter::SetTableSize(uint32_t bytes) { wanted_bytes_ = std::min(wanted_bytes_, bytes); }

void HpackWriter::Begin(std::string* out) {
  if (wanted_bytes_ >= table_bytes_) return;
  table_bytes_ = wanted_bytes_;
  if (wanted_bytes_ < kOurFieldsBytes && uses_table_) {
    // Too small for both: done without, and every entry goes.
    uses_table_ = has_content_type_ = has_grpc_ok_ = false;
    table_bytes_ = wanted_bytes_ = 0;
  }
  AppendNumber(table_bytes_, 5, kTableSize, out);
}

void HpackWriter::AppendStatus(int status, std::string* out) {
  constexpr int kStatuses[] = {200, 204, 206, 304, 400, 404, 500};
  for (uint32_t i = 0; i < std::size(kStatuses); ++i) {
    if (kStatuses[i] == status) {
      out->push_back(static_cast<char>(kIndexed | (kStaticStatus + i)));
      return;
    }
  }
  out->push_back(kStaticStatus);  // a literal of that name
  AppendText(absl::StrCat(status), out);
}

void HpackWriter::AppendField(absl::string_view name, absl::string_view value, std::string* out) {
  out->push_back(0);
  AppendText(name, out);
  AppendText(value, out);
}

void HpackWriter::AppendGrpcContentType(std::string* out) {
  if (has_content_type_) {
    out->push_back(static_cast<char>(kIndexed | (kStaticEntries + 1 + (has_grpc_ok_ ? 1 : 0))));
  } else if (uses_table_) {
    has_content_type_ = true;
    out->push_back(static_cast<char>(kLiteralKept | kStaticContentType));
    AppendText(kContentType, out);
  } else {
    AppendField("content-type", kContentType, out);
  }
}

void HpackWriter::AppendGrpcOk(std::string* out) {
  if (has_grpc_ok_) {
    out->push_back(static_cast<char>(kIndexed | (kStaticEntries + 1)));
  } else if (uses_table_ && has_content_type_) {  // in this order: where each stands follows from it
    has_grpc_ok_ = true;
    out->push_back(kLiteralKept);
    AppendText("grpc-status", out);
    AppendText("0", out);
  } else {
    AppendField("grpc-status", "0", out);
  }
}

}  // namespace sluice::http2
