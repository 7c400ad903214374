#include "server/listen/http1_session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/listen/http_date.h"

namespace sluice {
namespace {

constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
const Http1Fault kNoRoom = {503, "the node holds as much of unfinished requests as it may"};

// RFC 9110: no body, and no length of one.
bool IsBodiless(int status) { return status < 200 || status == 204 || status == 304; }

// What is counted of a refusal.
WireError ErrorOf(int status, bool answered) {
  switch (status) {
    case 400:
    case 505:
      return answered ? WireError::kHeaders : WireError::kPreface;
    case 408:
      return WireError::kSlow;
    case 413:
      return WireError::kTooLarge;
    case 503:
      return WireError::kNoRoom;
    default:
      return WireError::kHeaders;
  }
}

// A door may put what a caller sent into a header: a line end in it would begin another one.
void AppendValue(absl::string_view value, std::string* out) {
  const size_t from = out->size();
  out->append(value.data(), value.size());
  std::replace_if(
      out->begin() + static_cast<std::ptrdiff_t>(from), out->end(),
      [](char c) { return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
}

}  // namespace

size_t Http1Session::Receive(absl::Span<char> bytes, MonotonicTime now) {
  size_t at = 0;
  while (!finished_ && at < bytes.size()) {
    if (!under_way_) {
      under_way_ = true;
      since_ = now;
    }
    const absl::Span<char> rest = bytes.subspan(at);
    const absl::string_view text(rest.data(), rest.size());
    const size_t taken = state_ == State::kHead   ? TakeHead(rest)
                         : state_ == State::kBody ? TakeBody(text)
                                                  : TakeChunks(text);
    if (taken == 0) break;
    at += taken;
  }
  if (!under_way_) since_ = now;
  // After a fault the rest means nothing.
  return finished_ ? bytes.size() : at;
}

size_t Http1Session::TakeHead(absl::Span<char> bytes) {
  const absl::string_view text(bytes.data(), bytes.size());
  // RFC 9112, 2.2: an empty line before a request, of a client that ended its last body with one, is skipped.
  if (text.substr(0, 2) == "\r\n") {
    scanned_ = 0;
    if (++empty_lines_ > 1) {
      Refuse({400, "request line"});
      return 0;
    }
    under_way_ = false;
    return 2;
  }
  size_t end = 0;
  Http1Fault fault = FindHeadEnd(text.substr(0, limits_->header_bytes_max), &scanned_, &end);
  if (fault.ok() && end == 0 && text.size() > limits_->header_bytes_max) fault = {431, "head"};
  if (!fault.ok()) {
    Refuse(fault);
    return 0;
  }
  if (end == 0) return 0;
  scanned_ = 0;
  empty_lines_ = 0;
  fault = ParseHead(bytes.subspan(0, end), limits_->header_fields_max, &head_);
  const auto length = static_cast<uint64_t>(std::max<int64_t>(head_.content_length, 0));
  if (fault.ok() && length > limits_->body_bytes_max) fault = {413, "body"};
  if (!fault.ok()) {
    Refuse(fault);
    return 0;
  }
  if (!head_.chunked && text.size() - end >= length) {  // whole: answered where it lies
    Answer(text.substr(end, length));
    return end + length;
  }
  AwaitBody(bytes.subspan(0, end), text.size() > end);
  return end;
}

void Http1Session::AwaitBody(absl::Span<const char> head, bool begun) {
  head_bytes_.assign(head.data(), head.size());
  // Read again where it is kept: cheaper than to move every view, and the names are in lower case already.
  ParseHead(absl::MakeSpan(head_bytes_), limits_->header_fields_max, &head_);
  body_.clear();
  state_ = head_.chunked ? State::kChunks : State::kBody;
  if (head_.chunked) chunks_.emplace(limits_->body_bytes_max);
  if (head_.expects_continue && !begun) absl::StrAppend(&out_, kContinue);
}

size_t Http1Session::TakeBody(absl::string_view bytes) {
  const absl::string_view piece = bytes.substr(0, static_cast<size_t>(head_.content_length) - body_.size());
  if (!MayGrow(body_, piece.size())) {
    Refuse(kNoRoom);
    return 0;
  }
  body_.append(piece.data(), piece.size());
  if (body_.size() == static_cast<size_t>(head_.content_length)) Answer(body_);
  return piece.size();
}

size_t Http1Session::TakeChunks(absl::string_view bytes) {
  if (!MayGrow(body_, bytes.size())) {
    Refuse(kNoRoom);
    return 0;
  }
  const size_t taken = chunks_->Read(bytes, &body_);
  if (!chunks_->fault().ok()) {
    Refuse(chunks_->fault());
    return 0;
  }
  if (chunks_->done()) Answer(body_);
  return taken;
}

void Http1Session::Answer(absl::string_view body) {
  answered_ = true;
  response_.Clear();
  if (HttpHandler* const handler = router_->FindHttp(head_.target); handler != nullptr) {
    handler->Answer({head_.method, head_.target, head_.host, head_.headers, body}, &response_);
  } else {
    response_.status = 404;
    response_.headers.emplace_back("content-type", "text/plain; charset=utf-8");
    absl::StrAppend(&response_.body, "nothing is served at this path\n");
  }
  const bool keep_alive = head_.keep_alive && !draining_;
  AppendResponse(response_, keep_alive);
  if (!keep_alive) finished_ = true;
  state_ = State::kHead;
  under_way_ = false;
  // A giant keeps nothing for the small ones that follow.
  if (body_.capacity() > (size_t{64} << 10)) std::string().swap(body_);
}

void Http1Session::AppendResponse(const HttpResponse& response, bool keep_alive) {
  absl::StrAppend(&out_, "HTTP/1.1 ", response.status, " ", StatusPhrase(response.status), "\r\nDate: ", HttpDateNow());
  if (!IsBodiless(response.status)) absl::StrAppend(&out_, "\r\nContent-Length: ", response.body.size());
  if (!keep_alive) {
    absl::StrAppend(&out_, "\r\nConnection: close");
  } else if (!head_.is_1_1) {
    absl::StrAppend(&out_, "\r\nConnection: keep-alive");
  }
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&out_, "\r\n", name, ": ");
    AppendValue(value, &out_);
  }
  absl::StrAppend(&out_, "\r\n\r\n");
  if (head_.method != "HEAD" && !IsBodiless(response.status)) absl::StrAppend(&out_, response.body);
}

void Http1Session::Refuse(const Http1Fault& fault) {
  Count(ErrorOf(fault.status, answered_));
  head_.method = {};
  head_.is_1_1 = true;
  response_.Clear();
  response_.status = fault.status;
  response_.headers.emplace_back("content-type", "text/plain; charset=utf-8");
  absl::StrAppend(&response_.body, StatusPhrase(fault.status), ": ", fault.what, "\n");
  AppendResponse(response_, /*keep_alive=*/false);
  finished_ = true;
}

void Http1Session::Tick(MonotonicTime now) {
  if (finished_) return;
  if (under_way_) {
    if (Between(since_, now) > limits_->request_max) Refuse({408, "the request did not come to its end"});
  } else if (Between(since_, now) > limits_->idle_max) {
    finished_ = true;
  }
}

void Http1Session::Rest() {
  if (under_way_) return;
  std::string().swap(head_bytes_);
  std::string().swap(body_);
  std::string().swap(response_.body);
}

void Http1Session::Drain(MonotonicTime now) {
  draining_ = true;
  if (!under_way_) finished_ = true;
}

}  // namespace sluice
