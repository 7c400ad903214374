// HTTP for machines that watch: /metrics, /healthz, /readyz. GET and HEAD alone; no state, no credentials, no names.
#ifndef SLUICE_SERVER_HTTP_SERVER_H_
#define SLUICE_SERVER_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/listen/address.h"

namespace sluice {

struct HttpReply {
  int status = 200;
  std::string body;
};

class HttpServer {
 public:
  struct Routes {
    std::function<std::string()> metrics;  // the exposition text
    std::function<HttpReply()> readyz;     // 200 or 503, with one line that says why
  };

  // Listens and answers when it returns; /healthz is 200 from then on. What `routes` use must outlive the server; they
  // are called on its thread. FAILED_PRECONDITION names the address and says why it cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const ListenAddress& address, Routes routes);
  ~HttpServer();  // cuts what is open
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Where it listens, with the real port.
  const ListenAddress& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_HTTP_SERVER_H_
