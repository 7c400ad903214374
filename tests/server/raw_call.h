// gRPC calls of raw bytes: what no well-behaved client sends, and services whose messages Debian does not package.
#ifndef SLUICE_TESTS_SERVER_RAW_CALL_H_
#define SLUICE_TESTS_SERVER_RAW_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "server/listen/address.h"

namespace sluice {

// A channel that shares no connection with another of the same process.
inline std::shared_ptr<grpc::Channel> Connect(const ListenAddress& address, grpc::ChannelArguments arguments = {}) {
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(FormatListenAddress(address), grpc::InsecureChannelCredentials(), arguments);
}

struct RawAnswer {
  grpc::Status status;
  std::string bytes;
};

inline std::string BytesOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return "";
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

inline RawAnswer RawUnary(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                          const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::Slice slice(request);
  auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  RawAnswer answer;
  grpc::ByteBuffer bytes;
  call->Finish(&bytes, &answer.status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  if (answer.status.ok()) answer.bytes = BytesOf(bytes);
  return answer;
}

// grpc.health.v1: "SERVING", "NOT_SERVING", or the status where it is an error.
inline std::string HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service = "") {
  const std::string request =
      service.empty() ? "" : "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  const RawAnswer answer = RawUnary(channel, "/grpc.health.v1.Health/Check", request);
  if (!answer.status.ok()) return answer.status.error_message();
  if (answer.bytes == std::string("\x08\x01", 2)) return "SERVING";
  if (answer.bytes == std::string("\x08\x02", 2)) return "NOT_SERVING";
  return "?";
}

// A call of raw bytes that stays open until this goes.
class OpenCall {
 public:
  OpenCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method)
      : stub_(channel), stream_(stub_.PrepareCall(&context_, method, &queue_)) {
    stream_->StartCall(nullptr);
    Await();
  }
  ~OpenCall() {
    context_.TryCancel();
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Await();
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  // The bytes of the answer to a request; empty where the call is over.
  std::string Ask(const std::string& request) {
    grpc::Slice slice(request);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    Await();
    return Next();
  }
  // The bytes of one more answer.
  std::string Next() {
    grpc::ByteBuffer bytes;
    stream_->Read(&bytes, nullptr);
    return Await() ? BytesOf(bytes) : "";
  }

 private:
  bool Await() {
    void* tag;
    bool ok = false;
    queue_.Next(&tag, &ok);
    return ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

class ReflectionCall : public OpenCall {
 public:
  explicit ReflectionCall(const std::shared_ptr<grpc::Channel>& channel)
      : OpenCall(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") {}
  // The names that are listed are in it.
  std::string ListServices() { return Ask(std::string("\x3a\x00", 2)); }
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_RAW_CALL_H_
