#include "server/listen/check_server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "server/listen/check_calls.h"
#include "server/listen/grpc_listener.h"

namespace sluice {
namespace internal {
namespace {

// Calls that wait to be taken, a thread. A burst above that waits inside gRPC until one is answered.
constexpr int kChecksWaiting = 128;
constexpr int kBatchesWaiting = 8;
constexpr int kReportsWaiting = 16;
// Streams that a thread serves at once; another waits until one ends.
constexpr size_t kStreamsMax = 1024;
// A batch of 1,024 checks with keys of 4 kB and hosts and paths besides.
constexpr int kReceiveBytesMax = 16 << 20;

struct CheckMethod {
  static constexpr CheckerMethod kMethod = &Checker::CheckBytes;
  static void Request(RawService* service, grpc::ServerContext* context, grpc::ByteBuffer* bytes,
                      grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* responder, grpc::ServerCompletionQueue* queue,
                      void* tag) {
    service->RequestCheck(context, bytes, responder, queue, queue, tag);
  }
};

struct BatchMethod {
  static constexpr CheckerMethod kMethod = &Checker::CheckBatchBytes;
  static void Request(RawService* service, grpc::ServerContext* context, grpc::ByteBuffer* bytes,
                      grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* responder, grpc::ServerCompletionQueue* queue,
                      void* tag) {
    service->RequestCheckBatch(context, bytes, responder, queue, queue, tag);
  }
};

struct ReportMethod {
  static constexpr CheckerMethod kMethod = &Checker::ReportBytes;
  static void Request(RawService* service, grpc::ServerContext* context, grpc::ByteBuffer* bytes,
                      grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* responder, grpc::ServerCompletionQueue* queue,
                      void* tag) {
    service->RequestReport(context, bytes, responder, queue, queue, tag);
  }
};

}  // namespace

absl::Status Answer(Checker* checker, CheckerMethod method, const grpc::ByteBuffer& request,
                    const grpc::ServerContext& context, std::string* scratch, grpc::ByteBuffer* response) {
  constexpr size_t kKeptBytesMax = size_t{256} << 10;
  grpc::Slice slice;
  if (!request.TrySingleSlice(&slice).ok()) {  // else the usual case, without a copy
    if (const grpc::Status status = request.DumpToSingleSlice(&slice); !status.ok()) {
      return absl::InternalError(status.error_message());
    }
  }
  CallContext call;
  const auto trace = context.client_metadata().find("traceparent");
  if (trace != context.client_metadata().end()) call.trace_parent = {trace->second.data(), trace->second.size()};
  scratch->clear();
  const absl::string_view bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
  absl::Status status = (checker->*method)(bytes, call, scratch);
  if (status.ok()) {
    const grpc::Slice answer(*scratch);
    *response = grpc::ByteBuffer(&answer, 1);
  }
  if (scratch->capacity() > kKeptBytesMax) std::string().swap(*scratch);
  return status;
}

StreamCall::StreamCall(Lane* lane, Owner* owner) : lane_(lane), owner_(owner) {
  lane_->service->RequestCheckStream(&context_, &stream_, lane_->queue.get(), lane_->queue.get(), &accepted_);
}

void StreamCall::OnAccepted(bool ok) {
  if (!ok) {  // the server shuts down
    owner_->OnOver(this);
    return;
  }
  owner_->OnAccepted();
  Pump();
}

void StreamCall::OnRead(bool ok) {
  reading_ = false;
  if (!ok) {
    read_all_ = true;
  } else if (!read_all_) {
    grpc::ByteBuffer answer;
    status_ = Answer(lane_->checker, &Checker::CheckBytes, request_bytes_, context_, &scratch_, &answer);
    request_bytes_.Clear();
    if (status_.ok()) {
      answers_.push_back(std::move(answer));
    } else {
      read_all_ = true;  // the answers before this one still go out
    }
  }
  Pump();
}

void StreamCall::OnWritten(bool ok) {
  writing_ = false;
  answers_.pop_front();
  if (!ok) {  // the caller is gone
    answers_.clear();
    read_all_ = true;
  }
  Pump();
}

void StreamCall::OnFinished(bool ok) {
  over_ = true;
  Pump();
}

void StreamCall::Pump() {
  if (over_) {
    if (!reading_) owner_->OnOver(this);  // else once more, when the read has come back
    return;
  }
  if (finishing_) return;
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    grpc::WriteOptions options;
    if (answers_.size() > 1) options.set_buffer_hint();
    stream_.Write(answers_.front(), options, &written_);
  }
  if (!reading_ && !read_all_ && answers_.size() < kAnswersWaitingMax) {
    reading_ = true;
    stream_.Read(&request_bytes_, &read_);
  }
  if (read_all_ && !writing_ && answers_.empty()) {
    finishing_ = true;
    stream_.Finish(ToGrpc(status_), &finished_);
  }
}

namespace {

// One thread with its queue and its calls.
class Worker final : public StreamCall::Owner {
 public:
  Worker(RawService* service, Checker* checker, std::unique_ptr<grpc::ServerCompletionQueue> queue) {
    lane_.service = service;
    lane_.checker = checker;
    lane_.queue = std::move(queue);
  }

  // After the server was started.
  void Start() {
    Arm<CheckMethod>(kChecksWaiting);
    Arm<BatchMethod>(kBatchesWaiting);
    Arm<ReportMethod>(kReportsWaiting);
    AwaitStream();
    thread_ = std::thread([this] {
      void* tag;
      bool ok;
      while (lane_.queue->Next(&tag, &ok)) static_cast<Event*>(tag)->Proceed(ok);
    });
  }

  // After the server was shut down; or without a server, where it never started. The queue is closed on its own thread:
  // closed from here, a call could arm itself on a queue that is gone.
  void Stop() {
    if (thread_.joinable()) {
      alarm_.Set(lane_.queue.get(), std::chrono::system_clock::now(), &close_);
      thread_.join();
      return;
    }
    if (!lane_.closed) {
      lane_.closed = true;
      lane_.queue->Shutdown();
      void* tag;
      bool ok;
      while (lane_.queue->Next(&tag, &ok)) {
      }
    }
  }

  void OnAccepted() override {
    stream_waits_ = false;
    AwaitStream();
  }
  void OnOver(StreamCall* call) override {
    streams_.erase(call);
    AwaitStream();  // one that was not accepted still counts as waiting: the server shuts down, and none follows it
  }

 private:
  struct Close final : Event {
    explicit Close(Worker* worker) : worker(worker) {}
    void Proceed(bool ok) override {
      worker->lane_.closed = true;
      worker->lane_.queue->Shutdown();
    }
    Worker* const worker;
  };

  template <typename Method>
  void Arm(int count) {
    for (int i = 0; i < count; ++i) calls_.push_back(std::make_unique<UnaryCall<Method>>(&lane_));
  }

  void AwaitStream() {
    if (stream_waits_ || lane_.closed || streams_.size() >= kStreamsMax) return;
    stream_waits_ = true;
    auto call = std::make_unique<StreamCall>(&lane_, this);
    streams_.emplace(call.get(), std::move(call));
  }

  Lane lane_;
  std::vector<std::unique_ptr<Event>> calls_;
  absl::flat_hash_map<StreamCall*, std::unique_ptr<StreamCall>> streams_;
  bool stream_waits_ = false;
  Close close_{this};
  grpc::Alarm alarm_;
  std::thread thread_;
};

}  // namespace
}  // namespace internal

struct CheckServer::Impl {
  internal::RawService service;
  std::vector<std::unique_ptr<internal::Worker>> workers;
  GrpcListener listener;
  bool down = false;
};

absl::StatusOr<std::unique_ptr<CheckServer>> CheckServer::Start(const Options& options, Checker* checker) {
  EnableHealthAndReflection();
  auto impl = std::make_unique<Impl>();
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  grpc::ServerBuilder builder;
  builder.RegisterService(&impl->service);
  for (int i = 0; i < threads; ++i) {
    impl->workers.push_back(std::make_unique<internal::Worker>(&impl->service, checker, builder.AddCompletionQueue()));
  }
  absl::StatusOr<GrpcListener> listener = StartListener(
      {options.address, options.rights, options.make_folder, internal::kReceiveBytesMax, options.inherited, nullptr},
      &builder);
  if (!listener.ok()) {
    for (auto& worker : impl->workers) worker->Stop();
    return listener.status();
  }
  impl->listener = *std::move(listener);
  auto result = std::unique_ptr<CheckServer>(new CheckServer(std::move(impl)));
  result->SetServing(false);
  for (auto& worker : result->impl_->workers) worker->Start();
  return result;
}

CheckServer::CheckServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckServer::~CheckServer() { Shutdown(absl::ZeroDuration()); }

void CheckServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = impl_->listener.server->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(v1::Enforcement::service_full_name(), serving);
}

void CheckServer::Shutdown(absl::Duration grace) {
  if (std::exchange(impl_->down, true)) return;
  impl_->listener.Shutdown(grace);
  for (auto& worker : impl_->workers) worker->Stop();
}

const ListenAddress& CheckServer::address() const { return impl_->listener.address; }

}  // namespace sluice
