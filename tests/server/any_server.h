// sluice.v1.Enforcement served by either of the two servers that there are, so that one test holds both to the same.
#ifndef SLUICE_TESTS_SERVER_ANY_SERVER_H_
#define SLUICE_TESTS_SERVER_ANY_SERVER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/listen/check_server.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/health.h"
#include "server/listen/listener.h"
#include "server/listen/reflection.h"

namespace sluice {

enum class ServedBy { kOwn, kGrpc };
inline std::string NameOf(ServedBy by) { return by == ServedBy::kOwn ? "Own" : "Grpc"; }

class AnyServer {
 public:
  static absl::StatusOr<std::unique_ptr<AnyServer>> Start(ServedBy by, const CheckServer::Options& options,
                                                          Checker* checker, SessionLimits limits = {}) {
    auto server = std::unique_ptr<AnyServer>(new AnyServer(checker));
    if (by == ServedBy::kGrpc) {
      auto started = CheckServer::Start(options, checker, &server->router_);
      if (!started.ok()) return started.status();
      server->grpc_ = *std::move(started);
      return server;
    }
    auto started = Listener::Start({.address = options.address,
                                    .rights = options.rights,
                                    .make_folder = options.make_folder,
                                    .threads = options.threads,
                                    .limits = limits},
                                   &server->router_);
    if (!started.ok()) return started.status();
    server->own_ = *std::move(started);
    return server;
  }

  const ListenAddress& address() const { return own_ != nullptr ? own_->address() : grpc_->address(); }
  void SetServing(bool serving) {
    if (!health_.SetServing(serving)) return;
    if (own_ != nullptr) own_->NotifyWatchers();
    if (grpc_ != nullptr) grpc_->NotifyWatchers();
  }
  void Shutdown(absl::Duration grace) {
    if (own_ != nullptr) own_->Shutdown(grace);
    if (grpc_ != nullptr) grpc_->Shutdown(grace);
  }

 private:
  explicit AnyServer(Checker* checker) : methods_(checker, &router_) {}

  Router router_;
  Health health_{&router_};
  Reflection reflection_{&router_};
  EnforcementMethods methods_;
  std::unique_ptr<Listener> own_;
  std::unique_ptr<CheckServer> grpc_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_ANY_SERVER_H_
