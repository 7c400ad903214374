#include "server/admin/admin_server.h"

#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/translate.h"
#include "server/admin/byte_methods.h"
#include "server/admin/connection_bound.h"
#include "server/admin/gate.h"
#include "server/admin/health_service.h"
#include "server/admin/pace_guard.h"
#include "server/admin/peer_listener.h"
#include "server/admin/questions.h"
#include "server/admin/reflection_service.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/tls.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "store/policy_export.h"

namespace sluice {
namespace {

// 10,000 events of 3 kB.
constexpr int kReceiveBytesMax = 32 << 20;
// Blocking calls hold a thread each; above this gRPC answers RESOURCE_EXHAUSTED. Watchers leave half to others. Each
// server has as many of its own: no user of the Unix socket takes another's, and gRPC, which ends the process where a
// new server finds no thread left, always finds one.
constexpr int kThreadsMax = 2 * kWatchersMax;
// How long a connection of the Unix socket whose user is not known takes new calls. The next one is looked at anew, so
// that a change of the access file counts for whoever was there before it.
constexpr int kStrangerAgeMs = 5000;
constexpr size_t kAnnouncementsAtOnce = 1000;
// Of one request, how many refused events have a line of their own in the log.
constexpr int64_t kRefusalsTold = 16;
// How soon a watch notices that its watcher left, or that the server is to stop.
constexpr absl::Duration kWatchTick = absl::Milliseconds(500);
// How soon one who follows the decision log is told of what is new. Each look flushes the log.
constexpr absl::Duration kFollowTick = absl::Milliseconds(250);

// What the services of one node share, of whichever of its callers they are.
struct Shared {
  Shared(AdminServer::Parts given, const Pace& given_pace)
      : parts(std::move(given)),
        pace(given_pace),
        questions(parts.engine, parts.store, parts.clock, parts.top),
        connections({kAdminConnectionsMax, kAdminNewcomersMax, kAdminNewcomerBytesMax}, parts.clock, parts.logger,
                    parts.wire == nullptr ? nullptr : parts.wire->AddThread()),
        gate(parts.access, parts.logger, parts.counters, &connections) {}
  const AdminServer::Parts parts;
  const Pace pace;
  const Questions questions;
  ConnectionBound connections;
  const Gate gate;
  std::atomic<bool> draining{false};
  std::atomic<int> watchers{0};
  std::atomic<int> queries{0};
  std::atomic<int> exports{0};
};

// What the services of one server share: of one user of a Unix socket, or of TCP.
struct Served {
  Shared* shared;
  absl::optional<Credential::Peer> peer;
  std::atomic<bool> leaving{false};

  // Why calls that would go on by themselves are to end; OK where they are not.
  absl::Status Ending() const {
    if (shared->draining.load(std::memory_order_relaxed)) return absl::UnavailableError("the node is shutting down");
    if (leaving.load(std::memory_order_relaxed)) {
      return absl::UnavailableError("too many users of this machine at once: this one's connection makes place");
    }
    return absl::OkStatus();
  }
};

class AdminService final : public ByteService<v1::PolicyAdmin> {
 public:
  explicit AdminService(const Served* served)
      : ByteService(&served->shared->gate, served->peer),
        served_(*served),
        shared_(*served->shared),
        parts_(shared_.parts) {
    const Questions& questions = shared_.questions;
    ServeUnary<v1::ApplyRequest, v1::ApplyResponse>(
        AdminMethod::kApply,
        [this](const auto& request, auto* call, auto* response) { return ApplyOnce(request, call, response); });
    Serve<v1::ApplyRequest, v1::ApplyResponse>(AdminMethod::kApplyStream,
                                               [this](auto* stream) { return ApplyStream(stream); });
    ServeUnary<v1::DescribeRequest, v1::DescribeResponse>(
        AdminMethod::kDescribe,
        [&questions](const auto& request, auto*, auto* response) { return questions.Describe(request, response); });
    ServeUnary<v1::ExplainRequest, v1::ExplainResponse>(
        AdminMethod::kExplain,
        [&questions](const auto& request, auto*, auto* response) { return questions.Explain(request, response); });
    ServeUnary<v1::ListRequest, v1::ListResponse>(
        AdminMethod::kList,
        [&questions](const auto& request, auto*, auto* response) { return questions.List(request, response); });
    ServeUnary<v1::TopRequest, v1::TopResponse>(
        AdminMethod::kTop,
        [&questions](const auto& request, auto*, auto* response) { return questions.Top(request, response); });
    Serve<v1::WatchRequest, v1::Announcement>(AdminMethod::kWatch, [this](auto* stream) { return Watch(stream); });
    Serve<v1::ExportRequest, v1::ExportChunk>(AdminMethod::kExport, [this](auto* stream) { return Export(stream); });
    Serve<v1::ExportChunk, v1::ImportResponse>(AdminMethod::kImport, [this](auto* stream) { return Import(stream); });
  }

 private:
  using WatchStream = ByteStream<v1::WatchRequest, v1::Announcement>;

  absl::Status ApplyStream(ByteStream<v1::ApplyRequest, v1::ApplyResponse>* stream) {
    v1::ApplyRequest request;
    v1::ApplyResponse response;
    while (stream->Read(&request)) {
      response.Clear();
      if (absl::Status status = ApplyOnce(request, &stream->call(), &response); !status.ok()) return status;
      if (!stream->Write(response)) break;
    }
    return stream->status();
  }

  absl::Status Watch(WatchStream* stream) {
    v1::WatchRequest request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::Cleanup leave = [this] { shared_.watchers.fetch_sub(1, std::memory_order_relaxed); };
    if (shared_.watchers.fetch_add(1, std::memory_order_relaxed) >= kWatchersMax) {
      return absl::ResourceExhaustedError(absl::StrCat("at most ", kWatchersMax, " watchers at once"));
    }
    // So that a watcher knows at once that it watches, and need not wait for the first announcement.
    stream->SendInitialMetadata();
    gate().TellBegun(stream->call());
    return WatchFrom(request.from_revision(), stream);
  }

  absl::Status Export(ByteStream<v1::ExportRequest, v1::ExportChunk>* stream) {
    v1::ExportRequest request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::Cleanup leave = [this] { shared_.exports.fetch_sub(1, std::memory_order_relaxed); };
    if (shared_.exports.fetch_add(1, std::memory_order_relaxed) >= kExportsMax) {
      return absl::ResourceExhaustedError(absl::StrCat("at most ", kExportsMax, " exports at once"));
    }
    const absl::StatusOr<std::unique_ptr<StoreReader>> snapshot = parts_.store->Snapshot();
    if (!snapshot.ok()) return snapshot.status();
    PaceGuard guard(shared_.pace, [stream] { stream->Cancel(); });
    const absl::Status status = SendExport(**snapshot, kChunkBytesMax, [&](const v1::ExportChunk& chunk) {
      guard.BeginWait();
      return stream->Write(chunk) && guard.EndWait(chunk.ByteSizeLong());
    });
    return guard.behind() ? TooSlow("taken") : status;
  }

  absl::Status Import(ByteStream<v1::ExportChunk, v1::ImportResponse>* stream) {
    PaceGuard guard(shared_.pace, [stream] { stream->Cancel(); });
    const absl::StatusOr<PolicyWriter::Imported> imported =
        parts_.writer->Import([&](v1::ExportChunk* chunk) -> absl::StatusOr<bool> {
          guard.BeginWait();
          const bool read = stream->Read(chunk);
          if (!guard.EndWait(read ? chunk->ByteSizeLong() : 0)) return TooSlow("given");
          if (read) return true;
          if (!stream->status().ok()) return stream->status();
          // A stream that broke ends like one that is complete.
          if (stream->cancelled()) return absl::CancelledError("the import was broken off; nothing was loaded");
          return false;
        });
    if (!imported.ok()) return imported.status();
    if (parts_.on_applied) parts_.on_applied();
    v1::ImportResponse response;
    response.set_revision(imported->revision);
    response.set_events(imported->events);
    stream->Write(response);
    return absl::OkStatus();
  }

  absl::Status TooSlow(absl::string_view how) const {
    return absl::AbortedError(absl::StrCat("the export is ", how, " too slowly: wanted to wait at most ",
                                           shared_.pace.credit.count() / 1000, " s, and a second for each ",
                                           shared_.pace.bytes_per_second_min, " bytes"));
  }

  absl::Status ApplyOnce(const v1::ApplyRequest& request, AdminCall* call, v1::ApplyResponse* response) {
    if (request.events_size() > kEventsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("events: at most ", kEventsMax, " in a request, got ", request.events_size()));
    }
    std::vector<PolicyEvent> events;
    events.reserve(static_cast<size_t>(request.events_size()));
    int64_t refused = 0;
    for (const v1::PolicyEvent& message : request.events()) {
      PolicyEvent event = FromProto(message);
      if (!Authorize(call->grants, parts_.engine->pack(), &event) && ++refused <= kRefusalsTold) {
        gate().TellRefused(*call, event);
      }
      events.push_back(std::move(event));
    }
    const absl::StatusOr<ApplyResult> result = parts_.writer->Apply(std::move(events), parts_.clock->Now());
    if (!result.ok()) return result.status();
    if (parts_.on_applied) parts_.on_applied();
    for (const EventResult& one : result->results) {
      v1::EventResult* to = response->add_results();
      to->set_outcome(static_cast<v1::Outcome>(one.outcome));
      to->set_revision(one.revision);
      to->set_error(one.error);
      call->events.Add(one.outcome);
    }
    response->set_revision(result->revision);
    call->events.refused += refused;
    call->events.revision = result->revision;
    return absl::OkStatus();
  }

  // Several announcements may share a revision, and more of the last one may follow: `sent` of those with `revision`
  // have gone out already.
  absl::Status WatchFrom(int64_t from, WatchStream* stream) {
    int64_t revision = from;
    size_t sent = 0;
    v1::Announcement message;
    while (!stream->cancelled()) {
      if (const absl::Status ending = served_.Ending(); !ending.ok()) {
        return absl::Status(ending.code(), absl::StrCat(ending.message(), "; resume from revision ", revision));
      }
      const absl::StatusOr<std::vector<Announcement>> next =
          parts_.writer->Announcements(revision, sent + kAnnouncementsAtOnce);
      if (!next.ok()) return next.status();
      if (next->size() <= sent) {
        // `from` itself has not been told of yet where nothing was sent. None has revision 0: waiting for one newer
        // than -1 would not wait.
        parts_.writer->AwaitAnnouncement(sent == 0 ? std::max<int64_t>(revision - 1, 0) : revision,
                                         absl::Now() + kWatchTick);
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

  const Served& served_;
  Shared& shared_;
  const AdminServer::Parts& parts_;
};

class DecisionLogService final : public ByteService<v1::DecisionLog> {
 public:
  explicit DecisionLogService(const Served* served)
      : ByteService(&served->shared->gate, served->peer),
        served_(*served),
        shared_(*served->shared),
        decisions_(shared_.parts.decisions) {
    Serve<v1::LogQuery, v1::DecisionRecord>(AdminMethod::kQuery, [this](auto* stream) { return Query(stream); });
  }

 private:
  absl::Status Query(ByteStream<v1::LogQuery, v1::DecisionRecord>* stream) {
    v1::LogQuery request;
    if (absl::Status status = stream->ReadOnly(&request); !status.ok()) return status;
    const absl::Cleanup leave = [this] { shared_.queries.fetch_sub(1, std::memory_order_relaxed); };
    if (shared_.queries.fetch_add(1, std::memory_order_relaxed) >= kWatchersMax) {
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
      if (const absl::Status ending = served_.Ending(); !ending.ok()) return ending;
      if (request.limit() > 0) request.set_limit(left);
      absl::SleepFor(kFollowTick);
    }
  }

  const Served& served_;
  Shared& shared_;
  const DecisionSource* const decisions_;
};

// The services of one user of a Unix socket, or of TCP, and the server that serves them.
class Endpoint final : public PeerListener::Endpoint {
 public:
  Endpoint(Shared* shared, const absl::optional<Credential::Peer>& peer) : served_{shared, peer} {}

  absl::Status StartTcp(const AdminServer::Options& options) {
    const absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> credentials = CredentialsBy(options.tls);
    if (!credentials.ok()) return credentials.status();
    grpc::ServerBuilder builder;
    AddTo(&builder);
    absl::StatusOr<GrpcListener> started = StartListener(
        {options.address, options.rights, options.make_folder, kReceiveBytesMax, options.inherited, *credentials,
         [connections = &served_.shared->connections](int fd) { return connections->LetIn(fd, /*known=*/false); },
         [connections = &served_.shared->connections] { return connections->Look(); }},
        &builder);
    if (!started.ok()) return started.status();
    listener_ = *std::move(started);
    return absl::OkStatus();
  }
  // Connections come from PeerListener. False where gRPC cannot start.
  bool StartForPeer() {
    grpc::ServerBuilder builder;
    AddTo(&builder);
    SetBounds(kReceiveBytesMax, &builder);
    // Calls under way go on, for as long as they like: a token counts from whoever shows it.
    if (!served_.peer) builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kStrangerAgeMs);
    listener_.acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    listener_.server = builder.BuildAndStart();
    return listener_.server != nullptr;
  }

  void Shutdown(absl::Duration grace) { listener_.Shutdown(grace); }
  const ListenAddress& address() const { return listener_.address; }
  void SetServing(bool serving) override { health_.SetServing(serving); }
  grpc::Server& server() override { return *listener_.server; }
  grpc::experimental::ExternalConnectionAcceptor& acceptor() override { return *listener_.acceptor; }
  void Leave() override { served_.leaving.store(true, std::memory_order_relaxed); }

 private:
  void AddTo(grpc::ServerBuilder* builder) {
    builder->RegisterService(&admin_);
    builder->RegisterService(&log_);
    builder->RegisterService(&health_);
    builder->RegisterService(&reflection_);
    grpc::ResourceQuota quota("admin");
    quota.SetMaxThreads(kThreadsMax);
    builder->SetResourceQuota(quota);
  }

  Served served_;
  AdminService admin_{&served_};
  DecisionLogService log_{&served_};
  HealthService health_{{v1::DecisionLog::service_full_name(), v1::PolicyAdmin::service_full_name()}};
  ReflectionService reflection_{{"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
                                 v1::DecisionLog::service_full_name(), v1::PolicyAdmin::service_full_name()}};
  GrpcListener listener_;  // last: its server uses the others
};

}  // namespace

struct AdminServer::Impl {
  Impl(Parts parts, const Pace& pace) : shared(std::move(parts), pace) {}
  Shared shared;
  std::unique_ptr<Endpoint> tcp;
  std::unique_ptr<PeerListener> local;  // one of the two
  ListenAddress address;
  bool down = false;
};

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const Options& options, Parts parts) {
  HoldGrpc();
  auto impl = std::make_unique<Impl>(std::move(parts), options.pace);
  Impl* const one = impl.get();
  if ((options.inherited ? options.inherited->address : options.address).is_unix()) {
    PeerListener::Hooks hooks;
    hooks.make = [one](const absl::optional<Credential::Peer>& peer) -> std::unique_ptr<PeerListener::Endpoint> {
      auto endpoint = std::make_unique<Endpoint>(&one->shared, peer);
      if (!endpoint->StartForPeer()) return nullptr;
      return endpoint;
    };
    hooks.knows = [one](const Credential::Peer& peer) { return one->shared.gate.Knows(peer); };
    hooks.on_stranger = [one](const Credential::Peer& peer, int pid) {
      if (one->shared.parts.logger == nullptr) return;
      one->shared.parts.logger->Warning("stranger at the admin socket", {{"uid", peer.uid}, {"pid", pid}});
    };
    hooks.on_leave = [one](const Credential::Peer& peer, const Credential::Peer& newcomer) {
      if (one->shared.parts.logger == nullptr) return;
      one->shared.parts.logger->Warning("too many users at the admin socket",
                                        {{"cut", peer.uid}, {"for", newcomer.uid}, {"max", kPeersMax}});
    };
    hooks.let_in = [one](int fd, bool known) { return one->shared.connections.LetIn(fd, known); };
    absl::StatusOr<std::unique_ptr<PeerListener>> local = PeerListener::Start(
        {options.address, options.rights, options.make_folder, options.inherited}, std::move(hooks));
    if (!local.ok()) return local.status();
    impl->local = *std::move(local);
    impl->address = impl->local->address();
  } else {
    impl->tcp = std::make_unique<Endpoint>(&impl->shared, absl::nullopt);
    if (absl::Status status = impl->tcp->StartTcp(options); !status.ok()) return status;
    impl->address = impl->tcp->address();
  }
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() { Shutdown(absl::ZeroDuration()); }

void AdminServer::SetServing(bool serving) {
  if (impl_->tcp != nullptr) impl_->tcp->SetServing(serving);
  if (impl_->local != nullptr) impl_->local->SetServing(serving);
}

void AdminServer::Shutdown(absl::Duration grace) {
  if (std::exchange(impl_->down, true)) return;
  impl_->shared.draining.store(true, std::memory_order_relaxed);
  if (impl_->tcp != nullptr) impl_->tcp->Shutdown(grace);
  if (impl_->local != nullptr) impl_->local->Shutdown(DeadlineAfter(grace));
}

const ListenAddress& AdminServer::address() const { return impl_->address; }

}  // namespace sluice
