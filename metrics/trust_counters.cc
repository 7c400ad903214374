#include "metrics/trust_counters.h"

#include <string>
#include <utility>

#include "enforcement/failure_policy.h"
#include "prometheus/client_metric.h"
#include "prometheus/metric_type.h"

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

constexpr absl::string_view kMethods[kAdminMethodCount] = {"Apply", "ApplyStream", "Describe", "Explain", "List",
                                                           "Watch", "Export",      "Import",   "Top",     "Query"};
constexpr absl::string_view kOutcomes[kAdminOutcomeCount] = {"DONE", "FAILED", "UNAUTHENTICATED", "DENIED"};
constexpr absl::string_view kFailureOutcomes[kFailureOutcomeCount] = {"DENIED", "ALLOWED", "DECIDED"};

MetricFamily Counter(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Counter;
  return family;
}

void Add(const std::atomic<int64_t>& count, std::vector<std::pair<const char*, absl::string_view>> labels,
         MetricFamily* family) {
  ClientMetric metric;
  metric.counter.value = static_cast<double>(count.load(std::memory_order_relaxed));
  for (const auto& [name, value] : labels) {
    ClientMetric::Label label;
    label.name = name;
    label.value = std::string(value);
    metric.label.push_back(std::move(label));
  }
  family->metric.push_back(std::move(metric));
}

}  // namespace

absl::string_view Name(AdminMethod method) { return kMethods[static_cast<size_t>(method)]; }
absl::string_view Name(AdminOutcome outcome) { return kOutcomes[static_cast<size_t>(outcome)]; }

// Relaxed throughout: a count orders nothing.
void TrustCounters::OnAdminCall(AdminMethod method, AdminOutcome outcome) {
  calls_[static_cast<size_t>(method)][static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
}

void TrustCounters::OnEventsRefused(int64_t count) { events_refused_.fetch_add(count, std::memory_order_relaxed); }

void TrustCounters::OnFailurePolicy(Reason reason, FailureOutcome outcome) {
  failures_[static_cast<size_t>(reason)][static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
}

void TrustCounters::Collect(std::vector<MetricFamily>* families) const {
  MetricFamily calls =
      Counter("sluice_admin_calls_total", "Calls of administration that ended, by method and outcome.");
  for (size_t method = 0; method < calls_.size(); ++method) {
    for (size_t outcome = 0; outcome < calls_[method].size(); ++outcome) {
      Add(calls_[method][outcome], {{"method", kMethods[method]}, {"outcome", kOutcomes[outcome]}}, &calls);
    }
  }
  families->push_back(std::move(calls));
  MetricFamily refused =
      Counter("sluice_events_refused_total", "Policy events rejected because their sender may not send them.");
  Add(events_refused_, {}, &refused);
  families->push_back(std::move(refused));
  MetricFamily failures =
      Counter("sluice_failure_policy_total",
              "Checks that could not be decided, by reason and by what the failure policy made of them.");
  // Always there, also where it never happened.
  for (const Reason reason : FailurePolicy::kReasons) {
    for (int outcome = 0; outcome < kFailureOutcomeCount; ++outcome) {
      Add(failures_[static_cast<size_t>(reason)][static_cast<size_t>(outcome)],
          {{"reason", Name(reason)}, {"outcome", kFailureOutcomes[outcome]}}, &failures);
    }
  }
  families->push_back(std::move(failures));
}

}  // namespace sluice
