#include "bench/grpc_servers.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "bench/child_process.h"
#include "bench/node.h"
#include "server/listen/health.h"
#include "server/listen/router.h"
#include "sluice/v1/check.grpc.pb.h"

namespace sluice::bench {
namespace {

using EchoService = v1::Enforcement::WithRawMethod_Check<v1::Enforcement::Service>;

// Waits for a call, answers, and waits again.
class EchoCall {
 public:
  EchoCall(EchoService* service, grpc::ServerCompletionQueue* queue, const grpc::ByteBuffer* answer)
      : service_(service), queue_(queue), answer_(answer) {
    Arm();
  }
  // Returns false when the server shuts down.
  bool Proceed(bool ok) {
    if (!answering_) {
      if (!ok) return false;
      answering_ = true;
      responder_->Finish(*answer_, grpc::Status::OK, this);
      return true;
    }
    answering_ = false;
    responder_.reset();
    context_.reset();
    Arm();
    return true;
  }

 private:
  void Arm() {
    context_.emplace();
    responder_.emplace(&*context_);
    service_->RequestCheck(&*context_, &request_, &*responder_, queue_, queue_, this);
  }

  EchoService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  const grpc::ByteBuffer* const answer_;
  bool answering_ = false;
  absl::optional<grpc::ServerContext> context_;
  absl::optional<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>> responder_;
  grpc::ByteBuffer request_;
};

constexpr int kEchoCalls = 128;  // as many as CheckServer arms

}  // namespace

absl::StatusOr<std::unique_ptr<CheckServer>> ListenByGrpc(const std::string& socket, Checker* checker,
                                                          const Router* router) {
  CheckServer::Options options;
  options.address.path = socket;
  options.rights.mode = 0600;
  options.threads = 1;
  return CheckServer::Start(options, checker, router);
}

absl::Status ServeEcho(const std::string& socket, const std::string& answer, bool health) {
  grpc::EnableDefaultHealthCheckService(health);
  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", socket), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError(absl::StrCat("echo: cannot listen on ", socket));
  const grpc::Slice slice(answer);
  const grpc::ByteBuffer bytes(&slice, 1);
  std::vector<std::unique_ptr<EchoCall>> calls;
  calls.reserve(kEchoCalls);
  for (int i = 0; i < kEchoCalls; ++i) calls.push_back(std::make_unique<EchoCall>(&service, queue.get(), &bytes));
  std::thread thread([&] {
    void* tag;
    bool ok;
    while (queue->Next(&tag, &ok) && static_cast<EchoCall*>(tag)->Proceed(ok)) {
    }
  });
  ChildProcess::ServeUntilToldToStop();
  server->Shutdown();
  thread.join();
  queue->Shutdown();
  void* tag;
  bool ok;
  while (queue->Next(&tag, &ok)) {
  }
  return absl::OkStatus();
}

absl::Status ServeChecks(const std::string& socket, const std::string& bare_socket, const Sizes& sizes) {
  const absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(sizes, absl::StrCat(socket, ".decisions"));
  if (!node.ok()) return node.status();
  Router router;
  Health health(&router);
  absl::StatusOr<std::unique_ptr<CheckServer>> server = ListenByGrpc(socket, (*node)->checker(), &router);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<CheckServer>> bare_server =
      ListenByGrpc(bare_socket, (*node)->bare_checker(), &router);
  if (!bare_server.ok()) return bare_server.status();
  ChildProcess::ServeUntilToldToStop();
  (*server)->Shutdown(absl::ZeroDuration());
  (*bare_server)->Shutdown(absl::ZeroDuration());
  return absl::OkStatus();
}

}  // namespace sluice::bench
