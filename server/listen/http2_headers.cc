#include "server/listen/http2_headers.h"

#include <nghttp2/nghttp2.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "enforcement/trace_context.h"

namespace sluice::http2 {
namespace {

// RFC 7541, 6.1: an index below 127 in one byte. Such a representation reads the table and leaves it as it is.
bool IsOfShortIndexes(absl::string_view block) {
  for (const char c : block) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80 || byte == 0xff) return false;
  }
  return !block.empty();
}

bool IsName(absl::string_view name) {
  for (const char c : name) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == ':' || (c >= 'A' && c <= 'Z')) return false;
  }
  return !name.empty();
}

// RFC 9113, 8.2.1: no NUL, no line end, no blank at either end; and no other control, as in HTTP/1.1.
bool IsValue(absl::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  return value.empty() || !(blank(value.front()) || blank(value.back()));
}

bool IsPath(absl::string_view path) {
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#') return false;
  }
  return absl::StartsWith(path, "/") || path == "*";
}

void Assign(absl::string_view value, std::string* text) { text->assign(value.data(), value.size()); }

}  // namespace

void FieldList::Clear() {
  text_.clear();
  ends_.clear();
}

void FieldList::Add(absl::string_view name, absl::string_view value) {
  text_.append(name.data(), name.size());
  const auto name_end = static_cast<uint32_t>(text_.size());
  text_.append(value.data(), value.size());
  ends_.push_back({name_end, static_cast<uint32_t>(text_.size())});
}

void FieldList::AppendTo(std::vector<HttpHeader>* headers) const {
  const absl::string_view text = text_;
  size_t at = 0;
  for (const Ends& ends : ends_) {
    headers->push_back({text.substr(at, ends.name - at), text.substr(ends.name, ends.value - ends.name)});
    at = ends.value;
  }
}

void RequestHead::Clear() {
  method.clear();
  path.clear();
  authority.clear();
  fields.Clear();
  has_scheme = has_pseudo = is_grpc = is_compressed = malformed = too_large = false;
  grpc_timeout.clear();
  trace_parent.clear();
  content_length = -1;
}

HeaderReader::HeaderReader(size_t bytes_max, size_t fields_max) : bytes_max_(bytes_max), fields_max_(fields_max) {
  // Fails only where memory does, and then every Read does.
  if (nghttp2_hd_inflate_new(&inflater_) != 0) inflater_ = nullptr;
}

HeaderReader::~HeaderReader() {
  if (inflater_ != nullptr) nghttp2_hd_inflate_del(inflater_);
}

const RequestHead* HeaderReader::Read(absl::string_view block) {
  if (!repeated_.empty() && block == repeated_) return &head_;
  if (inflater_ == nullptr) return nullptr;
  ++generation_;
  repeated_.clear();
  head_.Clear();
  bytes_ = 0;
  regular_seen_ = false;
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    const auto taken = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, /*in_final=*/1);
    if (taken < 0) return nullptr;
    in += taken;
    left -= static_cast<size_t>(taken);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      OnField(absl::string_view(reinterpret_cast<const char*>(field.name), field.namelen),
              absl::string_view(reinterpret_cast<const char*>(field.value), field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) return nullptr;  // cut within a field
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  if (IsOfShortIndexes(block)) repeated_.assign(block.data(), block.size());
  held_bytes_ = head_.bytes() + repeated_.capacity();
  return &head_;
}

void HeaderReader::Rest() {
  std::string().swap(repeated_);
  std::exchange(head_, RequestHead());  // an assignment alone would keep the memory
  held_bytes_ = 0;
}

void HeaderReader::OnField(absl::string_view name, absl::string_view value) {
  // As SETTINGS_MAX_HEADER_LIST_SIZE counts.
  bytes_ += name.size() + value.size() + 32;
  if (bytes_ > bytes_max_ || head_.fields.size() >= fields_max_) head_.too_large = true;
  if (head_.too_large) {
    // Whether a caller spoke gRPC decides how it is told.
    if (name == "content-type") head_.is_grpc |= absl::StartsWith(value, "application/grpc");
    return;
  }
  if (absl::StartsWith(name, ":")) {
    OnPseudo(name, value);
    return;
  }
  regular_seen_ = true;
  if (!IsName(name) || !IsValue(value)) head_.malformed = true;
  head_.fields.Add(name, value);
  switch (name.size()) {
    case 2:
      if (name == "te" && value != "trailers") head_.malformed = true;
      break;
    case 7:
      if (name == "upgrade") head_.malformed = true;
      break;
    case 10:
      if (name == "connection" || name == "keep-alive") head_.malformed = true;
      break;
    case 11:
      if (name == "traceparent") Assign(ParseTraceParent(value), &head_.trace_parent);
      break;
    case 12:
      if (name == "content-type") {
        absl::string_view rest = value;
        head_.is_grpc = absl::ConsumePrefix(&rest, "application/grpc") &&
                        (rest.empty() || rest.front() == '+' || rest.front() == ';');
      } else if (name == "grpc-timeout") {
        Assign(value, &head_.grpc_timeout);
      }
      break;
    case 13:
      if (name == "grpc-encoding" && value != "identity") head_.is_compressed = true;
      break;
    case 14: {
      int64_t length;
      if (name != "content-length") break;
      if (head_.content_length >= 0 || value.empty() || value.size() > 15 ||
          value.find_first_not_of("0123456789") != absl::string_view::npos || !absl::SimpleAtoi(value, &length)) {
        head_.malformed = true;
      } else {
        head_.content_length = length;
      }
      break;
    }
    case 16:
      if (name == "proxy-connection") head_.malformed = true;
      break;
    case 17:
      if (name == "transfer-encoding") head_.malformed = true;
      break;
    default:
      break;
  }
}

void HeaderReader::OnPseudo(absl::string_view name, absl::string_view value) {
  head_.has_pseudo = true;
  if (regular_seen_ || !IsValue(value)) head_.malformed = true;
  std::string* text = nullptr;
  if (name == ":method") {
    text = &head_.method;
  } else if (name == ":path") {
    text = &head_.path;
    if (!IsPath(value)) head_.malformed = true;
  } else if (name == ":authority") {
    text = &head_.authority;
  } else if (name == ":scheme" && !head_.has_scheme) {
    head_.has_scheme = true;
    return;
  } else {
    head_.malformed = true;
    return;
  }
  if (!text->empty()) head_.malformed = true;  // twice
  Assign(value, text);
}

}  // namespace sluice::http2
