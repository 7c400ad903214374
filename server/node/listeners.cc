#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/doors/door_options.h"
#include "server/doors/spop_session.h"
#include "server/node/named.h"
#include "server/node/node.h"

namespace sluice {
namespace {

// Of a thread, at once: strangers, each of whom can make OpenSSL hold 200 kB.
constexpr size_t kHandshakesMax = 256;

SessionLimits LimitsOf(const Config& config) {
  SessionLimits limits;
  if (config.overload_after > absl::ZeroDuration()) limits.wait_max = config.overload_after;
  return limits;
}

}  // namespace

absl::Status Node::Listen() {
  checker_ = std::make_unique<Checker>(&engine_, clock_.get(), &readiness_, &metrics_,
                                       std::vector<DecisionObserver*>{&metrics_, decision_log_.get(), &top_});
  if (config_.overload_after > absl::ZeroDuration()) checker_->SetShedAfter(config_.overload_after);
  methods_ = std::make_unique<EnforcementMethods>(checker_.get(), &router_);
  absl::StatusOr<DoorOptions> door_options = ReadDoorOptions(config_.doors);
  if (!door_options.ok()) return door_options.status();
  doors_ = std::make_unique<Doors>(*std::move(door_options), checker_.get(), &router_);
  if (absl::Status status = config_.listen_check_by_grpc ? StartCheckServer() : StartListener(); !status.ok()) {
    return Named("listen.check", status);
  }
  if (absl::Status status = StartTlsListener(); !status.ok()) return status;
  if (absl::Status status = StartDoors(); !status.ok()) return status;
  if (absl::Status status = StartAdmin(); !status.ok()) return status;
  return StartHttp();
}

absl::Status Node::StartListener() {
  absl::StatusOr<std::unique_ptr<Listener>> listener =
      Listener::Start({.address = config_.listen_check,
                       .rights = {config_.listen_check_mode, config_.listen_check_owner, config_.listen_check_group},
                       .make_folder = IsDefaultCheckAddress(config_.listen_check),
                       .threads = static_cast<int>(config_.threads),
                       .limits = LimitsOf(config_),
                       .buffers = &buffers_,
                       .inherited = surroundings_->sockets.check,
                       .metrics = &metrics_.wire()},
                      &router_);
  if (!listener.ok()) return listener.status();
  listeners_.push_back(*std::move(listener));
  logger_.Info("listening", {{"for", "checks"},
                             {"address", FormatListenAddress(listeners_.back()->address())},
                             {"inherited", surroundings_->sockets.check.has_value()},
                             {"engine", "own"}});
  return absl::OkStatus();
}

absl::Status Node::StartCheckServer() {
  absl::StatusOr<std::unique_ptr<CheckServer>> server =
      CheckServer::Start({.address = config_.listen_check,
                          .rights = {config_.listen_check_mode, config_.listen_check_owner, config_.listen_check_group},
                          .make_folder = IsDefaultCheckAddress(config_.listen_check),
                          .threads = static_cast<int>(config_.threads),
                          .inherited = surroundings_->sockets.check,
                          .memory_bytes_max = config_.listen_buffered_bytes_max},
                         checker_.get(), &router_);
  if (!server.ok()) return server.status();
  check_server_ = *std::move(server);
  logger_.Info("listening", {{"for", "checks"},
                             {"address", FormatListenAddress(check_server_->address())},
                             {"inherited", surroundings_->sockets.check.has_value()},
                             {"engine", "grpc"}});
  return absl::OkStatus();
}

absl::Status Node::StartTlsListener() {
  metrics_.SetSource(Metrics::Source::kCheckTlsInStep,
                     [this] { return tls_ == nullptr || tls_->in_step() ? 1.0 : 0.0; });
  if (!config_.listen_check_tls) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<TlsSource>> tls =
      TlsSource::Open({config_.check_tls_certificate, config_.check_tls_key, config_.check_tls_client_ca});
  if (!tls.ok()) return Named("check_tls", tls.status());
  tls_ = *std::move(tls);
  metrics_.SetSource(Metrics::Source::kCheckTlsEnds,
                     [this] { return absl::ToDoubleSeconds(tls_->ends() - absl::UnixEpoch()); });
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Start({.address = *config_.listen_check_tls,
                                                                        .threads = static_cast<int>(config_.threads),
                                                                        .newcomers_max = kHandshakesMax,
                                                                        .limits = LimitsOf(config_),
                                                                        .buffers = &buffers_,
                                                                        .metrics = &metrics_.wire(),
                                                                        .tls = tls_.get()},
                                                                       &router_);
  if (!listener.ok()) return Named("listen.check_tls", listener.status());
  listeners_.push_back(*std::move(listener));
  logger_.Info("listening",
               {{"for", "checks by mutual TLS"}, {"address", FormatListenAddress(listeners_.back()->address())}});
  return absl::OkStatus();
}

absl::Status Node::StartDoors() {
  const auto start = [this](absl::string_view key, absl::string_view what, const Listener::Options& options) {
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Start(options, &router_);
    if (!listener.ok()) return Named(key, listener.status());
    logger_.Info("listening", {{"for", what}, {"address", FormatListenAddress((*listener)->address())}});
    listeners_.push_back(*std::move(listener));
    return absl::OkStatus();
  };
  Listener::Options options;
  options.threads = static_cast<int>(config_.threads);
  options.limits = LimitsOf(config_);
  options.buffers = &buffers_;
  options.metrics = &metrics_.wire();
  options.rights.mode = config_.doors.listen_mode;
  if (config_.doors.listen) {
    options.address = *config_.doors.listen;
    if (absl::Status status = start("doors.listen", "gateways", options); !status.ok()) return status;
  }
  if (!config_.doors.spoe) return absl::OkStatus();
  options.address = *config_.doors.spoe;
  options.make_session = [this](MonotonicTime now) {
    return std::make_unique<SpopSession>(doors_->spoe(), &spoe_limits_, now);
  };
  return start("doors.spoe", "SPOE", options);
}

absl::Status Node::StartAdmin() {
  absl::StatusOr<std::unique_ptr<AccessSource>> access = AccessSource::Open(config_.admin_access);
  if (!access.ok()) return Named("admin.access", access.status());
  access_ = *std::move(access);
  metrics_.SetSource(Metrics::Source::kAccessInStep, [this] { return access_->in_step() ? 1.0 : 0.0; });
  metrics_.SetSource(Metrics::Source::kAccessRefused, [this] { return static_cast<double>(access_->refused()); });
  if (!config_.admin_tls_certificate.empty()) {
    metrics_.SetSource(Metrics::Source::kAdminTlsEnds, [this] {
      const absl::optional<absl::Time> end = EndOfCertificates(config_.admin_tls_certificate);
      return end ? absl::ToDoubleSeconds(*end - absl::UnixEpoch()) : 0.0;
    });
  }
  absl::StatusOr<std::unique_ptr<AdminServer>> admin_server =
      AdminServer::Start({.address = config_.listen_admin,
                          .rights = {config_.listen_admin_mode, config_.listen_admin_owner, config_.listen_admin_group},
                          .make_folder = IsDefaultAdminAddress(config_.listen_admin),
                          .inherited = surroundings_->sockets.admin,
                          .tls = {config_.admin_tls_certificate, config_.admin_tls_key, config_.admin_tls_client_ca}},
                         {.engine = &engine_,
                          .store = store_.get(),
                          .writer = writer_.get(),
                          .decisions = decision_log_.get(),
                          .clock = clock_.get(),
                          .top = &top_,
                          .access = access_.get(),
                          .logger = &logger_,
                          .counters = &metrics_.trust(),
                          .wire = &metrics_.wire(),
                          .on_applied = [this] { Refresh(); }});
  if (!admin_server.ok()) return Named("listen.admin", admin_server.status());
  admin_server_ = *std::move(admin_server);
  {
    absl::MutexLock lock(&refresh_mutex_);
    admin_started_ = true;
  }
  logger_.Info("listening", {{"for", "administration"},
                             {"address", FormatListenAddress(admin_server_->address())},
                             {"inherited", surroundings_->sockets.admin.has_value()}});
  return absl::OkStatus();
}

absl::Status Node::StartHttp() {
  if (!config_.listen_http) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<HttpServer>> http_server =
      HttpServer::Start(*config_.listen_http,
                        {.metrics = [this] { return metrics_.Text(); },
                         .readyz =
                             [this] {
                               return HttpReply{readiness_.ready() ? 200 : 503, absl::StrCat(readiness_.Text(), "\n")};
                             }});
  if (!http_server.ok()) return Named("listen.http", http_server.status());
  http_server_ = *std::move(http_server);
  logger_.Info("listening", {{"for", "metrics and health"}, {"address", FormatListenAddress(http_server_->address())}});
  return absl::OkStatus();
}

}  // namespace sluice
