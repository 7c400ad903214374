// Header blocks of HTTP/2: nghttp2's HPACK inflater, and what RFC 9113, 8.2 and 8.3 say of a well-formed request.
#ifndef SLUICE_SERVER_LISTEN_HTTP2_HEADERS_H_
#define SLUICE_SERVER_LISTEN_HTTP2_HEADERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/listen/http_message.h"

struct nghttp2_hd_inflater;

namespace sluice::http2 {

// Header fields in memory of their own, that is used again.
class FieldList {
 public:
  void Clear();
  void Add(absl::string_view name, absl::string_view value);
  // Views, good until the next Add or Clear. Appends to `*headers`.
  void AppendTo(std::vector<HttpHeader>* headers) const;
  size_t size() const { return ends_.size(); }
  size_t bytes() const { return text_.capacity() + ends_.capacity() * sizeof(Ends); }

 private:
  struct Ends {
    uint32_t name, value;  // in text_
  };
  std::string text_;
  std::vector<Ends> ends_;
};

// One request's header block, or its trailers.
struct RequestHead {
  std::string method, path, authority;
  FieldList fields;  // all but the pseudo-header fields
  bool has_scheme = false;
  bool has_pseudo = false;  // any of them: trailers may have none
  // What Sluice itself asks for.
  bool is_grpc = false;        // content-type: application/grpc, perhaps with "+proto" or ";..." after it
  bool is_compressed = false;  // grpc-encoding other than identity
  std::string grpc_timeout;    // as received; empty = none
  std::string trace_parent;
  int64_t content_length = -1;
  // A stream error: upper case, unknown or repeated pseudo-header fields, fields of a connection, and so on.
  bool malformed = false;
  // Past the bounds on bytes or fields: what is above is not whole.
  bool too_large = false;

  // Whether what a request must have is there.
  bool IsRequest() const { return !malformed && has_scheme && !method.empty() && !path.empty(); }
  void Clear();
  // Of memory, its own included.
  size_t bytes() const {
    return sizeof *this + method.capacity() + path.capacity() + authority.capacity() + fields.bytes() +
           grpc_timeout.capacity() + trace_parent.capacity();
  }
};

class HeaderReader {
 public:
  HeaderReader(size_t bytes_max, size_t fields_max);
  ~HeaderReader();
  HeaderReader(const HeaderReader&) = delete;
  HeaderReader& operator=(const HeaderReader&) = delete;

  // Reads a whole block. Null where it is no HPACK: then nothing more of this connection can be read. The result is
  // good until the next call. A block that consists of references into the table alone, and is the same as the one
  // before, is not read again: that is what a caller sends who repeats a request.
  const RequestHead* Read(absl::string_view block);
  // Changes whenever Read has read anew: what was derived from a head of the same generation still holds.
  uint64_t generation() const { return generation_; }

  // Memory that is kept for the next blocks, or because the last may be repeated; without HPACK's table.
  size_t held_bytes() const { return held_bytes_; }
  // Gives it back. What Read returned is gone, and what is repeated is read anew.
  void Rest();

 private:
  void OnField(absl::string_view name, absl::string_view value);
  void OnPseudo(absl::string_view name, absl::string_view value);

  const size_t bytes_max_;
  const size_t fields_max_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  RequestHead head_;
  size_t bytes_ = 0;
  bool regular_seen_ = false;
  std::string repeated_;  // the last block, where it may be repeated; else empty
  uint64_t generation_ = 0;
  size_t held_bytes_ = 0;  // counted where it changes: it is asked for after every read of a socket
};

}  // namespace sluice::http2

#endif  // SLUICE_SERVER_LISTEN_HTTP2_HEADERS_H_
