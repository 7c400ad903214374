#include "bench/table_reporter.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/median.h"

namespace sluice::bench {

bool TableReporter::ReportContext(const Context&) { return true; }

TableReporter::Row* TableReporter::RowOf(const std::string& name) {
  const auto [it, added] = by_name_.emplace(name, rows_.size());
  if (added) {
    rows_.emplace_back();
    rows_.back().name = name;
  }
  return &rows_[it->second];
}

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    std::string name = run.run_name.function_name;
    if (run.threads > 1) absl::StrAppend(&name, ", ", run.threads, " threads");
    if (run.error_occurred) {
      ++errors_;
      std::fprintf(stderr, "%s: %s\n", name.c_str(), run.error_message.c_str());
      continue;
    }
    if (run.run_type != Run::RT_Iteration) continue;
    Row* row = RowOf(name);
    row->cpu_ns.push_back(run.GetAdjustedCPUTime());
    const auto allocations = run.counters.find("allocations");
    if (allocations != run.counters.end()) row->allocations = allocations->second.value;
  }
}

void TableReporter::Finalize() {
  std::printf("%-40s %9s %9s %9s  %-12s %s\n", "CPU time of a call", "median ns", "least ns", "most ns", "allocations",
              "x lookup");
  // By name, whatever order they ran in.
  for (const auto& [name, index] : by_name_) {
    const Row& row = rows_[index];
    const double median = Median(row.cpu_ns);
    const bool random = absl::StrContains(row.name, "/random");
    const auto unit = by_name_.find(absl::StrCat(unit_, random ? "/random" : "/hot"));
    const double lookup = unit == by_name_.end() ? 0 : Median(rows_[unit->second].cpu_ns);
    const auto [least, most] = std::minmax_element(row.cpu_ns.begin(), row.cpu_ns.end());
    std::printf("%-40s %9.1f %9.1f %9.1f  %-12s %s\n", row.name.c_str(), median, *least, *most,
                row.allocations < 0 ? "" : absl::StrFormat("%.1f", row.allocations).c_str(),
                lookup > 0 ? absl::StrFormat("%.1f", median / lookup).c_str() : "");
  }
}

}  // namespace sluice::bench
