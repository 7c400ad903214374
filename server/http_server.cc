#include "server/http_server.h"

#include <utility>

#include "server/listen/http1_session.h"
#include "server/listen/listener.h"
#include "server/listen/router.h"

namespace sluice {
namespace {

// Scrapes and probes are few and short. Who holds connections open pushes his own out, not theirs.
constexpr size_t kConnectionsMax = 128;
constexpr absl::Duration kRequestMax = absl::Seconds(5);

constexpr absl::string_view kPlain = "text/plain; charset=utf-8";
constexpr absl::string_view kExposition = "text/plain; version=0.0.4; charset=utf-8";

class Page final : public HttpHandler {
 public:
  Page(absl::string_view type, std::function<HttpReply()> make) : type_(type), make_(std::move(make)) {}

  void Answer(const HttpRequest& request, HttpResponse* response) override {
    response->headers.emplace_back("Cache-Control", "no-store");
    if (request.method != "GET" && request.method != "HEAD") {
      response->status = 405;
      response->headers.emplace_back("Allow", "GET, HEAD");
      response->headers.emplace_back("Content-Type", kPlain);
      response->body = "GET or HEAD\n";
      return;
    }
    HttpReply reply = make_();
    response->status = reply.status;
    response->headers.emplace_back("Content-Type", type_);
    response->body = std::move(reply.body);
  }

 private:
  const absl::string_view type_;
  const std::function<HttpReply()> make_;
};

}  // namespace

struct HttpServer::Impl {
  explicit Impl(Routes routes)
      : metrics(kExposition,
                [make = std::move(routes.metrics)] {
                  return HttpReply{200, make()};
                }),
        health(kPlain,
               [] {
                 return HttpReply{200, "alive\n"};
               }),
        ready(kPlain, std::move(routes.readyz)) {
    router.AddHttp("/metrics", &metrics);
    router.AddHttp("/healthz", &health);
    router.AddHttp("/readyz", &ready);
    limits.request_max = kRequestMax;
    limits.body_bytes_max = 0;
  }

  Page metrics, health, ready;
  Router router;
  SessionLimits limits;
  std::unique_ptr<Listener> listener;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const ListenAddress& address, Routes routes) {
  auto impl = std::make_unique<Impl>(std::move(routes));
  Listener::Options options = {.address = address, .threads = 1, .newcomers_max = kConnectionsMax};
  options.limits = impl->limits;
  // One answer a connection: in one read a caller could ask for thousands, each of the size of all metrics.
  options.make_session = [raw = impl.get()](MonotonicTime now) {
    return std::make_unique<Http1Session>(&raw->router, &raw->limits, now, Http1Session::Keeps::kOneRequest);
  };
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Start(options, &impl->router);
  if (!listener.ok()) return listener.status();
  impl->listener = *std::move(listener);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

const ListenAddress& HttpServer::address() const { return impl_->listener->address(); }

}  // namespace sluice
