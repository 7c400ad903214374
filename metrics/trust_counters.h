// Counts of who may and who may not: calls of administration, and what the failure policy made of checks that could not
// be decided. Part of Metrics, which serves them with the rest.
#ifndef SLUICE_METRICS_TRUST_COUNTERS_H_
#define SLUICE_METRICS_TRUST_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "enforcement/values.h"
#include "prometheus/metric_family.h"

namespace sluice {

// The methods of sluice.v1.PolicyAdmin and sluice.v1.DecisionLog.
enum class AdminMethod : uint8_t {
  kApply,
  kApplyStream,
  kDescribe,
  kExplain,
  kList,
  kWatch,
  kExport,
  kImport,
  kTop,
  kQuery,
};
inline constexpr int kAdminMethodCount = 10;
absl::string_view Name(AdminMethod method);  // "ApplyStream"

enum class AdminOutcome : uint8_t {
  kDone,
  kFailed,           // admitted, and then an error
  kUnauthenticated,  // no credential, or one that nobody knows
  kDenied,           // a known caller that may not do this
};
inline constexpr int kAdminOutcomeCount = 4;
absl::string_view Name(AdminOutcome outcome);  // "DENIED"

enum class FailureOutcome : uint8_t {
  kDenied,
  kAllowed,
  kDecided,  // by a policy that is older than its bound
};
inline constexpr int kFailureOutcomeCount = 3;

// Thread-safe; wait-free.
class TrustCounters {
 public:
  void OnAdminCall(AdminMethod method, AdminOutcome outcome);
  // Events that were rejected because their sender may not send them.
  void OnEventsRefused(int64_t count);
  // A check that could not be decided for `reason`, one of FailurePolicy::kReasons, and what the failure policy made of
  // it.
  void OnFailurePolicy(Reason reason, FailureOutcome outcome);

  void Collect(std::vector<prometheus::MetricFamily>* families) const;

 private:
  std::array<std::array<std::atomic<int64_t>, kAdminOutcomeCount>, kAdminMethodCount> calls_{};
  std::atomic<int64_t> events_refused_{0};
  std::array<std::array<std::atomic<int64_t>, kFailureOutcomeCount>, kReasonCount> failures_{};
};

}  // namespace sluice

#endif  // SLUICE_METRICS_TRUST_COUNTERS_H_
