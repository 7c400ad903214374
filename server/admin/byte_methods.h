// Methods of a service that take their messages as bytes, so that one that cannot be read is answered with
// INVALID_ARGUMENT and a reason. gRPC's own reading answers INTERNAL without a word, and ends a stream as if its caller
// were done: a cut import would pass for a whole one. For the services of this folder alone.
#ifndef SLUICE_SERVER_ADMIN_BYTE_METHODS_H_
#define SLUICE_SERVER_ADMIN_BYTE_METHODS_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/method_handler.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "google/protobuf/descriptor.h"
#include "server/admin/credentials.h"
#include "server/admin/gate.h"
#include "server/listen/grpc_listener.h"

namespace sluice {

// The messages of one call. Not thread-safe.
template <typename Request, typename Response>
class ByteStream {
 public:
  using Raw = grpc::ServerReaderWriter<Response, grpc::ByteBuffer>;
  ByteStream(grpc::ServerContext* context, Raw* raw, AdminCall* call) : context_(context), raw_(raw), call_(call) {}

  // False behind the last message, and at one that cannot be read, of which `status` then tells.
  bool Read(Request* request) {
    if (!raw_->Read(&bytes_)) return false;
    status_ = DecodeMessage(bytes_, request);
    return status_.ok();
  }
  // The one message of a method that takes one.
  absl::Status ReadOnly(Request* request) {
    if (Read(request) || !status_.ok()) return status_;
    return absl::InvalidArgumentError("wanted a request, got none");
  }
  const absl::Status& status() const { return status_; }

  // False where the caller is gone.
  bool Write(const Response& response) { return raw_->Write(response); }
  void SendInitialMetadata() { raw_->SendInitialMetadata(); }
  bool cancelled() const { return context_->IsCancelled(); }
  void Cancel() { context_->TryCancel(); }  // wakes who reads or writes; thread-safe
  AdminCall& call() { return *call_; }

 private:
  grpc::ServerContext* const context_;
  Raw* const raw_;
  AdminCall* const call_;
  grpc::ByteBuffer bytes_;
  absl::Status status_;
};

// `Api` is a generated service such as v1::PolicyAdmin. What derives from this says in its constructor how each method
// is served. Every call passes the gate before it is served, and is told of at its end.
template <typename Api>
class ByteService : public Api::Service {
 protected:
  // `peer`: who is at the other end of each connection of the server that this is registered with; nothing = unknown.
  ByteService(const Gate* gate, absl::optional<Credential::Peer> peer) : gate_(gate), peer_(std::move(peer)) {}

  template <typename Request, typename Response>
  void Serve(AdminMethod method, std::function<absl::Status(ByteStream<Request, Response>*)> run) {
    using Stream = ByteStream<Request, Response>;
    this->MarkMethodStreamed(
        IndexOf(Name(method)),
        new grpc::internal::TemplatedBidiStreamingHandler<typename Stream::Raw, false>(
            [this, method, run = std::move(run)](grpc::ServerContext* context, typename Stream::Raw* raw) {
              AdminCall call;
              call.method = method;
              call.credential = CredentialOf(*context, peer_);
              call.origin = context->peer();
              call.began = absl::Now();
              absl::Status status = gate_->Admit(&call);
              if (status.ok()) {
                Stream stream(context, raw, &call);
                status = run(&stream);
              }
              gate_->Tell(call, status);
              return ToGrpc(status);
            }));
  }

  // One request, one response.
  template <typename Request, typename Response>
  void ServeUnary(AdminMethod method, std::function<absl::Status(const Request&, AdminCall*, Response*)> answer) {
    Serve<Request, Response>(method, [answer = std::move(answer)](ByteStream<Request, Response>* stream) {
      Request request;
      Response response;
      if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
      if (absl::Status status = answer(request, &stream->call(), &response); !status.ok()) return status;
      stream->Write(response);
      return absl::OkStatus();
    });
  }

  const Gate& gate() const { return *gate_; }

 private:
  // gRPC numbers methods as the .proto file does. REQUIRES: there is such a method.
  static int IndexOf(absl::string_view method) {
    const google::protobuf::ServiceDescriptor* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(Api::service_full_name());
    return service->FindMethodByName(std::string(method))->index();
  }

  const Gate* const gate_;
  const absl::optional<Credential::Peer> peer_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_BYTE_METHODS_H_
