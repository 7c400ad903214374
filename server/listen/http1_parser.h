// The head of an HTTP/1.1 request (RFC 9112), read strictly: what two parsers could read in two ways is refused.
#ifndef SLUICE_SERVER_LISTEN_HTTP1_PARSER_H_
#define SLUICE_SERVER_LISTEN_HTTP1_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/listen/http_message.h"

namespace sluice {

// Views into the bytes that were parsed.
struct Http1Head {
  absl::string_view method;
  absl::string_view target;  // path and query, also where the request had the absolute form
  absl::string_view host;    // of the absolute form, else of the Host header
  std::vector<HttpHeader> headers;
  int64_t content_length = -1;  // -1 = not said
  bool chunked = false;
  bool keep_alive = true;
  bool is_1_1 = true;
  bool expects_continue = false;
};

// A status of HTTP and what is wrong, in a few words that may be sent. 0 = nothing is.
struct Http1Fault {
  int status = 0;
  absl::string_view what;
  bool ok() const { return status == 0; }
};

// Where the head that begins at `bytes` ends, its empty line included; 0 = not there yet, and `*scanned` says how far
// it was looked for, to go on from there. A line that ends in a bare LF is a fault at once.
Http1Fault FindHeadEnd(absl::string_view bytes, size_t* scanned, size_t* end);

// Reads a head that FindHeadEnd has found. Writes names in lower case over those in `bytes`. `*head` is overwritten
// whole. 400 for what is malformed or ambiguous, 431 for too many fields, 417, 501 and 505 for what is not spoken here.
// No allocation once `head->headers` has grown.
Http1Fault ParseHead(absl::Span<char> bytes, size_t fields_max, Http1Head* head);

// Whether `line` is a field of a trailer section, as well formed as one of a head.
bool IsField(absl::string_view line);

// The body of a chunked request. Strict on sizes and line ends; extensions and trailers are checked and dropped.
class ChunkedReader {
 public:
  explicit ChunkedReader(size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

  // Takes from the front of `bytes` and returns how much; appends what is of the body to `*body`. Zero = wants more
  // than there is. Look at done() and fault() after each call.
  size_t Read(absl::string_view bytes, std::string* body);

  bool done() const { return state_ == State::kDone; }
  const Http1Fault& fault() const { return fault_; }

 private:
  enum class State : uint8_t { kSize, kData, kDataEnd, kTrailer, kDone };
  size_t ReadLine(absl::string_view bytes, absl::string_view* line);
  void OnSizeLine(absl::string_view line, size_t body_size);

  static constexpr size_t kLineBytesMax = 4096;
  static constexpr int kTrailersMax = 32;

  const size_t body_bytes_max_;
  State state_ = State::kSize;
  size_t left_ = 0;  // of the chunk
  int trailers_ = 0;
  Http1Fault fault_;
};

// The name of a status: "Not Found"; "Status" of one without a name.
absl::string_view StatusPhrase(int status);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_HTTP1_PARSER_H_
