#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "enforcement/census.h"
#include "server/node/node.h"
#include "store/rule_census.h"

namespace sluice {
namespace {

// How long at least lies between two counts of accounts and rules.
constexpr absl::Duration kCensusPause = absl::Seconds(5);

Metrics::LogFigures FiguresOf(const DecisionLog& log) {
  const DecisionLog::Figures figures = log.figures();
  Metrics::LogFigures shown;
  for (int i = 0; i < kLogClassCount; ++i) {
    shown.classes.push_back({Name(static_cast<LogClass>(i)), figures.written[i], figures.dropped[i]});
  }
  shown.bytes_written = figures.bytes_written;
  shown.write_failures = figures.write_failures;
  shown.failing = figures.failing;
  shown.folder_bytes = figures.folder_bytes;
  shown.segments = figures.segments;
  shown.held_segments = figures.held_segments;
  shown.removed_for_age = figures.removed_segments - figures.removed_for_size;
  shown.removed_for_size = figures.removed_for_size;
  shown.oldest_seconds = static_cast<double>(figures.oldest_ns) / 1e9;
  return shown;
}

}  // namespace

void Node::SetSources() {
  using Source = Metrics::Source;
  metrics_.SetLog([this] { return FiguresOf(*decision_log_); });
  metrics_.SetConfig({{"region", config_.node_region},
                      {"dialect", std::string(Name(config_.node_dialect))},
                      {"fleet_size", absl::StrCat(config_.node_fleet_size)},
                      {"policy_max_age", absl::FormatDuration(config_.policy_max_age)},
                      {"decision_log_sample", absl::StrCat(config_.decision_log_sample)},
                      {"decision_log_keep_for", absl::FormatDuration(config_.decision_log_keep_for)}});
  metrics_.SetSource(Source::kPolicyRevision, [this] { return static_cast<double>(store_->revision()); });
  metrics_.SetSource(Source::kPolicyAgeSeconds, [this] { return absl::ToDoubleSeconds(PolicyAge()); });
  metrics_.SetSource(Source::kPolicyStale, [this] { return readiness_.stale() ? 1.0 : 0.0; });
  metrics_.SetSource(Source::kStoreBytes, [this] { return static_cast<double>(store_->used_bytes()); });
  metrics_.SetSource(Source::kStoreBoundBytes, [this] { return static_cast<double>(store_->map_bytes()); });
  metrics_.SetSource(Source::kLimiterCells, [this] { return static_cast<double>(limiter_.cells()); });
  const auto live = [this](Limiter::Table table) {
    return [this, table] { return static_cast<double>(limiter_.LiveCells(table, clock_->Now().mono)); };
  };
  metrics_.SetSource(Source::kLimiterLiveKnown, live(Limiter::Table::kKnown));
  metrics_.SetSource(Source::kLimiterLiveAnyones, live(Limiter::Table::kAnyones));
  metrics_.SetSource(Source::kLimiterEvictedLive, [this] { return static_cast<double>(limiter_.evicted_live()); });
  metrics_.SetSource(Source::kLimiterLeases, [this] { return static_cast<double>(limiter_.leases().size()); });
  metrics_.SetSource(Source::kLimiterEvictedSpent, [this] { return static_cast<double>(limiter_.evicted_spent()); });
  metrics_.SetSource(Source::kLimiterLeasesUntracked,
                     [this] { return static_cast<double>(limiter_.leases().untracked()); });
  metrics_.SetSource(Source::kLedgerAmounts, [this] { return static_cast<double>(limiter_.ledger().size()); });
  metrics_.SetSource(Source::kLedgerTurnedAway,
                     [this] { return static_cast<double>(limiter_.ledger().turned_away()); });
  metrics_.SetSource(Source::kReady, [this] { return readiness_.ready() ? 1.0 : 0.0; });
}

void Node::TakeCensus() {
  const Moment now = clock_->Now();
  Census census;
  CountAccounts(*index_.Read(), now, &census);
  const absl::Status status = CountRules(*store_, now, &census);
  const absl::Duration took = absl::Nanoseconds(clock_->Now().mono.ns - now.mono.ns);
  census_due_ = absl::Now() + std::max(kCensusPause, 100 * took);
  if (status.ok()) {
    metrics_.SetCensus(census, took);
  } else {
    logger_.Warning("census", {{"error", status.ToString()}});
  }
}

}  // namespace sluice
