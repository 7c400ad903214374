// A running node: the one place, with main.cc, that knows every part. It makes them, in order, and takes them down
// again.
#ifndef SLUICE_SERVER_NODE_NODE_H_
#define SLUICE_SERVER_NODE_NODE_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "decision_log/decision_log.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "enforcement/policy_index.h"
#include "enforcement/top.h"
#include "metrics/metrics.h"
#include "server/access_source.h"
#include "server/admin/admin_server.h"
#include "server/config.h"
#include "server/doors/doors.h"
#include "server/http_server.h"
#include "server/listen/buffer_budget.h"
#include "server/listen/check_server.h"
#include "server/listen/checker.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/health.h"
#include "server/listen/inherited_sockets.h"
#include "server/listen/listener.h"
#include "server/listen/reflection.h"
#include "server/listen/router.h"
#include "server/listen/tls_source.h"
#include "server/log/logger.h"
#include "server/readiness.h"
#include "server/service_manager.h"
#include "server/stop_signals.h"
#include "server/system_clock.h"
#include "store/policy_writer.h"
#include "store/store.h"
#include "store/usage_store.h"

namespace sluice {

// What whoever started the process handed over with it.
struct Surroundings {
  ServiceManager manager;
  InheritedSockets sockets;
};

class Node {
 public:
  // Makes what cannot fail; touches neither disk nor sockets. `surroundings` must outlive the node.
  Node(const Config& config, std::unique_ptr<const Pack> pack, const Surroundings* surroundings);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Opens the store, loads the policy and starts to listen. Errors name the key of the configuration at fault. Once.
  absl::Status Start();

  // Answers until a stop signal comes, then drains. SIGHUP reads the configuration again, by `command_line`. Blocks.
  // REQUIRES: Start succeeded.
  void Run(const StopSignals& signals, const CommandLine& command_line);

  const Logger& logger() const { return logger_; }

 private:
  absl::Status LoadPolicy();
  absl::Status OpenDecisionLog();

  // listeners.cc
  absl::Status Listen();
  absl::Status StartListener();
  absl::Status StartCheckServer();  // the yardstick of the listener, and the fallback
  absl::Status StartTlsListener();  // beside either, for other machines
  absl::Status StartDoors();        // the same as listen.check for gateways that speak TCP alone, and HAProxy's SPOE
  absl::Status StartAdmin();
  absl::Status StartHttp();

  // figures.cc
  void SetSources();
  // Counts what the policy holds, for the metrics. Takes no more than a hundredth of the time.
  void TakeCensus();

  // Since something from outside of the node was last applied; zero where nothing was. Any thread; never blocks.
  absl::Duration PolicyAge() const;
  // Brings what health says up to date. Any thread; waits for no disk.
  void Refresh() ABSL_LOCKS_EXCLUDED(refresh_mutex_);
  void TakeOver(const StampedEvent& event, bool fresh);
  // What the tickers do, each on a thread of its own. Only the first never waits for the disk of the store: it looks at
  // the age of the policy, the access file and the certificates, and tells the service manager.
  void KeepWatch();
  void RefreshTls();
  void KeepPolicy();  // what falls due by time, sandboxes of the node's own, the census
  void KeepUsage();
  // Tells the service manager that this process decides, by deciding. Explain spends nothing and is observed by nobody.
  void ProveAlive();
  // Applies what can change while running, says what cannot. A configuration with a fault changes nothing.
  void Reload(const CommandLine& command_line);

  // The parts, in the order in which they are made; destroyed the other way round.
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
  absl::Mutex refresh_mutex_;
  absl::string_view last_state_;  // what the service manager was told; of KeepWatch
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
  BufferBudget buffers_;            // of all listeners of the data path
  std::unique_ptr<TlsSource> tls_;  // of listen.check_tls
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<CheckServer> check_server_;  // null, but where gRPC serves listen.check
  std::unique_ptr<AccessSource> access_;
  std::unique_ptr<AdminServer> admin_server_;
  bool admin_started_ ABSL_GUARDED_BY(refresh_mutex_) = false;
  std::unique_ptr<HttpServer> http_server_;
  absl::Status last_tick_;  // of KeepPolicy
  absl::Status last_flush_;
  absl::Time census_due_;  // of KeepPolicy
};

}  // namespace sluice

#endif  // SLUICE_SERVER_NODE_NODE_H_
