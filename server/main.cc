// sluiced: the sidecar. The one file that knows every part: it makes them, in order, and takes them down again.
//
// Exit codes: 0 stopped as asked, 1 a failure at run time, 2 a wrong configuration or command line.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agreement/loader.h"
#include "decision_log/decision_log.h"
#include "decision_log/legal_hold.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/census.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "enforcement/top.h"
#include "metrics/metrics.h"
#include "server/access_source.h"
#include "server/admin/admin_server.h"
#include "server/config.h"
#include "server/confine.h"
#include "server/doors/door_options.h"
#include "server/doors/doors.h"
#include "server/doors/spop_session.h"
#include "server/http_server.h"
#include "server/listen/check_server.h"
#include "server/listen/checker.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/health.h"
#include "server/listen/inherited_sockets.h"
#include "server/listen/listener.h"
#include "server/listen/reflection.h"
#include "server/listen/router.h"
#include "server/log/logger.h"
#include "server/readiness.h"
#include "server/service_manager.h"
#include "server/system_clock.h"
#include "server/ticker.h"
#include "store/policy_writer.h"
#include "store/rule_census.h"
#include "store/store.h"
#include "store/usage_store.h"

namespace sluice {
namespace {

constexpr int kStopped = 0;
constexpr int kFailed = 1;
constexpr int kMisconfigured = 2;

constexpr absl::Duration kTick = absl::Seconds(1);
// How long at least lies between two counts of accounts and rules.
constexpr absl::Duration kCensusPause = absl::Seconds(5);

void Complain(absl::string_view message) { fprintf(stderr, "sluiced: %s\n", std::string(message).c_str()); }

// SIGTERM, SIGINT and SIGHUP wait until somebody asks for them. Before the first thread starts, which then inherits it.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGXFSZ, SIG_IGN);  // a file over its limit is a full disk
  signal(SIGPIPE, SIG_IGN);  // a caller that hangs up is an error of one write, not the end of the process
  return signals;
}

// Blocks until a stop signal comes; a second one kills at once. `reload` is called for each SIGHUP before it.
int AwaitStopSignal(const sigset_t& signals, const std::function<void()>& reload) {
  int received = 0;
  while (sigwait(&signals, &received) == 0 && received == SIGHUP) reload();
  sigset_t stop = signals;
  sigdelset(&stop, SIGHUP);  // which is no reason to die while draining
  pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
  return received;
}

// What whoever started the process handed over with it.
struct Surroundings {
  ServiceManager manager;
  InheritedSockets sockets;
};

// The parts, in the order in which they are made; destroyed the other way round.
class Node {
 public:
  Node(const Config& config, std::unique_ptr<const Pack> pack, const Surroundings* surroundings)
      : config_(config),
        surroundings_(surroundings),
        logger_(config.log_level, config.log_format),
        pack_(std::move(pack)),
        system_clock_(config.node_clock_error),
        limiter_({.cells = static_cast<size_t>(config.limits_cells)}),
        index_(pack_.get()),
        engine_(pack_.get(), &index_, &limiter_,
                NodeOptions{config.node_region, config.node_dialect, static_cast<int>(config.node_fleet_size),
                            config.failure}),
        abuse_(*pack_, &limiter_),
        metrics_({std::string(Version()), pack_->name, pack_->digest}, &SystemClock::MonotonicNs) {
    RouteLibraryLogs(&logger_);
    engine_.SetAbuseObserver(&abuse_);
    engine_.SetUsageObserver(&top_);
  }

  ~Node() { RouteLibraryLogs(nullptr); }

  // Opens the store, loads the policy and starts to listen.
  absl::Status Start() {
    logger_.Info("agreement pack", {{"name", pack_->name},
                                    {"version", pack_->version},
                                    {"digest", pack_->digest},
                                    {"path", config_.pack_path.empty() ? "built in" : config_.pack_path}});
    if (absl::Status status = LoadPolicy(); !status.ok()) return status;
    if (absl::Status status = OpenDecisionLog(); !status.ok()) return status;
    SetSources();
    return Listen();
  }

  // Answers until a stop signal comes, then drains. SIGHUP reads the configuration again, by `command_line`.
  void Run(const sigset_t& signals, const CommandLine& command_line) {
    const ServiceManager& manager = surroundings_->manager;
    Refresh();
    last_state_ = readiness_.Text();
    Ticker ticker(kTick, [this] { Tick(); });
    Ticker usage_ticker(kTick, [this] { KeepUsage(); });
    logger_.Info("started", {{"version", Version()}, {"ready", readiness_.ready()}, {"state", readiness_.Text()}});
    // Apart from the ticker, which waits for the disk: a node whose disk hangs still decides, and is not to be killed.
    std::unique_ptr<Ticker> watchdog;
    if (manager.watchdog_interval() > absl::ZeroDuration()) {
      watchdog = std::make_unique<Ticker>(manager.watchdog_interval(), [this] { ProveAlive(); });
    }
    manager.Ready(readiness_.Text());  // whatever the state: a first policy can only be applied to a node that is up
    const int received = AwaitStopSignal(signals, [this, &command_line] { Reload(command_line); });
    manager.Stopping();
    logger_.Info("stopping", {{"signal", received == SIGTERM ? "SIGTERM" : "SIGINT"},
                              {"drain", absl::FormatDuration(config_.drain)}});
    ticker.Stop();
    readiness_.Drain();
    Refresh();
    const absl::Time deadline = absl::Now() + config_.drain;
    if (listener_ != nullptr) listener_->Shutdown(config_.drain);
    for (const auto& listener : door_listeners_) {
      listener->Shutdown(std::max(absl::ZeroDuration(), deadline - absl::Now()));
    }
    if (check_server_ != nullptr) check_server_->Shutdown(config_.drain);
    admin_server_->Shutdown(std::max(absl::ZeroDuration(), deadline - absl::Now()));
    usage_ticker.Stop();
    KeepUsage();
    logger_.Info("stopped", {{"revision", store_->revision()}});
  }

  const Logger& logger() const { return logger_; }

 private:
  absl::Status LoadPolicy() {
    absl::StatusOr<std::unique_ptr<Store>> store =
        Store::Open({.path = config_.store_path,
                     .map_bytes = static_cast<size_t>(config_.store_map_bytes),
                     .check_pages = config_.store_check_at_start});
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    clock_ = std::make_unique<PolicyClock>(&system_clock_, store_->policy_time());
    // Before the policy: its keys are made under the secret that is kept there, and what is used counts on from there.
    absl::StatusOr<std::unique_ptr<UsageStore>> usage = UsageStore::Open(
        {.path = absl::StrCat(config_.store_path, "/usage"), .map_bytes = static_cast<size_t>(config_.store_map_bytes)},
        &limiter_, clock_->Now());
    if (!usage.ok()) return usage.status();
    usage_ = *std::move(usage);
    absl::StatusOr<std::unique_ptr<PolicyWriter>> writer = PolicyWriter::Create(
        store_.get(), &index_, pack_.get(), &metrics_, [this](const StampedEvent& event) { TakeOver(event); });
    if (!writer.ok()) return writer.status();
    writer_ = *std::move(writer);
    logger_.Info("policy loaded", {{"store", config_.store_path},
                                   {"revision", store_->revision()},
                                   {"accounts", index_.Read()->accounts()},
                                   {"bytes", store_->used_bytes()},
                                   {"bytes_bound", store_->map_bytes()}});
    return absl::OkStatus();
  }

  absl::Status OpenDecisionLog() {
    DecisionLog::Options options;
    options.folder =
        config_.decision_log_path.empty() ? absl::StrCat(config_.store_path, "/decisions") : config_.decision_log_path;
    options.node = config_.node_name;
    options.clock = clock_.get();
    options.sample = config_.decision_log_sample;
    options.ring_bytes = config_.decision_log_ring_bytes;
    options.segment_bytes = config_.decision_log_segment_bytes;
    options.retention = {config_.decision_log_keep_for, config_.decision_log_keep_bytes};
    options.held = [this] { return HeldTerms(*index_.Read(), clock_->Now()); };
    options.tell = [this](bool grave, const std::string& text) {
      logger_.Log(grave ? LogLevel::kError : LogLevel::kInfo, "decision log", {{"text", text}});
    };
    absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(std::move(options));
    if (!log.ok()) return Named("decision_log.path", log.status());
    decision_log_ = *std::move(log);
    return absl::OkStatus();
  }

  absl::Status StartListener() {
    methods_ = std::make_unique<EnforcementMethods>(checker_.get(), &router_);
    absl::StatusOr<std::unique_ptr<Listener>> listener =
        Listener::Start({.address = config_.listen_check,
                         .rights = {config_.listen_check_mode, config_.listen_check_owner, config_.listen_check_group},
                         .make_folder = IsDefaultCheckAddress(config_.listen_check),
                         .threads = static_cast<int>(config_.threads),
                         .inherited = surroundings_->sockets.check},
                        &router_);
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    logger_.Info("listening", {{"for", "checks"},
                               {"address", FormatListenAddress(listener_->address())},
                               {"inherited", surroundings_->sockets.check.has_value()},
                               {"engine", "own"}});
    return absl::OkStatus();
  }

  // The yardstick of the listener, and the fallback.
  absl::Status StartCheckServer() {
    absl::StatusOr<std::unique_ptr<CheckServer>> server = CheckServer::Start(
        {.address = config_.listen_check,
         .rights = {config_.listen_check_mode, config_.listen_check_owner, config_.listen_check_group},
         .make_folder = IsDefaultCheckAddress(config_.listen_check),
         .threads = static_cast<int>(config_.threads),
         .inherited = surroundings_->sockets.check},
        checker_.get());
    if (!server.ok()) return server.status();
    check_server_ = *std::move(server);
    logger_.Info("listening", {{"for", "checks"},
                               {"address", FormatListenAddress(check_server_->address())},
                               {"inherited", surroundings_->sockets.check.has_value()},
                               {"engine", "grpc"}});
    return absl::OkStatus();
  }

  // The same as listen.check for gateways that speak TCP alone, and HAProxy's SPOE.
  absl::Status StartDoors() {
    const auto start = [this](absl::string_view key, absl::string_view what, const Listener::Options& options) {
      absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Start(options, &router_);
      if (!listener.ok()) return Named(key, listener.status());
      logger_.Info("listening", {{"for", what}, {"address", FormatListenAddress((*listener)->address())}});
      door_listeners_.push_back(*std::move(listener));
      return absl::OkStatus();
    };
    Listener::Options options;
    options.threads = static_cast<int>(config_.threads);
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

  absl::Status Listen() {
    checker_ = std::make_unique<Checker>(&engine_, clock_.get(), &readiness_, &metrics_,
                                         std::vector<DecisionObserver*>{&metrics_, decision_log_.get(), &top_});
    if (config_.overload_after > absl::ZeroDuration()) checker_->SetShedAfter(config_.overload_after);
    absl::StatusOr<DoorOptions> door_options = ReadDoorOptions(config_.doors);
    if (!door_options.ok()) return door_options.status();
    doors_ = std::make_unique<Doors>(*std::move(door_options), checker_.get(), &router_);
    if (absl::Status status = config_.listen_check_by_grpc ? StartCheckServer() : StartListener(); !status.ok()) {
      return Named("listen.check", status);
    }
    if (absl::Status status = StartDoors(); !status.ok()) return status;

    absl::StatusOr<std::unique_ptr<AccessSource>> access = AccessSource::Open(config_.admin_access);
    if (!access.ok()) return Named("admin.access", access.status());
    access_ = *std::move(access);
    metrics_.SetSource(Metrics::Source::kAccessInStep, [this] { return access_->in_step() ? 1.0 : 0.0; });
    metrics_.SetSource(Metrics::Source::kAccessRefused, [this] { return static_cast<double>(access_->refused()); });
    absl::StatusOr<std::unique_ptr<AdminServer>> admin_server = AdminServer::Start(
        {.address = config_.listen_admin,
         .rights = {config_.listen_admin_mode, config_.listen_admin_owner, config_.listen_admin_group},
         .make_folder = IsDefaultAdminAddress(config_.listen_admin),
         .inherited = surroundings_->sockets.admin,
         .tls_certificate = config_.admin_tls_certificate,
         .tls_key = config_.admin_tls_key,
         .tls_client_ca = config_.admin_tls_client_ca},
        {.engine = &engine_,
         .store = store_.get(),
         .writer = writer_.get(),
         .decisions = decision_log_.get(),
         .clock = clock_.get(),
         .top = &top_,
         .access = access_.get(),
         .logger = &logger_,
         .counters = &metrics_.trust(),
         .on_applied = [this] { Refresh(); }});
    if (!admin_server.ok()) return Named("listen.admin", admin_server.status());
    admin_server_ = *std::move(admin_server);
    admin_started_.store(true, std::memory_order_release);
    logger_.Info("listening", {{"for", "administration"},
                               {"address", FormatListenAddress(admin_server_->address())},
                               {"inherited", surroundings_->sockets.admin.has_value()}});

    if (!config_.listen_http) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<HttpServer>> http_server = HttpServer::Start(
        *config_.listen_http,
        {.metrics = [this] { return metrics_.Text(); },
         .readyz =
             [this] {
               return HttpReply{readiness_.ready() ? 200 : 503, absl::StrCat(readiness_.Text(), "\n")};
             }},
        &logger_);
    if (!http_server.ok()) return Named("listen.http", http_server.status());
    http_server_ = *std::move(http_server);
    logger_.Info("listening",
                 {{"for", "metrics and health"}, {"address", FormatListenAddress(http_server_->address())}});
    return absl::OkStatus();
  }

  void SetSources() {
    using Source = Metrics::Source;
    metrics_.SetLog([this] { return FiguresOf(*decision_log_); });
    metrics_.SetConfig({{"region", config_.node_region},
                        {"dialect", std::string(Name(config_.node_dialect))},
                        {"fleet_size", absl::StrCat(config_.node_fleet_size)},
                        {"policy_max_age", absl::FormatDuration(config_.policy_max_age)},
                        {"decision_log_sample", absl::StrCat(config_.decision_log_sample)},
                        {"decision_log_keep_for", absl::FormatDuration(config_.decision_log_keep_for)}});
    metrics_.SetSource(Source::kPolicyRevision, [this] { return static_cast<double>(store_->revision()); });
    metrics_.SetSource(Source::kPolicyAgeSeconds, [this] { return absl::ToDoubleSeconds(PolicyAge()); });
    metrics_.SetSource(Source::kPolicyStale, [this] { return readiness_.stale() ? 1.0 : 0.0; });
    metrics_.SetSource(Source::kStoreBytes, [this] { return static_cast<double>(store_->used_bytes()); });
    metrics_.SetSource(Source::kStoreBoundBytes, [this] { return static_cast<double>(store_->map_bytes()); });
    metrics_.SetSource(Source::kLimiterCells, [this] { return static_cast<double>(limiter_.cells()); });
    metrics_.SetSource(Source::kLimiterEvictedLive, [this] { return static_cast<double>(limiter_.evicted_live()); });
    metrics_.SetSource(Source::kLimiterLeases, [this] { return static_cast<double>(limiter_.leases().size()); });
    metrics_.SetSource(Source::kLimiterEvictedSpent, [this] { return static_cast<double>(limiter_.evicted_spent()); });
    metrics_.SetSource(Source::kLimiterLeasesUntracked,
                       [this] { return static_cast<double>(limiter_.leases().untracked()); });
    metrics_.SetSource(Source::kLedgerAmounts, [this] { return static_cast<double>(limiter_.ledger().size()); });
    metrics_.SetSource(Source::kLedgerTurnedAway,
                       [this] { return static_cast<double>(limiter_.ledger().turned_away()); });
    metrics_.SetSource(Source::kReady, [this] { return readiness_.ready() ? 1.0 : 0.0; });
  }

  static Metrics::LogFigures FiguresOf(const DecisionLog& log) {
    const DecisionLog::Figures figures = log.figures();
    Metrics::LogFigures shown;
    for (int i = 0; i < kLogClassCount; ++i) {
      shown.classes.push_back({Name(static_cast<LogClass>(i)), figures.written[i], figures.dropped[i]});
    }
    shown.bytes_written = figures.bytes_written;
    shown.write_failures = figures.write_failures;
    shown.failing = figures.failing;
    shown.folder_bytes = figures.folder_bytes;
    shown.segments = figures.segments;
    shown.held_segments = figures.held_segments;
    shown.removed_segments = figures.removed_segments;
    shown.oldest_seconds = static_cast<double>(figures.oldest_ns) / 1e9;
    return shown;
  }

  // Counts what the policy holds, for the metrics. Takes no more than a hundredth of the time.
  void TakeCensus() {
    const Moment now = clock_->Now();
    Census census;
    CountAccounts(*index_.Read(), now, &census);
    const absl::Status status = CountRules(*store_, now.wall, &census);
    const absl::Duration took = absl::Nanoseconds(clock_->Now().mono.ns - now.mono.ns);
    census_due_ = absl::Now() + std::max(kCensusPause, 100 * took);
    if (status.ok()) {
      metrics_.SetCensus(census, took);
    } else {
      logger_.Warning("census", {{"error", status.ToString()}});
    }
  }

  // Since the last change; zero where there was none.
  absl::Duration PolicyAge() const {
    if (!index_.Read()->ready()) return absl::ZeroDuration();
    return std::max(absl::ZeroDuration(), clock_->Now().wall - store_->policy_time());
  }

  // Brings what health says up to date. Any thread.
  void Refresh() {
    const bool has_policy = index_.Read()->ready();
    const bool bounded = config_.policy_max_age > absl::ZeroDuration();
    readiness_.SetHasPolicy(has_policy);
    readiness_.SetStale(bounded && PolicyAge() > config_.policy_max_age);
    if (check_server_ != nullptr) check_server_->SetServing(readiness_.ready());
    if (health_.SetServing(readiness_.ready()) && listener_ != nullptr) listener_->NotifyWatchers();
    // An event may be applied before Listen has come to the next line.
    if (admin_started_.load(std::memory_order_acquire)) admin_server_->SetServing(readiness_.ready());
  }

  void TakeOver(const StampedEvent& event) {
    if (absl::Status status = engine_.TakeOver(event, clock_->Now()); !status.ok()) {
      logger_.Error("usage", {{"error", status.ToString()}});
    }
  }

  void KeepUsage() {
    const absl::Status status = usage_->Flush(clock_->Now());
    if (!status.ok() && status != last_flush_) logger_.Error("usage", {{"error", status.ToString()}});
    last_flush_ = status;
  }

  void Tick() {
    const Moment now = clock_->Now();
    const std::vector<PolicyEvent> due = abuse_.Due(*index_.Read(), now);
    const absl::Status status = due.empty() ? writer_->Tick(now) : writer_->Apply(due, now).status();
    // Every second the same would drown the rest.
    if (!status.ok() && status != last_tick_) logger_.Error("announcements", {{"error", status.ToString()}});
    last_tick_ = status;
    const absl::StatusOr<AccessSource::Change> access = access_->Refresh();
    if (!access.ok()) {
      logger_.Error("access file", {{"error", access.status().message()}, {"in_force", "the last good one"}});
    } else if (*access == AccessSource::Change::kTaken) {
      logger_.Info("access file", {{"path", config_.admin_access}, {"in_force", "as it is now"}});
    }
    Refresh();
    if (readiness_.Text() != last_state_) surroundings_->manager.Status(readiness_.Text());
    last_state_ = readiness_.Text();
    if (absl::Now() >= census_due_) TakeCensus();
  }

  // Tells the service manager that this process decides, by deciding. Explain spends nothing and is observed by nobody.
  void ProveAlive() {
    CheckInput input;
    input.operation = Operation::kDownload;
    engine_.Explain(input, clock_->Now(), nullptr);
    surroundings_->manager.Alive();
  }

  // Applies what can change while running, says what cannot. A configuration with a fault changes nothing.
  void Reload(const CommandLine& command_line) {
    surroundings_->manager.Reloading();
    const absl::StatusOr<EffectiveConfig> fresh = LoadConfig(command_line);
    if (fresh.ok()) {
      const std::vector<absl::string_view> waiting = KeysForRestart(config_, fresh->config);
      logger_.Log(waiting.empty() ? LogLevel::kInfo : LogLevel::kWarning, "configuration read",
                  {{"log.level", Name(fresh->config.log_level)}, {"needs_restart", absl::StrJoin(waiting, " ")}});
      logger_.SetLevel(fresh->config.log_level);
    } else {
      logger_.Error("configuration refused; the one before stays in force", {{"error", fresh.status().message()}});
    }
    surroundings_->manager.Ready(readiness_.Text());
  }

  static absl::Status Named(absl::string_view key, const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(key, ": ", status.message()));
  }

  const Config config_;
  const Surroundings* const surroundings_;
  Logger logger_;
  const std::unique_ptr<const Pack> pack_;
  const SystemClock system_clock_;
  Limiter limiter_;
  PolicyIndex index_;
  Engine engine_;
  AbuseGuard abuse_;
  Top top_;
  Readiness readiness_;
  absl::string_view last_state_;  // what the service manager was told
  Metrics metrics_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PolicyClock> clock_;
  std::unique_ptr<UsageStore> usage_;
  std::unique_ptr<PolicyWriter> writer_;
  std::unique_ptr<DecisionLog> decision_log_;
  std::unique_ptr<Checker> checker_;
  // What the listener of the data path answers, by path.
  Router router_;
  Health health_{&router_};
  Reflection reflection_{&router_};
  std::unique_ptr<EnforcementMethods> methods_;
  std::unique_ptr<Doors> doors_;
  const SessionLimits spoe_limits_;
  std::unique_ptr<Listener> listener_;  // one of these two
  std::vector<std::unique_ptr<Listener>> door_listeners_;
  std::unique_ptr<CheckServer> check_server_;
  std::unique_ptr<AccessSource> access_;
  std::unique_ptr<AdminServer> admin_server_;
  std::atomic<bool> admin_started_{false};
  std::unique_ptr<HttpServer> http_server_;
  absl::Status last_tick_;
  absl::Status last_flush_;
  absl::Time census_due_;  // of the ticker's thread
};

absl::StatusOr<Surroundings> LookAround() {
  absl::StatusOr<ServiceManager> manager = ServiceManager::FromEnvironment();
  if (!manager.ok()) return manager.status();
  absl::StatusOr<InheritedSockets> sockets = TakeInheritedSockets();
  if (!sockets.ok()) return sockets.status();
  return Surroundings{*std::move(manager), *std::move(sockets)};
}

int Main(int argc, char** argv) {
  const absl::StatusOr<CommandLine> command_line = ParseCommandLine(argc, argv);
  if (!command_line.ok()) {
    Complain(command_line.status().message());
    return kMisconfigured;
  }
  if (!command_line->print.empty()) {
    printf("%s", command_line->print.c_str());
    return kStopped;
  }
  const absl::StatusOr<EffectiveConfig> effective = LoadConfig(*command_line);
  if (!effective.ok()) {
    Complain(effective.status().message());
    return kMisconfigured;
  }
  const Config& config = effective->config;
  absl::StatusOr<std::unique_ptr<const Pack>> pack =
      config.pack_path.empty() ? LoadDefaultPack() : LoadPackFile(config.pack_path);
  if (!pack.ok()) {
    Complain(absl::StrCat("pack: ", pack.status().message()));
    return kMisconfigured;
  }
  if (command_line->check_config) {
    printf("%s", FormatConfig(*effective).c_str());
    return kStopped;
  }

  const absl::StatusOr<Surroundings> surroundings = LookAround();
  if (!surroundings.ok()) {
    Complain(surroundings.status().message());
    return kMisconfigured;
  }
  if (const absl::Status status = CheckInherited(*effective, surroundings->sockets); !status.ok()) {
    Complain(status.message());
    return kMisconfigured;
  }
  const sigset_t signals = BlockSignals();
  const absl::Status confined = config.confine ? Confine() : absl::OkStatus();  // before the first thread
  Node node(config, *std::move(pack), &*surroundings);
  if (!confined.ok()) {
    node.logger().Error("cannot start", {{"error", confined.message()}, {"key", "confine"}});
    return kFailed;
  }
  if (const absl::Status status = node.Start(); !status.ok()) {
    node.logger().Error("cannot start", {{"error", status.message()}});
    return kFailed;
  }
  node.Run(signals, *command_line);
  return kStopped;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
