#include "bench/grpc_servers.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "bench/child_process.h"
#include "decision_log/decision_log.h"
#include "enforcement/clock.h"
#include "metrics/metrics.h"
#include "server/listen/check_server.h"
#include "server/listen/checker.h"
#include "server/readiness.h"
#include "server/system_clock.h"
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

absl::StatusOr<std::unique_ptr<CheckServer>> Listen(const std::string& socket, Checker* checker) {
  CheckServer::Options options;
  options.address.path = socket;
  options.rights.mode = 0600;
  options.threads = 1;
  absl::StatusOr<std::unique_ptr<CheckServer>> server = CheckServer::Start(options, checker);
  if (server.ok()) (*server)->SetServing(true);
  return server;
}

}  // namespace

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
  Fixture fixture(sizes, absl::Now());
  fixture.SetLimits(3);
  // As sluiced makes them, by its defaults.
  const SystemClock system_clock(absl::Seconds(1));
  const PolicyClock clock(&system_clock);
  Readiness readiness;
  readiness.SetHasPolicy(true);
  Metrics metrics({"bench", "default", ""}, &SystemClock::MonotonicNs);
  DecisionLog::Options log_options;
  log_options.folder = absl::StrCat(socket, ".decisions");
  log_options.node = "bench";
  log_options.clock = &clock;
  const absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(std::move(log_options));
  if (!log.ok()) return log.status();
  Checker checker(&fixture.engine(), &clock, &readiness, &metrics, {&metrics, log->get()});
  Checker bare_checker(&fixture.engine(), &clock, &readiness, &metrics, {});
  absl::StatusOr<std::unique_ptr<CheckServer>> server = Listen(socket, &checker);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::unique_ptr<CheckServer>> bare_server = Listen(bare_socket, &bare_checker);
  if (!bare_server.ok()) return bare_server.status();
  ChildProcess::ServeUntilToldToStop();
  (*server)->Shutdown(absl::ZeroDuration());
  (*bare_server)->Shutdown(absl::ZeroDuration());
  return absl::OkStatus();
}

}  // namespace sluice::bench
