#include "server/admin/health_service.h"

#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "proto/wire.h"
#include "server/listen/grpc_listener.h"

namespace sluice {

// One call: reads its request and answers it; of a watch, again whenever that changes. Owns itself until OnDone.
//
// To gRPC both methods are streams both ways: it reads of those what is asked for, and tells of a call before that.
class HealthService::Call final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Call(HealthService* service, grpc::CallbackServerContext* context, bool watch)
      : service_(service), context_(context), watch_(watch) {
    service_->open_.Enter(this);
    StartRead(&request_);
  }

  void Cut() { context_->TryCancel(); }
  // What it watches may have changed.
  void Tell() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    WriteIfNew();
  }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    const absl::Status status = ok ? Read() : absl::InvalidArgumentError("wanted a HealthCheckRequest, got none");
    if (!status.ok()) {
      End(ToGrpc(status));
    } else {
      WriteIfNew();
    }
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok || !watch_) {
      End(grpc::Status::OK);
    } else {
      WriteIfNew();  // it may have changed meanwhile
    }
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    service_->open_.Leave(this);
    delete this;
  }

 private:
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (request_.Length() > kHealthBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("wanted a HealthCheckRequest of at most ", kHealthBytesMax, " bytes, got ", request_.Length()));
    }
    grpc::Slice slice;
    const absl::StatusOr<absl::string_view> bytes = InOnePiece(request_, &slice);
    if (!bytes.ok()) return bytes.status();
    const absl::StatusOr<absl::string_view> about = HealthServiceIn(*bytes);
    if (!about.ok()) return about.status();
    if (!watch_ && service_->StatusOf(*about) == HealthStatus::kServiceUnknown) return UnknownHealthService(*about);
    about_ = std::string(*about);
    asked_ = true;
    return absl::OkStatus();
  }
  void WriteIfNew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!asked_ || writing_ || ended_) return;
    const HealthStatus status = service_->StatusOf(about_);
    if (status == told_) return;
    told_ = status;
    std::string text;
    AppendNumberField(1, static_cast<uint64_t>(status), &text);
    const grpc::Slice answer(text);
    response_ = grpc::ByteBuffer(&answer, 1);
    writing_ = true;
    StartWrite(&response_);
  }
  // gRPC takes one Finish, also beside a write that is under way.
  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (std::exchange(ended_, true)) return;
    Finish(status);
  }

  HealthService* const service_;
  grpc::CallbackServerContext* const context_;
  const bool watch_;
  grpc::ByteBuffer request_, response_;  // gRPC's while it reads or writes
  absl::Mutex mutex_;
  std::string about_ ABSL_GUARDED_BY(mutex_);  // a service; empty: the node as a whole
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  HealthStatus told_ ABSL_GUARDED_BY(mutex_) = HealthStatus::kNothing;
};

HealthService::HealthService(std::vector<std::string> services) : services_(std::move(services)) {
  int index = 0;
  for (const auto& [name, watch] : {std::pair(kHealthCheckMethod, false), std::pair(kHealthWatchMethod, true)}) {
    AddMethod(new grpc::internal::RpcServiceMethod(name, grpc::internal::RpcMethod::BIDI_STREAMING,
                                                   /*handler=*/nullptr));
    MarkMethodCallback(index++, new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                                    [this, is_watch = watch](grpc::CallbackServerContext* context) {
                                      return new Call(this, context, is_watch);
                                    }));
  }
}

void HealthService::SetServing(bool serving) {
  serving_.store(serving, std::memory_order_release);
  open_.ForEach([](Call* call) { call->Tell(); });
}

HealthStatus HealthService::StatusOf(absl::string_view service) const {
  if (service.empty()) {
    return serving_.load(std::memory_order_acquire) ? HealthStatus::kServing : HealthStatus::kNotServing;
  }
  return std::find(services_.begin(), services_.end(), service) != services_.end() ? HealthStatus::kServing
                                                                                   : HealthStatus::kServiceUnknown;
}

}  // namespace sluice
