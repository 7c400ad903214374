#include "bench/plain_callers.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::bench {

void Http1Caller::Call(size_t call, uint32_t slot, std::string* out) {
  out->append((*requests_)[call % requests_->size()]);
  slot_ = slot;
  under_way_ = true;
}

size_t Http1Caller::Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) {
  const size_t end = bytes.find("\r\n\r\n");
  if (end == absl::string_view::npos) return 0;
  const absl::string_view head = bytes.substr(0, end + 2);
  // As both servers write it.
  constexpr absl::string_view kLength = "\r\nContent-Length: ";
  const size_t at = head.find(kLength);
  size_t length = 0;
  const absl::string_view digits = at == absl::string_view::npos ? "" : head.substr(at + kLength.size());
  if (!absl::SimpleAtoi(digits.substr(0, digits.find('\r')), &length)) {
    Fail("an answer without Content-Length");
    return 0;
  }
  if (bytes.size() < end + 4 + length) return 0;
  if (!under_way_) Fail("an answer that nobody asked for");
  under_way_ = false;
  const bool right = absl::StartsWith(head, "HTTP/1.1 200 ");
  answers->push_back({slot_, right ? "" : absl::StrCat("wanted status 200, got ", head.substr(0, head.find('\r')))});
  return end + 4 + length;
}

void PingPongCaller::Call(size_t call, uint32_t slot, std::string* out) {
  out->append(request_);
  slot_ = slot;
  under_way_ = true;
}

size_t PingPongCaller::Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) {
  if (bytes.size() < answer_bytes_) return 0;
  under_way_ = false;
  answers->push_back({slot_, bytes.size() == answer_bytes_ ? "" : "more bytes than an answer has"});
  return bytes.size();
}

}  // namespace sluice::bench
