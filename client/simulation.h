// A whole node in one process, on simulated clocks and an empty store of its own: what `sluicectl test` runs scenarios
// on and `sluicectl replay` asks about yesterday's traffic.
//
// The parts are those of sluiced; only the listeners are missing. Nothing here sleeps or reads the machine's clock.
#ifndef SLUICE_CLIENT_SIMULATION_H_
#define SLUICE_CLIENT_SIMULATION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "decision_log/memory_log.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "metrics/metrics.h"
#include "sluice/v1/admin.pb.h"
#include "store/policy_writer.h"
#include "store/store.h"
#include "store/usage_store.h"

namespace sluice {

// A wall clock and a monotonic clock that move when they are told to. Thread-safe.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(absl::Time wall);

  Moment Now() const override ABSL_LOCKS_EXCLUDED(mutex_);
  // Moves both clocks. REQUIRES: by >= 0.
  void Advance(absl::Duration by) ABSL_LOCKS_EXCLUDED(mutex_);
  // Somebody reset the wall clock: it alone moves, forwards or back.
  void StepWall(absl::Duration by) ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing: the node does not know how far its wall clock may be off.
  void SetClockError(absl::optional<absl::Duration> error) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  Moment now_ ABSL_GUARDED_BY(mutex_);
};

// How an engine is asked for a decision. Nothing: directly. A test puts a listener and a wire between the two.
using AskEngine = std::function<absl::StatusOr<Decision>(Engine* engine, const Clock* clock, const CheckInput& input)>;

// Not thread-safe, but for what the parts promise themselves.
class Simulation {
 public:
  struct Options {
    NodeOptions node;
    absl::Time start;           // where the clocks begin
    bool log_decisions = true;  // false: no decision log, for long replays
    bool keep_usage = true;     // false: a restart forgets amounts, reports and leases; for replays, which have none
    // Records that the decision log can hold before its disk is full; nothing: as many as anybody asks for.
    absl::optional<size_t> audit_capacity;
    AskEngine ask;
  };

  // `pack` must outlive the simulation. The store is a fresh folder under the system's one for temporary files, removed
  // with the simulation. Errors are those of the file system.
  static absl::StatusOr<std::unique_ptr<Simulation>> Create(const Pack* pack, Options options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // ---- Time
  // -----------------------------------------------------------------------------------------------------------

  // Policy time and the monotonic clock: what the node judges by.
  Moment Now() const { return node_->policy_clock->Now(); }
  // The wall clock as the machine shows it, which policy time may be ahead of.
  absl::Time wall() const { return clock_.Now().wall; }
  // Moves both clocks by as much as the wall clock lacks to `wall`. What falls due on the way is announced at its
  // moment. INVALID_ARGUMENT where the wall clock is past `wall`.
  absl::Status AdvanceTo(absl::Time wall);
  absl::Status Advance(absl::Duration by) { return AdvanceTo(wall() + by); }
  absl::Status StepWall(absl::Duration by);
  absl::Status SetClockError(absl::optional<absl::Duration> error);

  // ---- The control path
  // -------------------------------------------------------------------------------------------------

  // Results in the order of `events`. An error means that none of them happened.
  absl::StatusOr<ApplyResult> Apply(std::vector<PolicyEvent> events);
  // What has been announced since the last call, or since the start.
  absl::StatusOr<std::vector<Announcement>> NewAnnouncements();
  // INVALID_ARGUMENT where `subject` names no scope, or more than one.
  absl::StatusOr<v1::DescribeResponse> Describe(const v1::Subject& subject) const;
  // Closes the store and opens it again, as a node that is started anew. The clocks go on; the decision log stays.
  absl::Status Restart();
  // The whole policy as one chunk. Equal policies give equal bytes of SerializeDeterministically.
  absl::StatusOr<v1::ExportChunk> Export() const;
  // Loads an export into an empty simulation. Start the clocks at its policy time or later.
  absl::Status Import(const v1::ExportChunk& snapshot);
  // Builds another store from the export and exports that. Returns what differs, "" where nothing does.
  absl::StatusOr<std::string> Replay() const;

  // ---- The data path
  // ----------------------------------------------------------------------------------------------------

  // INVALID_ARGUMENT for what a door would refuse to ask. Counted and logged, as in sluiced.
  absl::StatusOr<Decision> Check(const CheckInput& input);
  // The same, spending nothing, neither counted nor logged. `steps` may be null.
  absl::StatusOr<Decision> Explain(const CheckInput& input, std::vector<ExplainStep>* steps) const;
  // An error is that of the disk; nothing was counted then.
  absl::Status Report(const UsageInput& usage);

  // ---- The watching path
  // ------------------------------------------------------------------------------------------------

  // INVALID_ARGUMENT for a query that cannot be asked.
  absl::Status QueryLog(const v1::LogQuery& query, const std::function<bool(const v1::DecisionRecord&)>& visit) const;
  std::string MetricsText() const { return metrics_.Text(); }

  const Pack& pack() const { return *pack_; }
  const NodeOptions& node_options() const { return options_.node; }

 private:
  // What a restart replaces. Later members use earlier ones.
  struct Node {
    std::unique_ptr<Store> store;
    std::unique_ptr<PolicyIndex> index;
    std::unique_ptr<PolicyClock> policy_clock;
    std::unique_ptr<Limiter> limiter;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<AbuseGuard> abuse;
    std::unique_ptr<UsageStore> usage;  // none where it is not to be kept
    std::unique_ptr<PolicyWriter> writer;
  };

  Simulation(const Pack* pack, Options options);
  absl::StatusOr<std::unique_ptr<Node>> OpenNode(const std::string& folder, EventObserver* observer) const;
  absl::Status Open();
  absl::Status Tick();

  const Pack* const pack_;
  const Options options_;
  std::string folder_;
  SimulatedClock clock_;
  Metrics metrics_;
  MemoryLog log_;
  std::unique_ptr<Node> node_;
  // Announcements come in order of revision: the last revision seen, and how many of it.
  int64_t announced_revision_ = 0;
  size_t announced_of_revision_ = 0;
};

// The bytes that `replay` compares.
std::string SerializeDeterministically(const google::protobuf::Message& message);

}  // namespace sluice

#endif  // SLUICE_CLIENT_SIMULATION_H_
