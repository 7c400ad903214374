#ifndef SLUICE_BENCH_MEDIAN_H_
#define SLUICE_BENCH_MEDIAN_H_

#include <algorithm>
#include <vector>

namespace sluice::bench {

// Of an even number of values the mean of the middle two; 0 of none.
inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_MEDIAN_H_
