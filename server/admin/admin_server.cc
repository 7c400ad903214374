#include "server/admin/admin_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/translate.h"
#include "server/admin/byte_methods.h"
#include "server/admin/questions.h"
#include "server/admin/snapshot_chunks.h"
#include "server/listen/grpc_listener.h"
#include "sluice/v1/admin.grpc.pb.h"

namespace sluice {
namespace {

// 10,000 events of 3 kB.
constexpr int kReceiveBytesMax = 32 << 20;
// Blocking calls hold a thread each; above this gRPC answers RESOURCE_EXHAUSTED. Watchers leave half to others.
constexpr int kThreadsMax = 2 * kWatchersMax;
constexpr size_t kAnnouncementsAtOnce = 1000;
// How soon a watch notices that its watcher left, or that the server is to stop.
constexpr absl::Duration kWatchTick = absl::Milliseconds(500);
// How soon one who follows the decision log is told of what is new. Each look flushes the log.
constexpr absl::Duration kFollowTick = absl::Milliseconds(250);

class AdminService final : public ByteService<v1::PolicyAdmin> {
 public:
  explicit AdminService(AdminServer::Parts parts)
      : parts_(std::move(parts)), questions_(parts_.engine, parts_.store, parts_.clock, parts_.top) {
    ServeUnary<v1::ApplyRequest, v1::ApplyResponse>(
        "Apply", [this](const auto& request, auto* response) { return ApplyOnce(request, response); });
    Serve<v1::ApplyRequest, v1::ApplyResponse>("ApplyStream", [this](auto* stream) { return ApplyStream(stream); });
    ServeUnary<v1::DescribeRequest, v1::DescribeResponse>(
        "Describe", [this](const auto& request, auto* response) { return questions_.Describe(request, response); });
    ServeUnary<v1::ExplainRequest, v1::ExplainResponse>(
        "Explain", [this](const auto& request, auto* response) { return questions_.Explain(request, response); });
    ServeUnary<v1::ListRequest, v1::ListResponse>(
        "List", [this](const auto& request, auto* response) { return questions_.List(request, response); });
    ServeUnary<v1::TopRequest, v1::TopResponse>(
        "Top", [this](const auto& request, auto* response) { return questions_.Top(request, response); });
    Serve<v1::WatchRequest, v1::Announcement>("Watch", [this](auto* stream) { return Watch(stream); });
    Serve<v1::ExportRequest, v1::ExportChunk>("Export", [this](auto* stream) { return Export(stream); });
    Serve<v1::ExportChunk, v1::ImportResponse>("Import", [this](auto* stream) { return Import(stream); });
  }

  void Drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  using WatchStream = ByteStream<v1::WatchRequest, v1::Announcement>;

  absl::Status ApplyStream(ByteStream<v1::ApplyRequest, v1::ApplyResponse>* stream) {
    v1::ApplyRequest request;
    v1::ApplyResponse response;
    while (stream->Read(&request)) {
      response.Clear();
      if (absl::Status status = ApplyOnce(request, &response); !status.ok()) return status;
      if (!stream->Write(response)) break;
    }
    return stream->status();
  }

  absl::Status Watch(WatchStream* stream) {
    v1::WatchRequest request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::Cleanup leave = [this] { watchers_.fetch_sub(1, std::memory_order_relaxed); };
    if (watchers_.fetch_add(1, std::memory_order_relaxed) >= kWatchersMax) {
      return absl::ResourceExhaustedError(absl::StrCat("at most ", kWatchersMax, " watchers at once"));
    }
    // So that a watcher knows at once that it watches, and need not wait for the first announcement.
    stream->SendInitialMetadata();
    return WatchFrom(request.from_revision(), stream);
  }

  absl::Status Export(ByteStream<v1::ExportRequest, v1::ExportChunk>* stream) {
    v1::ExportRequest request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::StatusOr<PolicyWriter::Snapshot> snapshot = parts_.writer->Export();
    if (!snapshot.ok()) return snapshot.status();
    // Where it is not all sent the caller is gone, and nobody hears the answer.
    SendChunks(*snapshot, kChunkBytesMax, [stream](const v1::ExportChunk& chunk) { return stream->Write(chunk); });
    return absl::OkStatus();
  }

  absl::Status Import(ByteStream<v1::ExportChunk, v1::ImportResponse>* stream) {
    SnapshotReader chunks;
    v1::ExportChunk chunk;
    while (stream->Read(&chunk)) {
      if (absl::Status status = chunks.Add(chunk); !status.ok()) return status;
    }
    if (!stream->status().ok()) return stream->status();
    // A stream that broke ends like one that is complete; half an export must not become the policy.
    if (stream->cancelled()) return absl::CancelledError("the import was broken off; nothing was loaded");
    const absl::StatusOr<PolicyWriter::Snapshot> snapshot = std::move(chunks).Finish();
    if (!snapshot.ok()) return snapshot.status();
    if (absl::Status status = parts_.writer->Import(*snapshot); !status.ok()) return status;
    if (parts_.on_applied) parts_.on_applied();
    v1::ImportResponse response;
    response.set_revision(snapshot->revision);
    response.set_events(static_cast<int64_t>(snapshot->events.size()));
    stream->Write(response);
    return absl::OkStatus();
  }

  absl::Status ApplyOnce(const v1::ApplyRequest& request, v1::ApplyResponse* response) {
    if (request.events_size() > kEventsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("events: at most ", kEventsMax, " in a request, got ", request.events_size()));
    }
    std::vector<PolicyEvent> events;
    events.reserve(static_cast<size_t>(request.events_size()));
    for (const v1::PolicyEvent& event : request.events()) events.push_back(FromProto(event));
    const absl::StatusOr<ApplyResult> result = parts_.writer->Apply(std::move(events), parts_.clock->Now());
    if (!result.ok()) return result.status();
    if (parts_.on_applied) parts_.on_applied();
    for (const EventResult& one : result->results) {
      v1::EventResult* to = response->add_results();
      to->set_outcome(static_cast<v1::Outcome>(one.outcome));
      to->set_revision(one.revision);
      to->set_error(one.error);
    }
    response->set_revision(result->revision);
    return absl::OkStatus();
  }

  // Several announcements may share a revision, and more of the last one may follow: `sent` of those with `revision`
  // have gone out already.
  absl::Status WatchFrom(int64_t from, WatchStream* stream) {
    int64_t revision = from;
    size_t sent = 0;
    v1::Announcement message;
    while (!stream->cancelled()) {
      if (draining_.load(std::memory_order_relaxed)) {
        return absl::UnavailableError(absl::StrCat("the node is shutting down; resume from revision ", revision));
      }
      const absl::StatusOr<std::vector<Announcement>> next =
          parts_.writer->Announcements(revision, sent + kAnnouncementsAtOnce);
      if (!next.ok()) return next.status();
      if (next->size() <= sent) {
        // `from` itself has not been told of yet where nothing was sent.
        parts_.writer->AwaitAnnouncement(sent == 0 ? revision - 1 : revision, absl::Now() + kWatchTick);
        continue;
      }
      for (size_t i = sent; i < next->size(); ++i) {
        const Announcement& announcement = (*next)[i];
        ToProto(announcement, &message);
        if (!stream->Write(message)) return absl::OkStatus();
        sent = announcement.revision == revision ? sent + 1 : 1;
        revision = announcement.revision;
      }
    }
    return absl::OkStatus();
  }

  const AdminServer::Parts parts_;
  const Questions questions_;
  std::atomic<bool> draining_{false};
  std::atomic<int> watchers_{0};
};

class DecisionLogService final : public ByteService<v1::DecisionLog> {
 public:
  explicit DecisionLogService(const DecisionSource* decisions) : decisions_(decisions) {
    Serve<v1::LogQuery, v1::DecisionRecord>("Query", [this](auto* stream) { return Query(stream); });
  }

  void Drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  absl::Status Query(ByteStream<v1::LogQuery, v1::DecisionRecord>* stream) {
    v1::LogQuery request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::Cleanup leave = [this] { queries_.fetch_sub(1, std::memory_order_relaxed); };
    if (queries_.fetch_add(1, std::memory_order_relaxed) >= kWatchersMax) {
      return absl::ResourceExhaustedError(absl::StrCat("at most ", kWatchersMax, " queries at once"));
    }
    stream->SendInitialMetadata();  // so that a follower knows at once that it is heard
    LogCursor cursor;
    int64_t left = request.limit();
    const auto send = [&](const v1::DecisionRecord& record) { return stream->Write(record) && --left != 0; };
    while (true) {
      // A slow reader holds up no check: the log is read from disk.
      const absl::Status status = decisions_->Query(request, &cursor, send);
      const bool enough = request.limit() > 0 && left <= 0;
      if (!status.ok() || !request.follow() || enough || stream->cancelled()) return status;
      if (draining_.load(std::memory_order_relaxed)) return absl::UnavailableError("the node is shutting down");
      if (request.limit() > 0) request.set_limit(left);
      absl::SleepFor(kFollowTick);
    }
  }

  const DecisionSource* const decisions_;
  std::atomic<bool> draining_{false};
  std::atomic<int> queries_{0};
};

}  // namespace

struct AdminServer::Impl {
  explicit Impl(Parts parts) : log_service(parts.decisions), admin_service(std::move(parts)) {}
  DecisionLogService log_service;
  AdminService admin_service;
  GrpcListener listener;
  bool down = false;
};

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const Options& options, Parts parts) {
  EnableHealthAndReflection();
  auto impl = std::make_unique<Impl>(std::move(parts));
  grpc::ServerBuilder builder;
  builder.RegisterService(&impl->admin_service);
  builder.RegisterService(&impl->log_service);
  grpc::ResourceQuota quota("admin");
  quota.SetMaxThreads(kThreadsMax);
  builder.SetResourceQuota(quota);
  absl::StatusOr<GrpcListener> listener = StartListener(
      {options.address, options.mode, options.make_folder, kReceiveBytesMax, options.inherited}, &builder);
  if (!listener.ok()) return listener.status();
  impl->listener = *std::move(listener);
  auto result = std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
  result->SetServing(false);
  grpc::HealthCheckServiceInterface* health = result->impl_->listener.server->GetHealthCheckService();
  health->SetServingStatus(v1::PolicyAdmin::service_full_name(), true);
  health->SetServingStatus(v1::DecisionLog::service_full_name(), true);
  return result;
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() { Shutdown(absl::ZeroDuration()); }

void AdminServer::SetServing(bool serving) {
  impl_->listener.server->GetHealthCheckService()->SetServingStatus("", serving);
}

void AdminServer::Shutdown(absl::Duration grace) {
  if (std::exchange(impl_->down, true)) return;
  impl_->admin_service.Drain();
  impl_->log_service.Drain();
  impl_->listener.Shutdown(grace);
}

const ListenAddress& AdminServer::address() const { return impl_->listener.address; }

}  // namespace sluice
