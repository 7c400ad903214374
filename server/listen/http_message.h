// An HTTP exchange as plain values: what the data-path listener hands to a door, and what a door gives back. No wire,
// no sockets: a door is tested with nothing but these.
#ifndef SLUICE_SERVER_LISTEN_HTTP_MESSAGE_H_
#define SLUICE_SERVER_LISTEN_HTTP_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "enforcement/trace_context.h"

namespace sluice {

struct HttpHeader {
  absl::string_view name;  // in lower case
  absl::string_view value;
};

// One request. Views into the listener's memory, good until the handler returns.
struct HttpRequest {
  absl::string_view method;
  absl::string_view target;  // as received: path and query, percent-encoded
  absl::string_view host;    // of the Host header, or :authority
  absl::Span<const HttpHeader> headers;
  absl::string_view body;  // whole; bounded by the listener

  // The value of the first header of that name, which is given in lower case; empty where there is none.
  absl::string_view Header(absl::string_view name) const {
    for (const HttpHeader& header : headers) {
      if (header.name == name) return header.value;
    }
    return {};
  }
  // As ParseTraceParent gives it: empty where there is none.
  absl::string_view trace_parent() const { return ParseTraceParent(Header("traceparent")); }
};

// Fields of a response. Names are of static storage: there are a dozen to an answer, and none is a caller's.
using ResponseFields = std::vector<std::pair<absl::string_view, std::string>>;

// One response. Kept by the listener from call to call for its memory; Clear before it is filled.
struct HttpResponse {
  int status = 200;
  ResponseFields headers;  // without Content-Length, Date and Connection
  std::string body;

  void Clear() {
    status = 200;
    headers.clear();
    body.clear();
  }
};

// Answers the requests of one path. Called on the threads of the listener, several at once; must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // `*response` is clear. Every request gets an answer: what cannot be mapped is a status of its own, never an allow.
  virtual void Answer(const HttpRequest& request, HttpResponse* response) = 0;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_HTTP_MESSAGE_H_
