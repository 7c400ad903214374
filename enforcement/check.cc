#include "enforcement/check.h"

#include <cstring>
#include <functional>

namespace sluice {

absl::string_view KeptNames::Keep(absl::string_view name) {
  if (name.empty()) return {};
  if (name.size() > kRoom - used_) return *more_.emplace_back(std::make_unique<std::string>(name));
  char* const place = room_ + used_;
  std::memcpy(place, name.data(), name.size());
  used_ += name.size();
  return {place, name.size()};
}

bool KeptNames::Holds(absl::string_view name) const {
  const std::less<> before;  // of pointers into different arrays too
  if (name.empty()) return false;
  if (!before(name.data(), room_) && before(name.data(), room_ + used_)) return true;
  for (const auto& each : more_) {
    if (!before(name.data(), each->data()) && before(name.data(), each->data() + each->size())) return true;
  }
  return false;
}

void Decision::Clear() {
  verdict = Verdict::kUnspecified;
  reason = Reason::kUnspecified;
  fault = Fault::kUnspecified;
  set_by = Role::kUnspecified;
  clause.clear();
  rule_id.clear();
  lease_id.clear();
  warnings.clear();
  all_reasons.clear();
  retry_after_ms = shape_bytes_per_second = cache_for_ms = recheck_after_ms = revision = 0;
  http = HttpHint();
  rate.reset();
  trial_verdict = Verdict::kUnspecified;
  trial_reason = Reason::kUnspecified;
  trial_rule_id.clear();
  dimension = Dimension::kUnspecified;
  owner = bucket = key = host = {};
  kept.Clear();
}

Decision& Decision::operator=(const Decision& other) {
  if (this == &other) return *this;
  verdict = other.verdict;
  reason = other.reason;
  fault = other.fault;
  set_by = other.set_by;
  clause = other.clause;
  rule_id = other.rule_id;
  lease_id = other.lease_id;
  warnings = other.warnings;
  all_reasons = other.all_reasons;
  retry_after_ms = other.retry_after_ms;
  shape_bytes_per_second = other.shape_bytes_per_second;
  cache_for_ms = other.cache_for_ms;
  recheck_after_ms = other.recheck_after_ms;
  revision = other.revision;
  http = other.http;
  rate = other.rate;
  dimension = other.dimension;
  trial_verdict = other.trial_verdict;
  trial_reason = other.trial_reason;
  trial_rule_id = other.trial_rule_id;
  kept.Clear();
  const auto take = [&](absl::string_view name) { return other.kept.Holds(name) ? kept.Keep(name) : name; };
  owner = take(other.owner);
  bucket = take(other.bucket);
  key = take(other.key);
  host = take(other.host);
  return *this;
}

}  // namespace sluice
