#include "server/node/node.h"

#include <signal.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "decision_log/legal_hold.h"
#include "server/node/named.h"
#include "server/ticker.h"

namespace sluice {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);

Store::PageCheck PageCheckBy(Config::StoreCheck check) {
  switch (check) {
    case Config::StoreCheck::kNever:
      return Store::PageCheck::kNever;
    case Config::StoreCheck::kUnclean:
      return Store::PageCheck::kUnlessClosed;
    case Config::StoreCheck::kAlways:
      break;
  }
  return Store::PageCheck::kAlways;
}

}  // namespace

Node::Node(const Config& config, std::unique_ptr<const Pack> pack, const Surroundings* surroundings)
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
      metrics_({std::string(Version()), pack_->name, pack_->digest}, &SystemClock::MonotonicNs),
      buffers_(static_cast<size_t>(config.listen_buffered_bytes_max)) {
  RouteLibraryLogs(&logger_);
  engine_.SetAbuseObserver(&abuse_);
  engine_.SetUsageObserver(&top_);
}

Node::~Node() { RouteLibraryLogs(nullptr); }

absl::Status Node::Start() {
  logger_.Info("agreement pack", {{"name", pack_->name},
                                  {"version", pack_->version},
                                  {"digest", pack_->digest},
                                  {"path", config_.pack_path.empty() ? "built in" : config_.pack_path}});
  if (absl::Status status = LoadPolicy(); !status.ok()) return status;
  if (absl::Status status = OpenDecisionLog(); !status.ok()) return status;
  SetSources();
  Refresh();  // before the first check can come: a policy that is too old is so from the start
  return Listen();
}

absl::Status Node::LoadPolicy() {
  const std::string usage_path = absl::StrCat(config_.store_path, "/usage");
  if (absl::Status status = UsageStore::AdoptKeptSecret(usage_path); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open({.path = config_.store_path,
                                                              .map_bytes = static_cast<size_t>(config_.store_map_bytes),
                                                              .page_check = PageCheckBy(config_.store_check)});
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  clock_ = std::make_unique<PolicyClock>(&system_clock_, store_->policy_time());
  // Before the policy: its keys are made under the secret that is kept there, and what is used counts on from there.
  absl::StatusOr<std::unique_ptr<UsageStore>> usage = UsageStore::Open(
      {.path = usage_path, .map_bytes = static_cast<size_t>(config_.store_map_bytes)}, &limiter_, clock_->Now());
  if (!usage.ok()) return usage.status();
  usage_ = *std::move(usage);
  absl::StatusOr<std::unique_ptr<PolicyWriter>> writer =
      PolicyWriter::Create(store_.get(), &index_, pack_.get(), &metrics_,
                           [this](const StampedEvent& event, bool fresh) { TakeOver(event, fresh); });
  if (!writer.ok()) return writer.status();
  writer_ = *std::move(writer);
  logger_.Info("policy loaded", {{"store", config_.store_path},
                                 {"revision", store_->revision()},
                                 {"accounts", index_.Read()->accounts()},
                                 {"bytes", store_->used_bytes()},
                                 {"bytes_bound", store_->map_bytes()}});
  return absl::OkStatus();
}

absl::Status Node::OpenDecisionLog() {
  DecisionLog::Options options;
  options.folder =
      config_.decision_log_path.empty() ? absl::StrCat(config_.store_path, "/decisions") : config_.decision_log_path;
  options.node = config_.node_name;
  options.clock = clock_.get();
  options.sample = config_.decision_log_sample;
  options.ring_bytes = config_.decision_log_ring_bytes;
  options.segment_bytes = config_.decision_log_segment_bytes;
  options.retention = {config_.decision_log_keep_for, config_.decision_log_keep_bytes};
  options.held = [this](RetentionLook::GoOn go_on) { return HeldTerms(index_, clock_->Now(), go_on); };
  options.tell = [this](bool grave, const std::string& text) {
    logger_.Log(grave ? LogLevel::kError : LogLevel::kInfo, "decision log", {{"text", text}});
  };
  absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(std::move(options));
  if (!log.ok()) return Named("decision_log.path", log.status());
  decision_log_ = *std::move(log);
  return absl::OkStatus();
}

void Node::Run(const StopSignals& signals, const CommandLine& command_line) {
  const ServiceManager& manager = surroundings_->manager;
  Refresh();
  last_state_ = readiness_.Text();
  // Apart from those that wait for the disk: a node whose disk hangs still decides, so it still has to find out that
  // its policy has become too old and that a credential was taken back, and it is not to be killed.
  Ticker watch_ticker(kTick, [this] { KeepWatch(); });
  Ticker policy_ticker(kTick, [this] { KeepPolicy(); });
  Ticker usage_ticker(kTick, [this] { KeepUsage(); });
  logger_.Info("started", {{"version", Version()}, {"ready", readiness_.ready()}, {"state", readiness_.Text()}});
  std::unique_ptr<Ticker> watchdog;
  if (manager.watchdog_interval() > absl::ZeroDuration()) {
    watchdog = std::make_unique<Ticker>(manager.watchdog_interval(), [this] { ProveAlive(); });
  }
  manager.Ready(readiness_.Text());  // whatever the state: a first policy can only be applied to a node that is up
  const int received = signals.Await([this, &command_line] { Reload(command_line); });
  // First of all, and before anything that may wait: nobody new is to come.
  readiness_.Drain();
  Refresh();
  manager.Stopping();
  logger_.Info("stopping", {{"signal", received == SIGTERM ? "SIGTERM" : "SIGINT"},
                            {"drain", absl::FormatDuration(config_.drain)}});
  const absl::Time deadline = absl::Now() + config_.drain;
  const auto grace = [deadline] { return std::max(absl::ZeroDuration(), deadline - absl::Now()); };
  for (const auto& listener : listeners_) listener->Shutdown(grace());
  if (check_server_ != nullptr) check_server_->Shutdown(grace());
  admin_server_->Shutdown(grace());
  // The tickers last: a drain may take minutes, in which a credential can be taken back; and one that waits for the
  // disk must hold up nobody.
  watch_ticker.Stop();
  policy_ticker.Stop();
  usage_ticker.Stop();
  KeepUsage();
  logger_.Info("stopped", {{"revision", store_->revision()}});
}

absl::Duration Node::PolicyAge() const {
  if (!index_.Read()->ready()) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), clock_->Now().wall - store_->fed_at());
}

void Node::Refresh() {
  // Together, so that of two threads the later one also says it last: else health could be back at what it was before
  // the drain.
  absl::MutexLock lock(&refresh_mutex_);
  const bool has_policy = index_.Read()->ready();
  const bool bounded = config_.policy_max_age > absl::ZeroDuration();
  readiness_.SetHasPolicy(has_policy);
  readiness_.SetStale(bounded && PolicyAge() > config_.policy_max_age);
  if (health_.SetServing(readiness_.ready())) {
    for (const auto& listener : listeners_) listener->NotifyWatchers();
    if (check_server_ != nullptr) check_server_->NotifyWatchers();
  }
  // An event may be applied before Listen has come to the next line.
  if (admin_started_) admin_server_->SetServing(readiness_.ready());
}

void Node::TakeOver(const StampedEvent& event, bool fresh) {
  if (absl::Status status = engine_.TakeOver(event, fresh, clock_->Now()); !status.ok()) {
    logger_.Error("usage", {{"error", status.ToString()}});
  }
}

void Node::KeepUsage() {
  const absl::Status status = usage_->Flush(clock_->Now());
  if (!status.ok() && status != last_flush_) logger_.Error("usage", {{"error", status.ToString()}});
  last_flush_ = status;
}

void Node::KeepWatch() {
  Refresh();
  if (readiness_.Text() != last_state_) surroundings_->manager.Status(readiness_.Text());
  last_state_ = readiness_.Text();
  const absl::StatusOr<AccessSource::Change> access = access_->Refresh();
  if (!access.ok()) {
    logger_.Error("access file", {{"error", access.status().message()}, {"in_force", "the last good one"}});
  } else if (*access == AccessSource::Change::kTaken) {
    logger_.Info("access file", {{"path", config_.admin_access}, {"in_force", "as it is now"}});
  }
  if (tls_ != nullptr) RefreshTls();
}

void Node::KeepPolicy() {
  const Moment now = clock_->Now();
  const std::vector<PolicyEvent> due = abuse_.Due(*index_.Read(), now);
  const absl::Status status = due.empty() ? writer_->Tick(now) : writer_->Apply(due, now).status();
  // Every second the same would drown the rest.
  if (!status.ok() && status != last_tick_) logger_.Error("announcements", {{"error", status.ToString()}});
  last_tick_ = status;
  if (absl::Now() >= census_due_) TakeCensus();
}

void Node::RefreshTls() {
  const absl::StatusOr<TlsSource::Change> tls = tls_->Refresh();
  if (!tls.ok()) {
    logger_.Error("check_tls", {{"error", tls.status().message()}, {"in_force", "the last good files"}});
  } else if (*tls == TlsSource::Change::kTaken) {
    logger_.Info("check_tls", {{"certificate", config_.check_tls_certificate}, {"in_force", "as it is now"}});
  }
}

void Node::ProveAlive() {
  CheckInput input;
  input.operation = Operation::kDownload;
  engine_.Explain(input, clock_->Now(), nullptr);
  surroundings_->manager.Alive();
}

void Node::Reload(const CommandLine& command_line) {
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

}  // namespace sluice
