// What ThreadSanitizer can be trusted with where gRPC is in the process, with what tsan_suppressions.cc leaves out: a
// server as the administration's, called by clients of the same process. Run as `tsan_grpc_probe CASE`;
// tsan_probe_test.py knows which of them must be reported, and which must not.
#include <google/protobuf/struct.pb.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "sluice/v1/check.grpc.pb.h"

namespace {

using sluice::v1::CheckRequest;
using sluice::v1::CheckResponse;
using sluice::v1::Enforcement;

constexpr int kCalls = 200;

class Service final : public Enforcement::Service {
 public:
  explicit Service(std::function<void(const std::string&)> handle) : handle_(std::move(handle)) {}

  grpc::Status Check(grpc::ServerContext* context, const CheckRequest* request, CheckResponse* response) override {
    handle_(request->key());
    const auto token = context->client_metadata().find("authorization");
    if (token == context->client_metadata().end()) return {grpc::StatusCode::UNAUTHENTICATED, "wanted a token"};
    response->set_rule_id(request->key() + std::string(token->second.data(), token->second.size()));
    return grpc::Status::OK;
  }
  grpc::Status CheckStream(grpc::ServerContext* context,
                           grpc::ServerReaderWriter<CheckResponse, CheckRequest>* stream) override {
    CheckRequest request;
    CheckResponse response;
    while (stream->Read(&request)) {
      handle_(request.key());
      response.set_rule_id(request.key());
      if (!stream->Write(response)) break;
    }
    return {grpc::StatusCode::UNAVAILABLE, "the stream is over"};
  }

 private:
  const std::function<void(const std::string&)> handle_;
};

class Server {
 public:
  explicit Server(std::function<void(const std::string&)> handle) : service_(std::move(handle)) {
    if (mkdtemp(folder_) == nullptr) abort();
    address_ = "unix:" + path();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) abort();
  }
  ~Server() {
    server_->Shutdown();
    server_.reset();
    unlink(path().c_str());
    rmdir(folder_);
  }

  // A client with a connection of its own.
  std::unique_ptr<Enforcement::Stub> Client() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return Enforcement::NewStub(grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
  }

 private:
  std::string path() const { return std::string(folder_) + "/socket"; }

  char folder_[32] = "/tmp/tsan-probe.XXXXXX";
  std::string address_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

void Call(Enforcement::Stub* stub, const std::string& key, bool with_token = true) {
  grpc::ClientContext context;
  if (with_token) context.AddMetadata("authorization", "t");
  CheckRequest request;
  request.set_key(key);
  CheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);
  if (status.ok() != with_token || (status.ok() && response.rule_id() != key + "t")) abort();
}

void CallStream(Enforcement::Stub* stub) {
  grpc::ClientContext context;
  const auto stream = stub->CheckStream(&context);
  CheckRequest request;
  CheckResponse response;
  for (int i = 0; i < kCalls; ++i) {
    request.set_key(std::to_string(i));
    if (!stream->Write(request) || !stream->Read(&response) || response.rule_id() != request.key()) abort();
  }
  stream->WritesDone();
  if (stream->Finish().ok()) abort();
}

void Meet(std::atomic<int>* arrived, int of) {
  arrived->fetch_add(1, std::memory_order_relaxed);
  while (arrived->load(std::memory_order_relaxed) < of) std::this_thread::yield();
}

int handed = 0;

}  // namespace

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  std::atomic<int> arrived{0};
  if (strcmp(name, "calls") == 0) {
    // Calls of all kinds, on several connections and on one, whose handlers share nothing.
    const Server server([](const std::string&) {});
    const auto shared = server.Client();
    const auto run = [&](bool own_connection) {
      const auto own = own_connection ? server.Client() : nullptr;
      Enforcement::Stub* const stub = own_connection ? own.get() : shared.get();
      for (int i = 0; i < kCalls; ++i) Call(stub, std::string(static_cast<size_t>(i) * 50, 'k'), i % 3 != 0);
      CallStream(stub);
    };
    std::thread first(run, true), second(run, false), third(run, false);
    first.join();
    second.join();
    third.join();
  } else if (strcmp(name, "through_a_call") == 0) {
    // What a caller wrote before its call is its handler's, and what the handler wrote is the caller's again.
    const Server server([](const std::string&) { ++handed; });
    const auto stub = server.Client();
    for (int i = 0; i < kCalls; ++i) {
      ++handed;
      Call(stub.get(), "k");
    }
    if (handed != 2 * kCalls) abort();
  } else if (strcmp(name, "between_handlers") == 0) {
    // A race: two handlers at once.
    const Server server([&](const std::string&) {
      Meet(&arrived, 2);
      ++handed;
    });
    std::thread other([&] { Call(server.Client().get(), "k"); });
    Call(server.Client().get(), "k");
    other.join();
  } else if (strcmp(name, "beside_a_call") == 0) {
    // A race: a handler, and a thread of its own that has to do with no call.
    const Server server([&](const std::string&) {
      Meet(&arrived, 2);
      ++handed;
    });
    std::thread other([&] {
      Meet(&arrived, 2);
      ++handed;
    });
    Call(server.Client().get(), "k");
    other.join();
  } else if (strcmp(name, "map") == 0) {
    // A map of Protobuf's that its library makes and this program fills: protobuf/google/protobuf/map_field.h.
    google::protobuf::Struct message, copy;
    (*message.mutable_fields())["name"].set_string_value("value");
    if (!copy.ParseFromString(message.SerializeAsString()) || copy.fields().size() != 1) abort();
  } else {
    std::fprintf(stderr, "wanted a case, got '%s'\n", name);
    return 2;
  }
  return 0;
}
