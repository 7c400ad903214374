// Which path is answered by what. Filled once by the node, then only read: by every listener, on every thread.
#ifndef SLUICE_SERVER_LISTEN_ROUTER_H_
#define SLUICE_SERVER_LISTEN_ROUTER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "server/listen/http_message.h"
#include "server/listen/unary_method.h"

namespace sluice {

// A gRPC method and how its messages flow.
struct GrpcRoute {
  enum class Flow : uint8_t {
    kUnary,
    kStream,  // both sides stream: each message of the caller gets one answer, in order
    kWatch,   // one message of the caller; its answer now, and again whenever it has changed (Listener::NotifyWatchers)
  };
  UnaryMethod* method = nullptr;
  Flow flow = Flow::kUnary;
};

class Router {
 public:
  // What is added must outlive the router. The last one of a path counts.
  // `path` as in :path of gRPC: "/sluice.v1.Enforcement/Check".
  void AddGrpc(absl::string_view path, UnaryMethod* method, GrpcRoute::Flow flow = GrpcRoute::Flow::kUnary);
  // Exactly this path, without the query: "/v1/check".
  void AddHttp(absl::string_view path, HttpHandler* handler);
  // Every path that begins so and that nothing fits exactly; the longest such prefix wins. For callers that put the
  // path of the original request behind a prefix of their own: "/envoy/".
  void AddHttpPrefix(absl::string_view prefix, HttpHandler* handler);

  // Null where there is none. Thread-safe once filled; no allocation.
  const GrpcRoute* FindGrpc(absl::string_view path) const;
  // `target` as received: path, and perhaps "?" and a query, which plays no part.
  HttpHandler* FindHttp(absl::string_view target) const;
  // Of all methods, sorted: "sluice.v1.Enforcement".
  std::vector<std::string> GrpcServices() const;

 private:
  absl::flat_hash_map<std::string, GrpcRoute> grpc_;
  absl::flat_hash_map<std::string, HttpHandler*> http_;
  std::vector<std::pair<std::string, HttpHandler*>> prefixes_;  // longest first
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_ROUTER_H_
