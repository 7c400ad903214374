#include "server/admin/admin_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/translate.h"
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

class AdminService final : public v1::PolicyAdmin::Service {
 public:
  explicit AdminService(AdminServer::Parts parts)
      : parts_(std::move(parts)), questions_(parts_.engine, parts_.store, parts_.clock) {}

  void Drain() { draining_.store(true, std::memory_order_relaxed); }

  grpc::Status Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                     v1::ApplyResponse* response) override {
    return ToGrpc(ApplyOnce(*request, response));
  }

  grpc::Status ApplyStream(grpc::ServerContext* context,
                           grpc::ServerReaderWriter<v1::ApplyResponse, v1::ApplyRequest>* stream) override {
    v1::ApplyRequest request;
    v1::ApplyResponse response;
    while (stream->Read(&request)) {
      response.Clear();
      if (const absl::Status status = ApplyOnce(request, &response); !status.ok()) return ToGrpc(status);
      if (!stream->Write(response)) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status Describe(grpc::ServerContext* context, const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override {
    return ToGrpc(questions_.Describe(*request, response));
  }
  grpc::Status Explain(grpc::ServerContext* context, const v1::ExplainRequest* request,
                       v1::ExplainResponse* response) override {
    return ToGrpc(questions_.Explain(*request, response));
  }
  grpc::Status List(grpc::ServerContext* context, const v1::ListRequest* request, v1::ListResponse* response) override {
    return ToGrpc(questions_.List(*request, response));
  }

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::Announcement>* writer) override {
    const absl::Cleanup leave = [this] { watchers_.fetch_sub(1, std::memory_order_relaxed); };
    if (watchers_.fetch_add(1, std::memory_order_relaxed) >= kWatchersMax) {
      return ToGrpc(absl::ResourceExhaustedError(absl::StrCat("at most ", kWatchersMax, " watchers at once")));
    }
    // So that a watcher knows at once that it watches, and need not wait for the first announcement.
    writer->SendInitialMetadata();
    return ToGrpc(WatchFrom(request->from_revision(), context, writer));
  }

  grpc::Status Export(grpc::ServerContext* context, const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::ExportChunk>* writer) override {
    const absl::StatusOr<PolicyWriter::Snapshot> snapshot = parts_.writer->Export();
    if (!snapshot.ok()) return ToGrpc(snapshot.status());
    // Where it is not all sent the caller is gone, and nobody hears the answer.
    SendChunks(*snapshot, kChunkBytesMax, [writer](const v1::ExportChunk& chunk) { return writer->Write(chunk); });
    return grpc::Status::OK;
  }

  grpc::Status Import(grpc::ServerContext* context, grpc::ServerReader<v1::ExportChunk>* reader,
                      v1::ImportResponse* response) override {
    SnapshotReader chunks;
    v1::ExportChunk chunk;
    while (reader->Read(&chunk)) {
      if (const absl::Status status = chunks.Add(chunk); !status.ok()) return ToGrpc(status);
    }
    // A stream that broke ends like one that is complete; half an export must not become the policy.
    if (context->IsCancelled()) return ToGrpc(absl::CancelledError("the import was broken off; nothing was loaded"));
    const absl::StatusOr<PolicyWriter::Snapshot> snapshot = std::move(chunks).Finish();
    if (!snapshot.ok()) return ToGrpc(snapshot.status());
    if (const absl::Status status = parts_.writer->Import(*snapshot); !status.ok()) return ToGrpc(status);
    if (parts_.on_applied) parts_.on_applied();
    response->set_revision(snapshot->revision);
    response->set_events(static_cast<int64_t>(snapshot->events.size()));
    return grpc::Status::OK;
  }

 private:
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
  absl::Status WatchFrom(int64_t from, grpc::ServerContext* context, grpc::ServerWriter<v1::Announcement>* writer) {
    int64_t revision = from;
    size_t sent = 0;
    v1::Announcement message;
    while (!context->IsCancelled()) {
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
        if (!writer->Write(message)) return absl::OkStatus();
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

class DecisionLogService final : public v1::DecisionLog::Service {
 public:
  explicit DecisionLogService(const DecisionLog* decisions) : decisions_(decisions) {}

  grpc::Status Query(grpc::ServerContext* context, const v1::LogQuery* request,
                     grpc::ServerWriter<v1::DecisionRecord>* writer) override {
    if (request->limit() < 0) {
      return ToGrpc(absl::InvalidArgumentError(absl::StrCat("limit: wanted 0 or more, got ", request->limit())));
    }
    // A slow reader holds up no check: the log copies pointers and lets go before it calls.
    decisions_->Query(*request, [writer](const v1::DecisionRecord& record) { return writer->Write(record); });
    return grpc::Status::OK;
  }

 private:
  const DecisionLog* const decisions_;
};

}  // namespace

struct AdminServer::Impl {
  explicit Impl(Parts parts) : log_service(parts.decisions), admin_service(std::move(parts)) {}
  DecisionLogService log_service;
  AdminService admin_service;
  std::unique_ptr<grpc::Server> server;
  ListenAddress address;
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
  absl::StatusOr<std::unique_ptr<grpc::Server>> server =
      StartListener({options.address, options.mode, options.make_folder, kReceiveBytesMax}, &builder, &impl->address);
  if (!server.ok()) return server.status();
  impl->server = *std::move(server);
  auto result = std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
  result->SetServing(false);
  grpc::HealthCheckServiceInterface* health = result->impl_->server->GetHealthCheckService();
  health->SetServingStatus(v1::PolicyAdmin::service_full_name(), true);
  health->SetServingStatus(v1::DecisionLog::service_full_name(), true);
  return result;
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() { Shutdown(absl::ZeroDuration()); }

void AdminServer::SetServing(bool serving) { impl_->server->GetHealthCheckService()->SetServingStatus("", serving); }

void AdminServer::Shutdown(absl::Duration grace) {
  if (std::exchange(impl_->down, true)) return;
  impl_->admin_service.Drain();
  impl_->server->Shutdown(DeadlineAfter(grace));
}

const ListenAddress& AdminServer::address() const { return impl_->address; }

}  // namespace sluice
