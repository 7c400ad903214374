#include "metrics/metrics.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "metrics/families.h"
#include "metrics/process_metrics.h"
#include "prometheus/text_serializer.h"

namespace sluice {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr int kVerdictCount = 4;
constexpr int kFaultCount = 5;

// An allow is nobody's fault; other verdicts are, by reason, one of a few.
constexpr int kOutcomes = kReasonCount * (1 + (kVerdictCount - 1) * kFaultCount);
constexpr int kCheckSeries = kOutcomes * kOperationCount * kDoorCount;

struct SeriesOf {
  Verdict verdict;
  Reason reason;
  Fault fault;
  Operation operation;
  Door door;
};

int Index(const SeriesOf& of) {
  const int verdict = IndexOf(of.verdict, kVerdictCount);
  const int reason = IndexOf(of.reason, kReasonCount);
  // Verdicts in the order ALLOW, then UNSPECIFIED, THROTTLE, DENY.
  const int kind = of.verdict == Verdict::kAllow
                       ? 0
                       : 1 + (verdict == 0 ? 0 : verdict - 1) * kFaultCount + IndexOf(of.fault, kFaultCount);
  const int outcome = kind * kReasonCount + reason;
  return (outcome * kOperationCount + IndexOf(of.operation, kOperationCount)) * kDoorCount +
         IndexOf(of.door, kDoorCount);
}

SeriesOf At(int index) {
  SeriesOf of;
  of.door = static_cast<Door>(index % kDoorCount);
  index /= kDoorCount;
  of.operation = static_cast<Operation>(index % kOperationCount);
  index /= kOperationCount;
  of.reason = static_cast<Reason>(index % kReasonCount);
  const int kind = index / kReasonCount;
  of.verdict = Verdict::kAllow;
  of.fault = Fault::kUnspecified;
  if (kind > 0) {
    const int verdict = (kind - 1) / kFaultCount;
    of.verdict = static_cast<Verdict>(verdict == 0 ? 0 : verdict + 1);
    of.fault = static_cast<Fault>((kind - 1) % kFaultCount);
  }
  return of;
}

// Upper bounds of sluice_check_seconds. A check takes a microsecond or two; a millisecond is what a gateway notices.
constexpr int64_t kCheckBoundsNs[] = {1000,   2500,   5000,    10000,   25000,    50000,
                                      100000, 250000, 1000000, 5000000, 25000000, 100000000};
constexpr int kCheckBuckets = 13;
// Of sluice_commit_seconds. A commit with fsync takes 0.4 ms on an SSD, one of a thousand random keys 70 ms.
constexpr double kCommitBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5};

struct SourceInfo {
  const char* name;
  const char* help;
  MetricType type;
  const char* label = nullptr;  // its one label, where it has one
  const char* value = nullptr;  // of that
};
// By Source. Neighbours of one name are one family.
constexpr SourceInfo kSources[] = {
    {"sluice_policy_revision", "Revision of the policy in force; 0 before any event was applied.", MetricType::Gauge},
    {"sluice_policy_age_seconds", "Time since something from outside of the node was last applied.", MetricType::Gauge},
    {"sluice_policy_stale", "1 while the policy is older than policy.max_age, and checks are answered STALE_POLICY.",
     MetricType::Gauge},
    {"sluice_store_bytes", "Bytes that the store uses.", MetricType::Gauge},
    {"sluice_store_bound_bytes", "The most bytes that the store may use.", MetricType::Gauge},
    {"sluice_limiter_cells", "Cells that the limiter has for rates.", MetricType::Gauge},
    {"sluice_limiter_live_cells",
     "Cells in use, of the half for subjects that the policy knows and of the half for any others; of a large table an "
     "estimate.",
     MetricType::Gauge, "table", "known"},
    {"sluice_limiter_live_cells", "", MetricType::Gauge, "table", "others"},
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
    {"sluice_access_in_step",
     "1 where the access file as it is now is in force; 0 where it has a fault and the last good one stays.",
     MetricType::Gauge},
    {"sluice_access_refused_total", "Changes of the access file that had a fault and were not taken.",
     MetricType::Counter},
    {"sluice_check_tls_in_step",
     "1 where the files of check_tls as they are now are in force, or there are none; 0 where one has a fault and the "
     "last good ones stay.",
     MetricType::Gauge},
    {"sluice_tls_expiry_timestamp_seconds",
     "When the first of the certificates ends that a listener shows: check_tls, admin. Unix time, 0 = it shows none.",
     MetricType::Gauge, "listener", "check_tls"},
    {"sluice_tls_expiry_timestamp_seconds", "", MetricType::Gauge, "listener", "admin"},
};

}  // namespace

// Two lines apart, since the prefetcher of x86 takes lines in pairs.
struct alignas(128) Metrics::Slot {
  struct Times {
    std::array<std::atomic<int64_t>, kCheckBuckets> counts{};
    std::atomic<int64_t> sum_ns{0};
  };
  std::array<std::atomic<int64_t>, kCheckSeries> checks{};
  std::array<std::atomic<int64_t>, kDimensionCount> throttled{};
  std::array<Times, kDoorCount> times{};
  std::array<std::atomic<int64_t>, kVerdictCount * kReasonCount> trials{};  // what would have been answered
  std::atomic<int64_t> malformed{0};
  bool shared = false;

  // Relaxed: a count orders nothing. Atomic at all so that a scrape may read meanwhile: of a slot that one thread alone
  // writes to, a load and a store are a plain add, and cost a tenth of an atomic one.
  void Add(int64_t amount, std::atomic<int64_t>* count) const {
    if (shared) {
      count->fetch_add(amount, std::memory_order_relaxed);
    } else {
      count->store(count->load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
  }
};

Metrics::Metrics(Build build, Stopwatch stopwatch) : build_(std::move(build)), stopwatch_(stopwatch) {
  static_assert(sizeof(kSources) / sizeof(kSources[0]) == kSourceCount);
  static_assert(sizeof(kCommitBounds) / sizeof(kCommitBounds[0]) == kCommitBuckets - 1);
  static_assert(sizeof(kCheckBoundsNs) / sizeof(kCheckBoundsNs[0]) == kCheckBuckets - 1);
}

Metrics::~Metrics() {
  for (const std::atomic<Slot*>& slot : slots_) delete slot.load(std::memory_order_relaxed);
}

Metrics::Slot& Metrics::MySlot() {
  static std::atomic<int> next{0};
  thread_local int index = -1;  // a constant: one drawn at the first use would be asked for at every other, too
  if (index < 0) {
    index = next.fetch_add(1, std::memory_order_relaxed);
    if (index >= kOwnSlots) index = kOwnSlots + index % kSharedSlots;
  }
  Slot* slot = slots_[index].load(std::memory_order_acquire);  // pairs with whoever made it
  if (slot != nullptr) return *slot;
  auto made = std::make_unique<Slot>();
  made->shared = index >= kOwnSlots;
  if (slots_[index].compare_exchange_strong(slot, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *slot;
}

template <typename Read>
int64_t Metrics::Sum(const Read& read) const {
  int64_t sum = 0;
  for (const std::atomic<Slot*>& each : slots_) {
    const Slot* slot = each.load(std::memory_order_acquire);
    if (slot != nullptr) sum += read(*slot).load(std::memory_order_relaxed);
  }
  return sum;
}

void Metrics::SetSource(Source source, std::function<double()> read) {
  absl::MutexLock lock(&sources_mutex_);
  sources_[static_cast<size_t>(source)] = std::move(read);
}

void Metrics::SetLog(std::function<LogFigures()> read) {
  absl::MutexLock lock(&sources_mutex_);
  log_ = std::move(read);
}

void Metrics::SetConfig(std::vector<std::pair<std::string, std::string>> labels) {
  absl::MutexLock lock(&sources_mutex_);
  config_ = std::move(labels);
}

void Metrics::SetCensus(const Census& census, absl::Duration took) {
  absl::MutexLock lock(&sources_mutex_);
  census_ = census;
  census_took_ = took;
}

void Metrics::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  Slot& slot = MySlot();
  const int series = Index({decision.verdict, decision.reason, decision.fault, input.operation, input.door});
  slot.Add(1, &slot.checks[series]);
  if (decision.verdict == Verdict::kThrottle) {
    slot.Add(1, &slot.throttled[IndexOf(decision.dimension, kDimensionCount)]);
  }
  if (decision.trial_verdict != Verdict::kUnspecified) {
    const int trial =
        IndexOf(decision.trial_verdict, kVerdictCount) * kReasonCount + IndexOf(decision.trial_reason, kReasonCount);
    slot.Add(1, &slot.trials[trial]);
  }
}

void Metrics::OnDecided(Door door, size_t checks, Moment now) {
  if (stopwatch_ == nullptr) return;
  const int64_t ns = std::max<int64_t>(stopwatch_() - now.mono.ns, 0);
  int bucket = 0;
  while (bucket < kCheckBuckets - 1 && ns > kCheckBoundsNs[bucket]) ++bucket;
  Slot& slot = MySlot();
  Slot::Times& times = slot.times[IndexOf(door, kDoorCount)];
  const auto count = static_cast<int64_t>(checks);
  slot.Add(count, &times.counts[bucket]);
  slot.Add(ns * count, &times.sum_ns);
}

void Metrics::OnMalformedCheck() {
  Slot& slot = MySlot();
  slot.Add(1, &slot.malformed);
}

void Metrics::OnEvent(Outcome outcome, const PolicyEvent& event) {
  const int role = IndexOf(event.role, kRoleCount);
  events_[IndexOf(outcome, kOutcomeCount)][role].fetch_add(1, std::memory_order_relaxed);
  if (outcome != Outcome::kApplied) return;
  const int64_t now_ns = absl::GetCurrentTimeNanos();
  last_event_ns_[role].store(now_ns, std::memory_order_relaxed);
  // One that says no time was sent as it happened, as far as anybody can tell; one dated ahead is early, not late.
  const int64_t lag_ns = event.effective_at ? std::max<int64_t>(now_ns - absl::ToUnixNanos(*event.effective_at), 0) : 0;
  event_lag_ns_[role].store(lag_ns, std::memory_order_relaxed);
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

void Metrics::CollectChecks(std::vector<MetricFamily>* families) const {
  MetricFamily checks =
      Family("sluice_checks_total", "Checks decided, by verdict, reason, whose fault, operation and door.",
             MetricType::Counter);
  for (int series = 0; series < kCheckSeries; ++series) {
    const int64_t count = Sum([series](const Slot& slot) -> auto& { return slot.checks[series]; });
    const SeriesOf of = At(series);
    // 70,000 zeros would drown the rest. A plain allow of each operation over gRPC is always there, any other series
    // once it counts; a rate() over a series that appears late misses its first increment, and `or vector(0)` covers
    // what never was.
    const bool always = of.verdict == Verdict::kAllow && of.reason == Reason::kUnspecified && of.door == Door::kGrpc;
    if (count == 0 && !always) continue;
    AddCounter(static_cast<double>(count),
               {{"verdict", Name(of.verdict)},
                {"reason", Name(of.reason)},
                {"fault", Name(of.fault)},
                {"operation", Name(of.operation)},
                {"door", Name(of.door)}},
               &checks);
  }
  families->push_back(std::move(checks));
  families->push_back(Single("sluice_checks_malformed_total",
                             "Checks that got an error and no decision: unreadable, or a name over its bound.",
                             MetricType::Counter,
                             static_cast<double>(Sum([](const Slot& slot) -> auto& { return slot.malformed; }))));

  MetricFamily throttled =
      Family("sluice_throttled_total", "Checks throttled, by what was used too much of; UNSPECIFIED for a sandbox.",
             MetricType::Counter);
  for (int d = 0; d < kDimensionCount; ++d) {
    AddCounter(static_cast<double>(Sum([d](const Slot& slot) -> auto& { return slot.throttled[d]; })),
               {{"dimension", Name(static_cast<Dimension>(d))}}, &throttled);
  }
  families->push_back(std::move(throttled));

  MetricFamily trials =
      Family("sluice_trial_checks_total",
             "Checks that rules on trial would have answered otherwise, by the verdict and reason that they would have "
             "given.",
             MetricType::Counter);
  for (const Verdict verdict : {Verdict::kThrottle, Verdict::kDeny}) {
    for (int reason = 0; reason < kReasonCount; ++reason) {
      const int series = static_cast<int>(verdict) * kReasonCount + reason;
      const int64_t count = Sum([series](const Slot& slot) -> auto& { return slot.trials[series]; });
      // What a trial of a limit comes to is always there.
      if (count == 0 && (verdict != Verdict::kThrottle || static_cast<Reason>(reason) != Reason::kRateLimited)) {
        continue;
      }
      AddCounter(static_cast<double>(count),
                 {{"verdict", Name(verdict)}, {"reason", Name(static_cast<Reason>(reason))}}, &trials);
    }
  }
  families->push_back(std::move(trials));

  MetricFamily times =
      Family("sluice_check_seconds",
             "Time from reading the clock for checks that came together to the last decision of them, by door.",
             MetricType::Histogram);
  std::array<double, kCheckBuckets - 1> bounds;
  for (int i = 0; i < kCheckBuckets - 1; ++i) bounds[i] = static_cast<double>(kCheckBoundsNs[i]) / 1e9;
  for (int door = 0; door < kDoorCount; ++door) {
    std::array<int64_t, kCheckBuckets> counts;
    int64_t all = 0;
    for (int i = 0; i < kCheckBuckets; ++i) {
      counts[i] = Sum([ door, i ](const Slot& slot) -> auto& { return slot.times[door].counts[i]; });
      all += counts[i];
    }
    if (all == 0 && door != static_cast<int>(Door::kGrpc)) continue;
    const int64_t sum_ns = Sum([door](const Slot& slot) -> auto& { return slot.times[door].sum_ns; });
    AddHistogram(bounds, counts, static_cast<double>(sum_ns) / 1e9, {{"door", Name(static_cast<Door>(door))}}, &times);
  }
  families->push_back(std::move(times));
}

void Metrics::CollectEvents(std::vector<MetricFamily>* families) const {
  MetricFamily events = Family("sluice_events_total", "Policy events taken, by outcome and the role that sent them.",
                               MetricType::Counter);
  MetricFamily last =
      Family("sluice_event_last_timestamp_seconds",
             "When the last event of a role was applied; Unix time, 0 = none since the start.", MetricType::Gauge);
  MetricFamily lag = Family("sluice_event_lag_seconds",
                            "How long after it took effect the last event of a role was applied.", MetricType::Gauge);
  for (int role = 0; role < kRoleCount; ++role) {
    const absl::string_view name = Name(static_cast<Role>(role));
    for (int outcome = 1; outcome < kOutcomeCount; ++outcome) {
      AddCounter(static_cast<double>(events_[outcome][role].load(std::memory_order_relaxed)),
                 {{"outcome", Name(static_cast<Outcome>(outcome))}, {"role", name}}, &events);
    }
    AddGauge(static_cast<double>(last_event_ns_[role].load(std::memory_order_relaxed)) / 1e9, {{"role", name}}, &last);
    AddGauge(static_cast<double>(event_lag_ns_[role].load(std::memory_order_relaxed)) / 1e9, {{"role", name}}, &lag);
  }
  MetricFamily commits =
      Family("sluice_commit_seconds", "Time to make a group of policy events durable and seen.", MetricType::Histogram);
  std::array<int64_t, kCommitBuckets> counts;
  for (int i = 0; i < kCommitBuckets; ++i) counts[i] = commits_[i].load(std::memory_order_relaxed);
  AddHistogram(kCommitBounds, counts, static_cast<double>(commit_ns_.load(std::memory_order_relaxed)) / 1e9, {},
               &commits);
  families->push_back(std::move(events));
  families->push_back(std::move(last));
  families->push_back(std::move(lag));
  families->push_back(std::move(commits));
  families->push_back(
      Single("sluice_commit_failures_total",
             "Groups of policy events that could not be made durable: a full disk or map, or an I/O error.",
             MetricType::Counter, static_cast<double>(commit_failures_.load(std::memory_order_relaxed))));
}

void Metrics::CollectLog(const LogFigures& log, std::vector<MetricFamily>* families) const {
  MetricFamily written =
      Family("sluice_decision_log_written_total", "Decisions written to the log, by class.", MetricType::Counter);
  MetricFamily dropped = Family("sluice_decision_log_dropped_total",
                                "Decisions that the decision log could not take, by class.", MetricType::Counter);
  for (const LogFigures::Class& each : log.classes) {
    AddCounter(static_cast<double>(each.written), {{"class", each.name}}, &written);
    AddCounter(static_cast<double>(each.dropped), {{"class", each.name}}, &dropped);
  }
  families->push_back(std::move(written));
  families->push_back(std::move(dropped));
  const auto add = [families](const char* name, const char* help, MetricType type, auto value) {
    families->push_back(Single(name, help, type, static_cast<double>(value)));
  };
  constexpr auto kCounter = MetricType::Counter;
  constexpr auto kGauge = MetricType::Gauge;
  add("sluice_decision_log_bytes_total", "Bytes written to the decision log, compressed.", kCounter, log.bytes_written);
  add("sluice_decision_log_write_failures_total", "Writes that the log's disk refused.", kCounter, log.write_failures);
  add("sluice_decision_log_failing", "1 while the log's disk refuses writes.", kGauge, log.failing ? 1 : 0);
  add("sluice_decision_log_folder_bytes", "Bytes of all segments of the log.", kGauge, log.folder_bytes);
  add("sluice_decision_log_segments", "Segments of the log.", kGauge, log.segments);
  add("sluice_decision_log_held_segments", "Segments due for removal that a legal hold keeps.", kGauge,
      log.held_segments);
  MetricFamily removed = Family("sluice_decision_log_removed_segments_total",
                                "Segments removed for their age, or for the size of the log.", kCounter);
  AddCounter(static_cast<double>(log.removed_for_age), {{"why", "age"}}, &removed);
  AddCounter(static_cast<double>(log.removed_for_size), {{"why", "size"}}, &removed);
  families->push_back(std::move(removed));
  add("sluice_decision_log_oldest_timestamp_seconds", "When the oldest segment was begun; Unix time, 0 = none.", kGauge,
      log.oldest_seconds);
}

void Metrics::CollectCensus(const Census& census, absl::Duration took, std::vector<MetricFamily>* families) const {
  MetricFamily accounts = Family("sluice_accounts", "Accounts, by state, as of the last census.", MetricType::Gauge);
  MetricFamily soon =
      Family("sluice_accounts_deadline_soon",
             "Accounts whose deadline of 7.2.2 or 4.3 falls within seven days, by state.", MetricType::Gauge);
  for (int state = 1; state < kAccountStateCount; ++state) {
    const absl::string_view name = Name(static_cast<AccountState>(state));
    AddGauge(static_cast<double>(census.accounts[state]), {{"state", name}}, &accounts);
    AddGauge(static_cast<double>(census.deadlines_soon[state]), {{"state", name}}, &soon);
  }
  MetricFamily rules =
      Family("sluice_rules", "Rules of the policy, by kind, as of the last census.", MetricType::Gauge);
  const std::pair<absl::string_view, int64_t> kinds[] = {{"flag", census.flags},
                                                         {"order", census.orders},
                                                         {"hold", census.holds},
                                                         {"restriction", census.restrictions},
                                                         {"limit", census.limits}};
  for (const auto& [kind, count] : kinds) AddGauge(static_cast<double>(count), {{"kind", kind}}, &rules);
  families->push_back(std::move(accounts));
  families->push_back(std::move(soon));
  families->push_back(std::move(rules));
  families->push_back(Single("sluice_reviews_overdue", "Restrictions whose review_by has passed.", MetricType::Gauge,
                             static_cast<double>(census.reviews_overdue)));
  families->push_back(Single("sluice_census_timestamp_seconds",
                             "When accounts and rules were last counted; Unix time, 0 = not yet.", MetricType::Gauge,
                             absl::ToDoubleSeconds(census.at - absl::UnixEpoch())));
  families->push_back(Single("sluice_census_seconds", "How long the last census took.", MetricType::Gauge,
                             absl::ToDoubleSeconds(took)));
}

void Metrics::CollectSources(std::vector<MetricFamily>* families) const {
  absl::MutexLock lock(&sources_mutex_);
  for (int i = 0; i < kSourceCount; ++i) {
    const SourceInfo& info = kSources[i];
    if (families->empty() || families->back().name != info.name) {
      families->push_back(Family(info.name, info.help, info.type));
    }
    const Labels labels = info.label == nullptr ? Labels() : Labels{{info.label, info.value}};
    const double value = sources_[i] ? sources_[i]() : 0;
    (info.type == MetricType::Counter ? AddCounter : AddGauge)(value, labels, &families->back());
  }
  CollectLog(log_ ? log_() : LogFigures(), families);
  CollectCensus(census_, census_took_, families);
  MetricFamily build =
      Family("sluice_build_info", "1, with the version and the agreement pack in force as labels.", MetricType::Gauge);
  AddGauge(1, {{"version", build_.version}, {"pack", build_.pack}, {"pack_digest", build_.pack_digest}}, &build);
  families->push_back(std::move(build));
  MetricFamily config =
      Family("sluice_config_info", "1, with the configuration that other metrics are read by.", MetricType::Gauge);
  Labels labels;
  for (const auto& [name, value] : config_) labels.emplace_back(name.c_str(), value);
  AddGauge(1, labels, &config);
  families->push_back(std::move(config));
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families;
  CollectChecks(&families);
  CollectEvents(&families);
  CollectSources(&families);
  trust_.Collect(&families);
  for (MetricFamily& family : wire_.Collect()) families.push_back(std::move(family));
  for (MetricFamily& family : ProcessMetrics()) families.push_back(std::move(family));
  return families;
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(Collect()); }

}  // namespace sluice
