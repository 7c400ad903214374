// The calls of CheckServer: state machines that one thread moves, each event of its completion queue a step. No locks,
// since everything of a call happens on the thread of its queue. For check_server.cc alone.
#ifndef SLUICE_SERVER_LISTEN_CHECK_CALLS_H_
#define SLUICE_SERVER_LISTEN_CHECK_CALLS_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "server/listen/checker.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/router.h"
#include "sluice/v1/check.grpc.pb.h"

namespace sluice::internal {

// Raw: messages arrive as bytes, so that what cannot be read is answered with INVALID_ARGUMENT and a reason, where gRPC
// itself would say INTERNAL and nothing.
// CheckStream goes the way of all other methods.
using RawService = v1::Enforcement::WithRawMethod_Check<v1::Enforcement::WithRawMethod_CheckBatch<
    v1::Enforcement::WithGenericMethod_CheckStream<v1::Enforcement::WithRawMethod_Report<v1::Enforcement::Service>>>>;

// Something that a completion queue hands back.
class Event {
 public:
  virtual ~Event() = default;
  virtual void Proceed(bool ok) = 0;
};

// What the calls of one thread share.
struct Lane {
  RawService* service = nullptr;
  grpc::AsyncGenericService* others = nullptr;
  Checker* checker = nullptr;
  const Router* router = nullptr;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  bool draining = false;  // watches end
  bool closed = false;    // the queue takes nothing more
};

// A method of Checker: bytes in, bytes out.
using CheckerMethod = absl::Status (Checker::*)(absl::string_view, const CallContext&, std::string*);

CallContext ContextOf(const grpc::ServerContext& context);
// Forgets what `*scratch` holds, and the memory of a giant.
void Empty(std::string* scratch);

// Answers `request` with `method`. `*scratch` is memory that is used again.
absl::Status Answer(Checker* checker, CheckerMethod method, const grpc::ByteBuffer& request,
                    const grpc::ServerContext& context, std::string* scratch, grpc::ByteBuffer* response);

// A unary method: waits for a call, answers it, and waits again, with the same messages. ServerContext cannot be used
// twice; it is made anew in place. `Method` is one of those in check_server.cc.
template <typename Method>
class UnaryCall final : public Event {
 public:
  explicit UnaryCall(Lane* lane) : lane_(lane) { Arm(); }

  void Proceed(bool ok) override {
    if (!answering_) {
      if (!ok) return;  // the server shuts down
      answering_ = true;
      Answer();
      return;
    }
    // Whether or not the caller was still there: this call is over.
    answering_ = false;
    responder_.reset();
    context_.reset();
    if (!lane_->closed) Arm();
  }

 private:
  void Arm() {
    context_.emplace();
    responder_.emplace(&*context_);
    Method::Request(lane_->service, &*context_, &request_bytes_, &*responder_, lane_->queue.get(), this);
  }

  void Answer() {
    const absl::Status status =
        internal::Answer(lane_->checker, Method::kMethod, request_bytes_, *context_, &scratch_, &response_bytes_);
    request_bytes_.Clear();
    if (status.ok()) {
      responder_->Finish(response_bytes_, grpc::Status::OK, this);
    } else {
      responder_->FinishWithError(ToGrpc(status), this);
    }
  }

  Lane* const lane_;
  bool answering_ = false;
  absl::optional<grpc::ServerContext> context_;
  absl::optional<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>> responder_;
  grpc::ByteBuffer request_bytes_, response_bytes_;
  std::string scratch_;
};

// Any other method of the router, and every one that streams: reads ahead while answers are on their way out, up to a
// bound, and writes them in the order of the requests. Answers that are ready together leave in one write to the
// socket.
class RoutedCall final {
 public:
  // Told when a caller was accepted, so that another call can wait for the next, and when this one is over for good.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnAccepted() = 0;
    virtual void OnOver(RoutedCall* call) = 0;  // may destroy it
  };

  RoutedCall(Lane* lane, Owner* owner);

  // What a watch waits for may have changed; or the server drains, and a watch has no end of its own.
  void OnWatchedChanged();

 private:
  struct Step final : Event {
    Step(RoutedCall* call, void (RoutedCall::*method)(bool)) : call(call), method(method) {}
    void Proceed(bool ok) override { (call->*method)(ok); }
    RoutedCall* const call;
    void (RoutedCall::*const method)(bool);
  };

  void OnAccepted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  void OnCallerLeft(bool ok);  // it has got the status, or is gone
  // Answers the message in request_bytes_.
  void AnswerMessage();
  void TellWatcher();
  // The call ends with `status` once the answers before it are out.
  void End(absl::Status status);
  // Starts whatever can be started now. The last thing that a step does: it may end this call.
  void Pump();

  static constexpr size_t kAnswersWaitingMax = 64;

  Lane* const lane_;
  Owner* const owner_;
  Step accepted_{this, &RoutedCall::OnAccepted};
  Step read_{this, &RoutedCall::OnRead};
  Step written_{this, &RoutedCall::OnWritten};
  Step finished_{this, &RoutedCall::OnFinished};
  Step caller_left_{this, &RoutedCall::OnCallerLeft};

  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  const GrpcRoute* route_ = nullptr;
  grpc::ByteBuffer request_bytes_;
  std::string scratch_;
  std::deque<grpc::ByteBuffer> answers_;
  std::string question_;                     // of a watch
  absl::optional<std::string> last_answer_;  // what it was told last
  absl::Status status_;
  bool asked_ = false;  // a message came
  bool reading_ = false;
  bool writing_ = false;
  bool read_all_ = false;  // nothing more is read: the caller is done, gone, or wrong
  bool watching_ = false;
  bool finishing_ = false;
  bool over_ = false;         // the status is on its way
  bool caller_done_ = false;  // and its caller has it, or is gone
};

}  // namespace sluice::internal

#endif  // SLUICE_SERVER_LISTEN_CHECK_CALLS_H_
