// What an operator watches: counts of decisions and events, and the state of the node, as Prometheus metrics.
//
// Observing costs a check a plain add on a cache line that is its thread's own, and those that come together two more
// and, where a stopwatch is given, one look at a clock; everything else happens when somebody scrapes. Labels come from
// closed enums: an account, a bucket, a key or an address never becomes one (clause 6). Every family is there from the
// start, with HELP, also where it is zero. docs/metrics.md lists each metric and what an operator does about it.
#ifndef SLUICE_METRICS_METRICS_H_
#define SLUICE_METRICS_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "enforcement/census.h"
#include "enforcement/engine.h"
#include "enforcement/event.h"
#include "metrics/trust_counters.h"
#include "metrics/wire_metrics.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace sluice {

class Metrics final : public DecisionObserver, public EventObserver, public prometheus::Collectable {
 public:
  // Of sluice_build_info.
  struct Build {
    std::string version;
    std::string pack;  // its name
    std::string pack_digest;
  };
  // Nanoseconds of the clock that Moment::mono is read from. Never blocks.
  using Stopwatch = int64_t (*)();

  // Numbers that others hold and that are read at a scrape. One that nobody sets is zero.
  enum class Source : uint8_t {
    kPolicyRevision,
    kPolicyAgeSeconds,
    kPolicyStale,
    kStoreBytes,
    kStoreBoundBytes,
    kLimiterCells,
    kLimiterLiveKnown,
    kLimiterLiveAnyones,
    kLimiterEvictedLive,
    kLimiterEvictedSpent,
    kLimiterLeases,
    kLimiterLeasesUntracked,
    kLedgerAmounts,
    kLedgerTurnedAway,
    kReady,
    kAccessInStep,
    kAccessRefused,
    kCheckTlsInStep,
    kCheckTlsEnds,
    kAdminTlsEnds,
  };
  static constexpr int kSourceCount = 20;

  // Of the decision log, by class of record.
  struct LogFigures {
    struct Class {
      absl::string_view name;  // of static storage
      int64_t written = 0, dropped = 0;
    };
    std::vector<Class> classes;
    int64_t bytes_written = 0, write_failures = 0;
    bool failing = false;
    uint64_t folder_bytes = 0;
    int64_t segments = 0, held_segments = 0, removed_for_age = 0, removed_for_size = 0;
    double oldest_seconds = 0;  // Unix time
  };

  // Without a stopwatch, as on a simulated clock, times of checks are not taken.
  explicit Metrics(Build build, Stopwatch stopwatch = nullptr);
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `read` is called at each scrape, on the scraping thread, until it is replaced; what it uses must live so long. It
  // must not call this object. An empty function takes the source away again. Thread-safe.
  void SetSource(Source source, std::function<double()> read) ABSL_LOCKS_EXCLUDED(sources_mutex_);
  void SetLog(std::function<LogFigures()> read) ABSL_LOCKS_EXCLUDED(sources_mutex_);
  // Labels of sluice_config_info: names and values of configuration, none of it secret or a customer's.
  void SetConfig(std::vector<std::pair<std::string, std::string>> labels) ABSL_LOCKS_EXCLUDED(sources_mutex_);
  // Counts taken a while ago, at census.at. `took` is how long it took.
  void SetCensus(const Census& census, absl::Duration took) ABSL_LOCKS_EXCLUDED(sources_mutex_);

  // Thread-safe; wait-free; no allocation but for the first decision of a thread.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override;
  void OnDecided(Door door, size_t checks, Moment now) override;
  // A check that could not be read, or whose names broke a bound: it got an error and no decision.
  void OnMalformedCheck();

  // Thread-safe; wait-free.
  void OnEvent(Outcome outcome, const PolicyEvent& event) override;
  void OnCommit(size_t events, absl::Duration took, bool ok) override;

  // The listener's own counters.
  WireMetrics& wire() { return wire_; }
  // Of administration and of the failure policy. Thread-safe.
  TrustCounters& trust() { return trust_; }

  // Thread-safe. Counts of one scrape may belong to slightly different moments.
  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(sources_mutex_);
  // The exposition format of Prometheus, version 0.0.4.
  std::string Text() const;

 private:
  static constexpr int kOutcomeCount = 5;
  static constexpr int kRoleCount = 8;
  static constexpr int kCommitBuckets = 12;  // the last is +Inf

  // The counters of one thread, alone on their cache lines; or of a few, of those that came when the former had run
  // out, whose adds are atomic: slower, and still right.
  struct Slot;
  static constexpr int kOwnSlots = 64, kSharedSlots = 16;
  static constexpr int kSlots = kOwnSlots + kSharedSlots;
  Slot& MySlot();
  template <typename Read>
  int64_t Sum(const Read& read) const;

  void CollectChecks(std::vector<prometheus::MetricFamily>* families) const;
  void CollectEvents(std::vector<prometheus::MetricFamily>* families) const;
  void CollectSources(std::vector<prometheus::MetricFamily>* families) const ABSL_LOCKS_EXCLUDED(sources_mutex_);
  void CollectLog(const LogFigures& log, std::vector<prometheus::MetricFamily>* families) const;
  void CollectCensus(const Census& census, absl::Duration took, std::vector<prometheus::MetricFamily>* families) const;

  const Build build_;
  const Stopwatch stopwatch_;
  std::array<std::atomic<Slot*>, kSlots> slots_{};
  WireMetrics wire_;

  std::array<std::array<std::atomic<int64_t>, kRoleCount>, kOutcomeCount> events_{};
  std::array<std::atomic<int64_t>, kRoleCount> last_event_ns_{}, event_lag_ns_{};
  std::array<std::atomic<int64_t>, kCommitBuckets> commits_{};
  std::atomic<int64_t> commit_ns_{0};
  std::atomic<int64_t> commit_failures_{0};
  TrustCounters trust_;

  mutable absl::Mutex sources_mutex_;
  std::array<std::function<double()>, kSourceCount> sources_ ABSL_GUARDED_BY(sources_mutex_);
  std::function<LogFigures()> log_ ABSL_GUARDED_BY(sources_mutex_);
  std::vector<std::pair<std::string, std::string>> config_ ABSL_GUARDED_BY(sources_mutex_);
  Census census_ ABSL_GUARDED_BY(sources_mutex_);
  absl::Duration census_took_ ABSL_GUARDED_BY(sources_mutex_);
};

}  // namespace sluice

#endif  // SLUICE_METRICS_METRICS_H_
