// Rows of the table of goals: what was measured against what is wanted. Each program writes its rows as JSON lines to
// the file of --goals; bench/goals.py prints the rows of all.
#ifndef SLUICE_BENCH_GOALS_H_
#define SLUICE_BENCH_GOALS_H_

#include <cstdio>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice::bench {

class Goals {
 public:
  // Appends to the file `path`; "" keeps nothing.
  explicit Goals(const std::string& path);
  Goals(const Goals&) = delete;
  Goals& operator=(const Goals&) = delete;
  ~Goals();

  // `measured` is to be at most, or at least, `goal`, both in `unit` ("x", "s", "bytes"). `detail`: what it is made of.
  void AtMost(absl::string_view what, double measured, double goal, absl::string_view unit, absl::string_view detail);
  void AtLeast(absl::string_view what, double measured, double goal, absl::string_view unit, absl::string_view detail);

 private:
  void Write(absl::string_view what, double measured, absl::string_view sign, double goal, absl::string_view unit,
             bool met, absl::string_view detail);

  std::FILE* file_ = nullptr;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_GOALS_H_
