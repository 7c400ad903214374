#include "server/system_clock.h"

#include <time.h>

namespace sluice {

Moment SystemClock::Now() const {
  timespec wall;
  timespec mono;
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_MONOTONIC, &mono);
  Moment moment;
  moment.wall = absl::TimeFromTimespec(wall);
  moment.mono.ns = mono.tv_sec * int64_t{1'000'000'000} + mono.tv_nsec;
  moment.clock_error = error_;
  return moment;
}

int64_t SystemClock::MonotonicNs() {
  timespec mono;
  clock_gettime(CLOCK_MONOTONIC, &mono);
  return mono.tv_sec * int64_t{1'000'000'000} + mono.tv_nsec;
}

}  // namespace sluice
