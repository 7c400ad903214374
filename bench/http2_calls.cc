// The header blocks of http2_caller.h, both ways.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/http2_caller.h"

namespace sluice::bench {
namespace {

using http2::FrameType;

// RFC 7541.
constexpr char kIndexed = '\x80';
constexpr char kLiteralKept = '\x40';
constexpr int kStaticEntries = 61;
constexpr char kMethodPost = kIndexed | 3;
constexpr char kSchemeHttp = kIndexed | 6;

void AppendText(absl::string_view text, std::string* block) {
  block->push_back(static_cast<char>(text.size()));  // below 127
  absl::StrAppend(block, text);
}

std::string HeadersFrame(absl::string_view block) {
  std::string frame;
  http2::AppendFrameHeader(static_cast<uint32_t>(block.size()), FrameType::kHeaders, http2::kEndHeaders, 0, &frame);
  return absl::StrCat(frame, block);
}

// References alone, each in one byte: reading them leaves the table as it is.
bool IsOfReferences(absl::string_view block) {
  return std::all_of(block.begin(), block.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte >= 0x80 && byte != 0xff;
  });
}

}  // namespace

Http2Calls::Http2Calls(absl::string_view path, absl::string_view timeout, const std::vector<std::string>& messages,
                       AnswerCheck check, ShedCheck shed)
    : check_(std::move(check)), shed_(std::move(shed)) {
  // What grpc 1.51 for C++ sends.
  const std::pair<absl::string_view, absl::string_view> fields[] = {
      {":path", path},
      {":authority", "localhost"},
      {"te", "trailers"},
      {"content-type", "application/grpc"},
      {"user-agent", "grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"},
      {"grpc-accept-encoding", "identity, deflate, gzip"}};
  std::string first = {kSchemeHttp, kMethodPost}, later = first;
  int index = kStaticEntries + static_cast<int>(std::size(fields));  // the first to go in is the oldest entry
  for (const auto& [name, value] : fields) {
    first.push_back(kLiteralKept);
    AppendText(name, &first);
    AppendText(value, &first);
    later.push_back(static_cast<char>(kIndexed | index--));
  }
  if (!timeout.empty()) {
    std::string literal(1, '\0');
    AppendText("grpc-timeout", &literal);
    AppendText(timeout, &literal);
    first += literal;
    later += literal;
  }
  first_headers_ = HeadersFrame(first);
  const std::string headers = HeadersFrame(later);
  headers_bytes_ = headers.size();
  for (const std::string& message : messages) {
    Prepared call;
    std::string data(5, '\0');
    http2::WriteUint32(static_cast<uint32_t>(message.size()), &data[1]);
    data += message;
    call.frames = headers;
    call.streams_at = {5};
    call.data_bytes = data.size();
    for (size_t at = 0; at < data.size(); at += http2::kFrameBytesMax) {
      const size_t piece = std::min<size_t>(http2::kFrameBytesMax, data.size() - at);
      call.streams_at.push_back(static_cast<uint32_t>(call.frames.size()) + 5);
      http2::AppendFrameHeader(static_cast<uint32_t>(piece), FrameType::kData,
                               at + piece == data.size() ? http2::kEndStream : 0, 0, &call.frames);
      call.frames.append(data, at, piece);
    }
    calls_.push_back(std::move(call));
  }
}

void Http2Calls::Append(size_t call, uint32_t id, bool first, std::string* out) const {
  const Prepared& prepared = calls_[call % calls_.size()];
  size_t began = out->size();
  if (first) {
    out->append(first_headers_);
    http2::WriteUint32(id, &(*out)[began + 5]);
    began = out->size() - headers_bytes_;  // where the frames would begin
    out->append(prepared.frames, headers_bytes_, std::string::npos);
  } else {
    out->append(prepared.frames);
  }
  for (size_t i = first ? 1 : 0; i < prepared.streams_at.size(); ++i) {
    http2::WriteUint32(id, &(*out)[began + prepared.streams_at[i]]);
  }
}

AnswerHeaders::AnswerHeaders() {
  if (nghttp2_hd_inflate_new(&inflater_) != 0) inflater_ = nullptr;
}

AnswerHeaders::~AnswerHeaders() {
  if (inflater_ != nullptr) nghttp2_hd_inflate_del(inflater_);
}

const AnswerHeaders::Said* AnswerHeaders::Read(absl::string_view block) {
  for (const Known& known : known_) {
    if (known.block == block) return &known.said;
  }
  const bool keep = IsOfReferences(block);
  if (!keep) known_.clear();
  if (inflater_ == nullptr) return nullptr;
  said_ = {};
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  for (int flags = 0; (flags & NGHTTP2_HD_INFLATE_FINAL) == 0;) {
    nghttp2_nv field;
    const auto taken = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, /*in_final=*/1);
    if (taken < 0) return nullptr;
    in += taken;
    left -= static_cast<size_t>(taken);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0) {
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0 && left == 0) return nullptr;  // cut within a field
      continue;
    }
    const absl::string_view name(reinterpret_cast<const char*>(field.name), field.namelen);
    std::string value(reinterpret_cast<const char*>(field.value), field.valuelen);
    if (name == ":status")
      said_.http_status = std::move(value);
    else if (name == "grpc-status")
      said_.grpc_status = std::move(value);
    else if (name == "grpc-message")
      said_.grpc_message = std::move(value);
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  if (!keep) return &said_;
  known_.push_back({std::string(block), said_});
  return &known_.back().said;
}

}  // namespace sluice::bench
