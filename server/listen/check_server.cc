#include "server/listen/check_server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/trace_context.h"
#include "server/listen/check_calls.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/grpc_status.h"

namespace sluice {
namespace internal {
namespace {

// Calls that wait to be taken, a thread. A burst above that waits inside gRPC until one is answered.
constexpr int kChecksWaiting = 128;
constexpr int kBatchesWaiting = 8;
constexpr int kReportsWaiting = 16;
// Streams, and calls to other methods than those of Enforcement, that a thread serves at once; another waits until one
// ends.
constexpr size_t kRoutedMax = 1024;
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

CallContext ContextOf(const grpc::ServerContext& context) {
  CallContext call;
  const auto trace = context.client_metadata().find("traceparent");
  if (trace != context.client_metadata().end()) {
    call.trace_parent = ParseTraceParent({trace->second.data(), trace->second.size()});
  }
  return call;
}

void Empty(std::string* scratch) {
  constexpr size_t kKeptBytesMax = size_t{256} << 10;
  if (scratch->capacity() > kKeptBytesMax) {
    std::string().swap(*scratch);
  } else {
    scratch->clear();
  }
}

absl::Status Answer(Checker* checker, CheckerMethod method, const grpc::ByteBuffer& request,
                    const grpc::ServerContext& context, std::string* scratch, grpc::ByteBuffer* response) {
  grpc::Slice slice;
  const absl::StatusOr<absl::string_view> bytes = InOnePiece(request, &slice);
  if (!bytes.ok()) return bytes.status();
  const CallContext call = ContextOf(context);
  absl::Status status = (checker->*method)(*bytes, call, scratch);
  if (status.ok()) {
    const grpc::Slice answer(*scratch);
    *response = grpc::ByteBuffer(&answer, 1);
  }
  Empty(scratch);
  return WithTrace(std::move(status), call.trace_parent);
}

namespace {

// One thread with its queue and its calls.
class Worker final : public RoutedCall::Owner {
 public:
  Worker(RawService* service, grpc::AsyncGenericService* others, Checker* checker, const Router* router,
         std::unique_ptr<grpc::ServerCompletionQueue> queue) {
    lane_.service = service;
    lane_.others = others;
    lane_.checker = checker;
    lane_.router = router;
    lane_.queue = std::move(queue);
  }

  // After the server was started.
  void Start() {
    Arm<CheckMethod>(kChecksWaiting);
    Arm<BatchMethod>(kBatchesWaiting);
    Arm<ReportMethod>(kReportsWaiting);
    AwaitRouted();
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
      close_alarm_.Set(lane_.queue.get(), std::chrono::system_clock::now(), &close_);
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

  // Any thread, until Stop: each watch is told, or ended where the server drains. Several at once are one.
  void NotifyWatchers(bool draining) {
    if (draining) draining_.store(true, std::memory_order_relaxed);
    if (!notified_.exchange(true)) notify_alarm_.Set(lane_.queue.get(), std::chrono::system_clock::now(), &notify_);
  }

  void OnAccepted() override {
    routed_waits_ = false;
    AwaitRouted();
  }
  void OnOver(RoutedCall* call) override {
    routed_.erase(call);
    AwaitRouted();  // one that was not accepted still counts as waiting: the server shuts down, and none follows it
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

  struct Notify final : Event {
    explicit Notify(Worker* worker) : worker(worker) {}
    void Proceed(bool ok) override {
      worker->notified_.store(false);  // before the look: what changes after it is notified again
      worker->lane_.draining = worker->draining_.load(std::memory_order_relaxed);
      // No call is over for being told, so that none goes while this looks at them.
      for (const auto& [call, owned] : worker->routed_) call->OnWatchedChanged();
    }
    Worker* const worker;
  };

  template <typename Method>
  void Arm(int count) {
    for (int i = 0; i < count; ++i) calls_.push_back(std::make_unique<UnaryCall<Method>>(&lane_));
  }

  void AwaitRouted() {
    if (routed_waits_ || lane_.closed || routed_.size() >= kRoutedMax) return;
    routed_waits_ = true;
    auto call = std::make_unique<RoutedCall>(&lane_, this);
    routed_.emplace(call.get(), std::move(call));
  }

  Lane lane_;
  std::vector<std::unique_ptr<Event>> calls_;
  absl::flat_hash_map<RoutedCall*, std::unique_ptr<RoutedCall>> routed_;
  bool routed_waits_ = false;
  std::atomic<bool> draining_{false}, notified_{false};
  Notify notify_{this};
  grpc::Alarm notify_alarm_;
  Close close_{this};
  grpc::Alarm close_alarm_;
  std::thread thread_;
};

}  // namespace
}  // namespace internal

struct CheckServer::Impl {
  internal::RawService service;
  grpc::AsyncGenericService others;
  std::vector<std::unique_ptr<internal::Worker>> workers;
  GrpcListener listener;
  absl::Mutex mutex;
  bool down ABSL_GUARDED_BY(mutex) = false;

  void NotifyWatchers(bool draining) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    for (auto& worker : workers) worker->NotifyWatchers(draining);
  }
};

absl::StatusOr<std::unique_ptr<CheckServer>> CheckServer::Start(const Options& options, Checker* checker,
                                                                const Router* router) {
  HoldGrpc();
  auto impl = std::make_unique<Impl>();
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  grpc::ServerBuilder builder;
  if (options.memory_bytes_max > 0) {
    builder.SetResourceQuota(grpc::ResourceQuota("checks").Resize(options.memory_bytes_max));
  }
  builder.RegisterService(&impl->service);
  builder.RegisterAsyncGenericService(&impl->others);
  for (int i = 0; i < threads; ++i) {
    impl->workers.push_back(std::make_unique<internal::Worker>(&impl->service, &impl->others, checker, router,
                                                               builder.AddCompletionQueue()));
  }
  absl::StatusOr<GrpcListener> listener =
      StartListener({options.address, options.rights, options.make_folder, internal::kReceiveBytesMax,
                     options.inherited, /*credentials=*/nullptr},
                    &builder);
  if (!listener.ok()) {
    for (auto& worker : impl->workers) worker->Stop();
    return listener.status();
  }
  impl->listener = *std::move(listener);
  for (auto& worker : impl->workers) worker->Start();
  return std::unique_ptr<CheckServer>(new CheckServer(std::move(impl)));
}

CheckServer::CheckServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckServer::~CheckServer() { Shutdown(absl::ZeroDuration()); }

void CheckServer::NotifyWatchers() {
  absl::MutexLock lock(&impl_->mutex);
  if (!impl_->down) impl_->NotifyWatchers(/*draining=*/false);
}

void CheckServer::Shutdown(absl::Duration grace) {
  {
    absl::MutexLock lock(&impl_->mutex);
    if (std::exchange(impl_->down, true)) return;
    impl_->NotifyWatchers(/*draining=*/true);
  }
  impl_->listener.Shutdown(grace);
  for (auto& worker : impl_->workers) worker->Stop();
}

const ListenAddress& CheckServer::address() const { return impl_->listener.address; }

}  // namespace sluice
