#include "metrics/metrics.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "prometheus/client_metric.h"
#include "prometheus/metric_type.h"
#include "prometheus/text_serializer.h"

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// More threads than slots share one, which is slower and still right.
constexpr int kSlots = 32;

// Upper bounds of sluice_commit_seconds. A commit with fsync takes 0.4 ms on an SSD, one of a thousand random keys 70
// ms.
constexpr double kCommitBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5};

struct SourceInfo {
  const char* name;
  const char* help;
  MetricType type;
};
// By Source.
constexpr SourceInfo kSources[] = {
    {"sluice_decision_log_dropped_total", "Decisions that the decision log could not take.", MetricType::Counter},
    {"sluice_policy_revision", "Revision of the policy in force; 0 before any event was applied.", MetricType::Gauge},
    {"sluice_policy_age_seconds", "Time since the policy last changed.", MetricType::Gauge},
    {"sluice_store_bytes", "Bytes that the store uses.", MetricType::Gauge},
    {"sluice_store_bound_bytes", "The most bytes that the store may use.", MetricType::Gauge},
    {"sluice_limiter_cells", "Cells that the limiter has for rates.", MetricType::Gauge},
    {"sluice_limiter_evicted_live_total", "Cells in use that the limiter had to forget for want of a free one.",
     MetricType::Counter},
    {"sluice_limiter_evicted_spent_total",
     "Of those, cells with half of their bucket spent or more: a limit was forgiven that much.", MetricType::Counter},
    {"sluice_limiter_leases", "Connection leases held.", MetricType::Gauge},
    {"sluice_limiter_leases_untracked_total", "Checks let through without a lease, since no more could be held.",
     MetricType::Counter},
    {"sluice_ledger_amounts", "Stored amounts and traffic of the day that are counted.", MetricType::Gauge},
    {"sluice_ledger_turned_away_total",
     "Amounts of subjects unknown to the policy that were not counted for want of room.", MetricType::Counter},
    {"sluice_ready", "1 where the node answers from a policy, 0 where it cannot or drains.", MetricType::Gauge},
};

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

ClientMetric::Label Label(const char* name, absl::string_view value) {
  ClientMetric::Label label;
  label.name = name;
  label.value = std::string(value);
  return label;
}

void AddCounter(double value, std::vector<ClientMetric::Label> labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  family->metric.push_back(std::move(metric));
}

void AddGauge(double value, std::vector<ClientMetric::Label> labels, MetricFamily* family) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family->metric.push_back(std::move(metric));
}

// Where a value that came off the wire is none of the enum's, it counts as UNSPECIFIED: labels stay a closed set.
template <typename Enum>
int IndexOf(Enum value, int count) {
  const int index = static_cast<int>(value);
  return index < count ? index : 0;
}

}  // namespace

// Two lines apart, since the prefetcher of x86 takes lines in pairs.
struct alignas(128) Metrics::Slot {
  std::array<std::atomic<int64_t>, kCheckSeries> checks{};
  std::atomic<int64_t> malformed{0};
  std::array<std::atomic<int64_t>, kVerdictCount * kReasonCount> trials{};  // what would have been answered
};

Metrics::Metrics(Build build) : build_(std::move(build)), slots_(new Slot[kSlots]) {
  static_assert(sizeof(kSources) / sizeof(kSources[0]) == kSourceCount);
  static_assert(sizeof(kCommitBounds) / sizeof(kCommitBounds[0]) == kCommitBuckets - 1);
}

Metrics::~Metrics() = default;

Metrics::Slot& Metrics::MySlot() {
  static std::atomic<int> next{0};
  thread_local const int slot = next.fetch_add(1, std::memory_order_relaxed) % kSlots;
  return slots_[slot];
}

void Metrics::SetSource(Source source, std::function<double()> read) {
  absl::MutexLock lock(&sources_mutex_);
  sources_[static_cast<size_t>(source)] = std::move(read);
}

void Metrics::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  const int verdict = IndexOf(decision.verdict, kVerdictCount);
  const int reason = IndexOf(decision.reason, kReasonCount);
  const int operation = IndexOf(input.operation, kOperationCount);
  const int series = (verdict * kReasonCount + reason) * kOperationCount + operation;
  // Relaxed: a count orders nothing.
  MySlot().checks[series].fetch_add(1, std::memory_order_relaxed);
  if (decision.trial_verdict == Verdict::kUnspecified) return;
  const int trial =
      IndexOf(decision.trial_verdict, kVerdictCount) * kReasonCount + IndexOf(decision.trial_reason, kReasonCount);
  MySlot().trials[trial].fetch_add(1, std::memory_order_relaxed);
}

void Metrics::OnMalformedCheck() { MySlot().malformed.fetch_add(1, std::memory_order_relaxed); }

void Metrics::OnEvent(Outcome outcome, const PolicyEvent& event) {
  events_[IndexOf(outcome, kOutcomeCount)].fetch_add(1, std::memory_order_relaxed);
}

void Metrics::OnCommit(size_t events, absl::Duration took, bool ok) {
  if (!ok) {
    commit_failures_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const double seconds = absl::ToDoubleSeconds(took);
  const auto bucket = std::lower_bound(std::begin(kCommitBounds), std::end(kCommitBounds), seconds);
  commits_[bucket - std::begin(kCommitBounds)].fetch_add(1, std::memory_order_relaxed);
  commit_ns_.fetch_add(absl::ToInt64Nanoseconds(took), std::memory_order_relaxed);
}

MetricFamily Metrics::Checks() const {
  MetricFamily family =
      Family("sluice_checks_total", "Checks decided, by verdict, reason and operation.", MetricType::Counter);
  for (int series = 0; series < kCheckSeries; ++series) {
    int64_t count = 0;
    for (int slot = 0; slot < kSlots; ++slot) count += slots_[slot].checks[series].load(std::memory_order_relaxed);
    const auto operation = static_cast<Operation>(series % kOperationCount);
    const auto reason = static_cast<Reason>(series / kOperationCount % kReasonCount);
    const auto verdict = static_cast<Verdict>(series / kOperationCount / kReasonCount);
    // 1,680 zeros would drown the rest. A plain allow of each operation is always there, any other series once it
    // counts; a rate() over a series that appears late misses its first increment, and `or vector(0)` covers what never
    // was.
    const bool always = verdict == Verdict::kAllow && reason == Reason::kUnspecified;
    if (count == 0 && !always) continue;
    AddCounter(static_cast<double>(count),
               {Label("verdict", Name(verdict)), Label("reason", Name(reason)), Label("operation", Name(operation))},
               &family);
  }
  return family;
}

MetricFamily Metrics::Malformed() const {
  MetricFamily family =
      Family("sluice_checks_malformed_total",
             "Checks that got an error and no decision: unreadable, or a name over its bound.", MetricType::Counter);
  int64_t count = 0;
  for (int slot = 0; slot < kSlots; ++slot) count += slots_[slot].malformed.load(std::memory_order_relaxed);
  AddCounter(static_cast<double>(count), {}, &family);
  return family;
}

MetricFamily Metrics::Trials() const {
  MetricFamily family = Family("sluice_trial_checks_total",
                               "Checks that rules on trial would have answered otherwise, by the verdict and reason "
                               "that they would have given.",
                               MetricType::Counter);
  for (const Verdict verdict : {Verdict::kThrottle, Verdict::kDeny}) {
    for (int reason = 0; reason < kReasonCount; ++reason) {
      const int series = static_cast<int>(verdict) * kReasonCount + reason;
      int64_t count = 0;
      for (int slot = 0; slot < kSlots; ++slot) count += slots_[slot].trials[series].load(std::memory_order_relaxed);
      // What a trial of a limit comes to is always there.
      if (count == 0 && (verdict != Verdict::kThrottle || static_cast<Reason>(reason) != Reason::kRateLimited))
        continue;
      AddCounter(static_cast<double>(count),
                 {Label("verdict", Name(verdict)), Label("reason", Name(static_cast<Reason>(reason)))}, &family);
    }
  }
  return family;
}

MetricFamily Metrics::Events() const {
  MetricFamily family = Family("sluice_events_total", "Policy events taken, by outcome.", MetricType::Counter);
  for (int outcome = 1; outcome < kOutcomeCount; ++outcome) {
    AddCounter(static_cast<double>(events_[outcome].load(std::memory_order_relaxed)),
               {Label("outcome", Name(static_cast<Outcome>(outcome)))}, &family);
  }
  return family;
}

MetricFamily Metrics::Commits() const {
  MetricFamily family =
      Family("sluice_commit_seconds", "Time to make a group of policy events durable and seen.", MetricType::Histogram);
  ClientMetric metric;
  uint64_t cumulative = 0;
  for (int i = 0; i < kCommitBuckets; ++i) {
    cumulative += static_cast<uint64_t>(commits_[i].load(std::memory_order_relaxed));
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = cumulative;
    bucket.upper_bound = i + 1 < kCommitBuckets ? kCommitBounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back(bucket);
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = static_cast<double>(commit_ns_.load(std::memory_order_relaxed)) / 1e9;
  family.metric.push_back(std::move(metric));
  return family;
}

MetricFamily Metrics::CommitFailures() const {
  MetricFamily family =
      Family("sluice_commit_failures_total",
             "Groups of policy events that could not be made durable: a full disk or map, or an I/O error.",
             MetricType::Counter);
  AddCounter(static_cast<double>(commit_failures_.load(std::memory_order_relaxed)), {}, &family);
  return family;
}

MetricFamily Metrics::BuildInfo() const {
  MetricFamily family =
      Family("sluice_build_info", "1, with the version and the agreement pack in force as labels.", MetricType::Gauge);
  AddGauge(1, {Label("version", build_.version), Label("pack", build_.pack), Label("pack_digest", build_.pack_digest)},
           &family);
  return family;
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families = {Checks(),  Malformed(),      Trials(),   Events(),
                                        Commits(), CommitFailures(), BuildInfo()};
  absl::MutexLock lock(&sources_mutex_);
  for (int i = 0; i < kSourceCount; ++i) {
    const double value = sources_[i] ? sources_[i]() : 0;
    MetricFamily family = Family(kSources[i].name, kSources[i].help, kSources[i].type);
    if (kSources[i].type == MetricType::Counter) {
      AddCounter(value, {}, &family);
    } else {
      AddGauge(value, {}, &family);
    }
    families.push_back(std::move(family));
  }
  return families;
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(Collect()); }

}  // namespace sluice
