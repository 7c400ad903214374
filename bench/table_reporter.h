// Prints one table of medians at the end, with each median as a multiple of one lookup in a hash map that was measured
// in the same run with the same pattern of keys: nanoseconds are of a machine and a moment, multiples travel further.
#ifndef SLUICE_BENCH_TABLE_REPORTER_H_
#define SLUICE_BENCH_TABLE_REPORTER_H_

#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

namespace sluice::bench {

class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  // Of the benchmarks whose lookups are the unit. Names end in "/hot" or "/random", as those of what they measure.
  explicit TableReporter(std::string unit) : unit_(std::move(unit)) {}

  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

  // Runs that said SkipWithError: each printed to standard error.
  int errors() const { return errors_; }

 private:
  struct Row {
    std::string name;
    std::vector<double> cpu_ns;  // of each repetition: CPU time of one thread for one call
    double allocations = -1;     // -1 = not counted
  };
  Row* RowOf(const std::string& name);

  const std::string unit_;
  std::vector<Row> rows_;
  std::map<std::string, size_t> by_name_;
  int errors_ = 0;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_TABLE_REPORTER_H_
