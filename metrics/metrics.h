// What an operator watches: counts of decisions and events, and the state of the node, as Prometheus metrics.
//
// Observing costs a check one relaxed add on a cache line that is its thread's own; everything else happens when
// somebody scrapes. Labels come from the closed enums of values.h: an account, a bucket, a key or an address never
// becomes one (clause 6). Every family is there from the start, with HELP, also where it is zero. docs/configuration.md
// lists each metric and what an operator does about it.
#ifndef SLUICE_METRICS_METRICS_H_
#define SLUICE_METRICS_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "enforcement/engine.h"
#include "enforcement/event.h"
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

  // Numbers that others hold and that are read at a scrape. One that nobody sets is zero.
  enum class Source : uint8_t {
    kDecisionLogDropped,
    kPolicyRevision,
    kPolicyAgeSeconds,
    kStoreBytes,
    kStoreBoundBytes,
    kLimiterCells,
    kLimiterEvictedLive,
    kLimiterEvictedSpent,
    kLimiterLeases,
    kLimiterLeasesUntracked,
    kLedgerAmounts,
    kLedgerTurnedAway,
    kReady,
  };
  static constexpr int kSourceCount = 13;

  explicit Metrics(Build build);
  ~Metrics() override;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `read` is called at each scrape, on the scraping thread, until it is replaced; what it uses must live so long. It
  // must not call this object. An empty function takes the source away again. Thread-safe.
  void SetSource(Source source, std::function<double()> read) ABSL_LOCKS_EXCLUDED(sources_mutex_);

  // Thread-safe; wait-free; no allocation.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override;
  // A check that could not be read, or whose names broke a bound: it got an error and no decision.
  void OnMalformedCheck();

  // Thread-safe; wait-free.
  void OnEvent(Outcome outcome, const PolicyEvent& event) override;
  void OnCommit(size_t events, absl::Duration took, bool ok) override;

  // Thread-safe. Counts of one scrape may belong to slightly different moments.
  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(sources_mutex_);
  // The exposition format of Prometheus, version 0.0.4.
  std::string Text() const;

 private:
  static constexpr int kVerdictCount = 4;
  static constexpr int kOutcomeCount = 5;
  static constexpr int kCheckSeries = kVerdictCount * kReasonCount * kOperationCount;
  static constexpr int kCommitBuckets = 12;  // the last is +Inf

  // The counters of a few threads, usually of one. Alone on their cache lines.
  struct Slot;
  Slot& MySlot();

  prometheus::MetricFamily Checks() const;
  prometheus::MetricFamily Malformed() const;
  prometheus::MetricFamily Trials() const;
  prometheus::MetricFamily Events() const;
  prometheus::MetricFamily Commits() const;
  prometheus::MetricFamily CommitFailures() const;
  prometheus::MetricFamily BuildInfo() const;

  const Build build_;
  const std::unique_ptr<Slot[]> slots_;

  std::array<std::atomic<int64_t>, kOutcomeCount> events_{};
  std::array<std::atomic<int64_t>, kCommitBuckets> commits_{};
  std::atomic<int64_t> commit_ns_{0};
  std::atomic<int64_t> commit_failures_{0};

  mutable absl::Mutex sources_mutex_;
  std::array<std::function<double()>, kSourceCount> sources_ ABSL_GUARDED_BY(sources_mutex_);
};

}  // namespace sluice

#endif  // SLUICE_METRICS_METRICS_H_
