// Plain HTTP requests on HTTP/2: the same handlers as over HTTP/1.1.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/listen/http2_session.h"
#include "server/listen/http_date.h"

namespace sluice::http2 {
namespace {

// Fields of a connection, which HTTP/2 has none of, and those that are set here.
bool IsOurs(absl::string_view name) {
  for (const absl::string_view ours :
       {"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection", "content-length", "date"}) {
    if (name == ours) return true;
  }
  return false;
}

// A door may put what a caller sent into a header: control characters, and blanks at its ends, are not for HTTP/2.
std::string FieldValue(absl::string_view value) {
  std::string clean(absl::StripAsciiWhitespace(value));
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f; },
      ' ');
  return clean;
}

}  // namespace

void Http2Session::OnHttpRequest(Stream* stream, bool end_stream, const RequestHead& head) {
  stream->http = router_->FindHttp(head.path);
  if (stream->http == nullptr) {
    return RefuseHttp(stream, router_->FindGrpc(head.path) != nullptr ? 415 : 404);
  }
  if (head.content_length > static_cast<int64_t>(limits_->body_bytes_max)) return RefuseHttp(stream, 413);
  if (end_stream) return AnswerHttp(stream, head, {});
  if (!Covers(head.bytes())) return RefuseForRoom(stream);
  stream->head = std::make_unique<RequestHead>(head);
  Recount(stream);
}

void Http2Session::OnHttpBody(Stream* stream, absl::string_view data, bool end_stream) {
  if (stream->head == nullptr) return;  // answered already, and not all of the answer was taken
  if (stream->body.size() + data.size() > limits_->body_bytes_max) return RefuseHttp(stream, 413);
  if (end_stream && stream->body.empty()) return AnswerHttp(stream, *stream->head, data);
  if (!Buffer(stream, data)) return;
  if (end_stream && stream->body.size() > kAtOnceMax) return AwaitTurn(stream);
  if (end_stream) return AnswerHttp(stream, *stream->head, stream->body);
  ReplenishStream(stream);
}

void Http2Session::AnswerHttp(Stream* stream, const RequestHead& head, absl::string_view body) {
  headers_.clear();
  head.fields.AppendTo(&headers_);
  HttpRequest request = {head.method, head.path, head.authority, headers_, body};
  if (request.host.empty()) request.host = request.Header("host");
  response_.Clear();
  stream->http->Answer(request, &response_);
  SendHttpResponse(stream, /*with_body=*/head.method != "HEAD");
}

void Http2Session::RefuseHttp(Stream* stream, int status) {
  if (status == 413) Count(WireError::kTooLarge);
  response_.Clear();
  response_.status = status;
  SendHttpResponse(stream, /*with_body=*/false);
}

void Http2Session::SendHttpResponse(Stream* stream, bool with_body) {
  const bool bodiless = response_.status < 200 || response_.status == 204 || response_.status == 304;
  with_body = with_body && !bodiless && !response_.body.empty();
  const size_t began = BeginBlock();
  hpack_.AppendStatus(response_.status, &out_);
  hpack_.AppendField("date", HttpDateNow(), &out_);
  if (!bodiless) hpack_.AppendField("content-length", absl::StrCat(response_.body.size()), &out_);
  for (const auto& [name, value] : response_.headers) {
    const std::string lower = absl::AsciiStrToLower(name);
    if (!IsOurs(lower)) hpack_.AppendField(lower, FieldValue(value), &out_);
  }
  EndBlock(began, stream->id, /*end_stream=*/!with_body);
  stream->headers_sent = true;
  stream->head.reset();
  Recount(stream);
  if (!with_body) return CloseAnswered(stream);
  stream->ending = stream->ends_bare = true;
  SendData(stream, response_.body);
}

}  // namespace sluice::http2
