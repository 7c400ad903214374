// Servers measured against one another in one run: each round measures every side once, the order turns round from one
// round to the next, and what is compared is the median over the rounds of the ratio within a round. A machine that
// grows slower meets all alike.
#ifndef SLUICE_BENCH_CONTEST_H_
#define SLUICE_BENCH_CONTEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/child_process.h"
#include "bench/wire_load.h"

namespace sluice::bench {

struct ContestSide {
  std::string name;
  const ChildProcess* server = nullptr;
  std::string socket;
  WireLoad::MakeCaller make_caller;
  int connections = 1;
  int in_flight = 1;        // on each connection
  double offered = 0;       // calls a second, open loop; 0 = closed, `in_flight`
  int checks_per_call = 1;  // what the figures below are divided by
};

// What one side did in one round; a check is what checks_per_call says.
struct ContestRound {
  double per_second = 0;                                    // checks
  double server_cpu_us = 0;                                 // of all threads of the server, a check
  double caller_cpu_us = 0;                                 // of the load generator, a check
  double server_instructions = 0, caller_instructions = 0;  // in user mode, a check; 0 = not counted
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;   // of a call
  double sent_bytes = 0, received_bytes = 0;                // a call
};

class Contest {
 public:
  // `name`: of the rows. `caller_core`: where the load generator runs; -1 = where it is.
  Contest(std::string name, std::vector<ContestSide> sides, int caller_core)
      : name_(std::move(name)), sides_(std::move(sides)), caller_core_(caller_core), rounds_(sides_.size()) {}

  // Once to warm up, then `rounds` times. INTERNAL where an answer was wrong.
  absl::Status Run(int rounds, absl::Duration lasts);

  const std::string& name() const { return name_; }
  double MedianOf(size_t side, double ContestRound::*member) const;
  // Of `side` divided by that of `other` in the same round.
  double RatioOf(size_t side, size_t other, double ContestRound::*member) const;

  static void PrintHeading();
  void Print() const;
  std::string Json() const;

 private:
  absl::Status MeasureOnce(size_t side, WireLoad* load, absl::Duration lasts, bool keep);

  const std::string name_;
  const std::vector<ContestSide> sides_;
  const int caller_core_;
  std::vector<std::vector<ContestRound>> rounds_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_CONTEST_H_
