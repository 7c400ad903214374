#include "server/http_server.h"

#include <civetweb.h>

#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace sluice {
namespace {

// Scrapes and probes are few; a slow reader must not keep the others out.
constexpr char kThreads[] = "4";
constexpr char kRequestTimeoutMs[] = "5000";
constexpr char kConnectionsWaiting[] = "64";

absl::string_view Phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

int Send(mg_connection* connection, int status, absl::string_view type, absl::string_view body) {
  const std::string head = absl::StrCat(
      "HTTP/1.1 ", status, " ", Phrase(status), "\r\nContent-Type: ", type, "\r\nContent-Length: ", body.size(),
      "\r\nCache-Control: no-store\r\nConnection: close\r\n", status == 405 ? "Allow: GET, HEAD\r\n" : "", "\r\n");
  mg_write(connection, head.data(), head.size());
  if (absl::string_view(mg_get_request_info(connection)->request_method) != "HEAD") {
    mg_write(connection, body.data(), body.size());
  }
  return status;
}

constexpr absl::string_view kPlain = "text/plain; charset=utf-8";
constexpr absl::string_view kExposition = "text/plain; version=0.0.4; charset=utf-8";

bool MethodFits(mg_connection* connection) {
  const absl::string_view method = mg_get_request_info(connection)->request_method;
  return method == "GET" || method == "HEAD";
}

int ServeMetrics(mg_connection* connection, void* routes) {
  if (!MethodFits(connection)) return Send(connection, 405, kPlain, "GET or HEAD\n");
  return Send(connection, 200, kExposition, static_cast<HttpServer::Routes*>(routes)->metrics());
}

int ServeHealth(mg_connection* connection, void* routes) {
  if (!MethodFits(connection)) return Send(connection, 405, kPlain, "GET or HEAD\n");
  return Send(connection, 200, kPlain, "alive\n");
}

int ServeReady(mg_connection* connection, void* routes) {
  if (!MethodFits(connection)) return Send(connection, 405, kPlain, "GET or HEAD\n");
  const HttpReply answer = static_cast<HttpServer::Routes*>(routes)->readyz();
  return Send(connection, answer.status, kPlain, answer.body);
}

int LogMessage(const mg_connection* connection, const char* message) {
  const auto* logger = static_cast<const Logger*>(mg_get_user_data(mg_get_context(connection)));
  if (logger != nullptr) logger->Debug("http", {{"message", message}});
  return 1;  // said; not to stderr as well
}

}  // namespace

struct HttpServer::Impl {
  Routes routes;
  ListenAddress address;
  mg_context* context = nullptr;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const ListenAddress& address, Routes routes,
                                                              const Logger* logger) {
  static std::once_flag once;
  std::call_once(once, [] { mg_init_library(0); });
  auto impl = std::make_unique<Impl>();
  impl->routes = std::move(routes);
  impl->address = address;

  ListenAddress bind = address;
  if (bind.host == "localhost") bind.host = "127.0.0.1";  // civetweb takes literals alone
  const std::string port = FormatListenAddress(bind);
  const char* options[] = {"listening_ports",
                           port.c_str(),
                           "num_threads",
                           kThreads,
                           "request_timeout_ms",
                           kRequestTimeoutMs,
                           "listen_backlog",
                           kConnectionsWaiting,
                           "enable_keep_alive",
                           "no",
                           "max_request_size",
                           "8192",
                           nullptr};
  mg_callbacks callbacks = {};
  callbacks.log_message = LogMessage;
  mg_init_data init = {&callbacks, const_cast<Logger*>(logger), options};
  unsigned code = 0;
  char text[256] = {};
  mg_error_data error = {&code, text, sizeof(text)};
  impl->context = mg_start2(&init, &error);
  if (impl->context == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", FormatListenAddress(address), ": ",
                                                      text[0] != '\0' ? text : "no reason given"));
  }
  // "$": this path alone, and not what lies below it.
  mg_set_request_handler(impl->context, "/metrics$", ServeMetrics, &impl->routes);
  mg_set_request_handler(impl->context, "/healthz$", ServeHealth, &impl->routes);
  mg_set_request_handler(impl->context, "/readyz$", ServeReady, &impl->routes);
  mg_server_port bound = {};
  if (mg_get_server_ports(impl->context, 1, &bound) == 1) impl->address.port = bound.port;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

// civetweb's accepting thread looks up every two seconds; a connection wakes it sooner.
HttpServer::~HttpServer() {
  absl::Notification stopped;
  std::thread stop([this, &stopped] {
    mg_stop(impl_->context);
    stopped.Notify();
  });
  const std::string host = impl_->address.host == "localhost" ? "127.0.0.1" : impl_->address.host;
  do {
    char error[128];
    mg_connection* connection = mg_connect_client(host.c_str(), impl_->address.port, 0, error, sizeof(error));
    if (connection != nullptr) mg_close_connection(connection);
  } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10)));
  stop.join();
}

const ListenAddress& HttpServer::address() const { return impl_->address; }

}  // namespace sluice
