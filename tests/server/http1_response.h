// How a blocking caller of a test reads an answer of HTTP/1.1, whatever it reads from.
#ifndef SLUICE_TESTS_SERVER_HTTP1_RESPONSE_H_
#define SLUICE_TESTS_SERVER_HTTP1_RESPONSE_H_

#include <cstddef>
#include <cstdlib>
#include <string>

namespace sluice {

// Until `size` bytes or the end; "" at the end. `receive(into, size)` is as recv(2): how many bytes, 0 or less at the
// end.
template <typename Receive>
std::string ReadUpTo(size_t size, const Receive& receive) {
  std::string bytes(size, '\0');
  size_t at = 0;
  while (at < size) {
    const auto got = receive(bytes.data() + at, size - at);
    if (got <= 0) break;
    at += static_cast<size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

// The head, and the body where its length is told; what came of them at the end.
template <typename Receive>
std::string ReadHttpResponse(const Receive& receive) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const std::string byte = ReadUpTo(1, receive);
    if (byte.empty()) return head;
    head += byte;
  }
  const size_t length = head.find("Content-Length: ");
  if (length == std::string::npos) return head;
  return head + ReadUpTo(strtoul(head.c_str() + length + 16, nullptr, 10), receive);
}

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_HTTP1_RESPONSE_H_
