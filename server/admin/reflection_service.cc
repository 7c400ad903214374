#include "server/admin/reflection_service.h"

#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/slice.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/reflection.h"

namespace sluice {

// One call: reads a request, answers it, and reads again. Owns itself until OnDone.
class ReflectionService::Stream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(ReflectionService* service, grpc::CallbackServerContext* context) : service_(service), context_(context) {
    service_->open_.Enter(this);
    StartRead(&request_);
  }

  // Its reactions go on until OnDone: the caller is gone for them.
  void Cut() { context_->TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    if (const absl::Status status = Answer(); !status.ok()) {
      Finish(ToGrpc(status));
      return;
    }
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      StartRead(&request_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override {
    service_->open_.Leave(this);
    delete this;
  }

 private:
  absl::Status Answer() {
    if (request_.Length() > kReflectionBytesMax) {
      return absl::InvalidArgumentError(absl::StrCat("wanted a ServerReflectionRequest of at most ",
                                                     kReflectionBytesMax, " bytes, got ", request_.Length()));
    }
    grpc::Slice slice;
    const absl::StatusOr<absl::string_view> bytes = InOnePiece(request_, &slice);
    if (!bytes.ok()) return bytes.status();
    std::string text;
    if (absl::Status status = AnswerReflection(*bytes, service_->services_, &text); !status.ok()) return status;
    const grpc::Slice answer(text);
    response_ = grpc::ByteBuffer(&answer, 1);
    return absl::OkStatus();
  }

  ReflectionService* const service_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer request_, response_;
};

ReflectionService::ReflectionService(std::vector<std::string> services) : services_(std::move(services)) {
  AddMethod(new grpc::internal::RpcServiceMethod(kReflectionMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                                                 /*handler=*/nullptr));
  MarkMethodCallback(0, new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                            [this](grpc::CallbackServerContext* context) { return new Stream(this, context); }));
}

}  // namespace sluice
