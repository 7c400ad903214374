#include "enforcement/clock.h"

namespace sluice {
namespace {

// Raises `*mark` to `value` where that is higher, and returns the higher of the two. Relaxed: a mark orders nothing but
// itself, and a thread that reads an older one still sees its own last answer.
int64_t RaiseTo(int64_t value, std::atomic<int64_t>* mark) {
  int64_t seen = mark->load(std::memory_order_relaxed);
  while (value > seen && !mark->compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
  return value > seen ? value : seen;
}

}  // namespace

Moment PolicyClock::Now() const {
  Moment moment = source_->Now();
  moment.wall = absl::FromUnixNanos(RaiseTo(absl::ToUnixNanos(moment.wall), &high_water_ns_));
  const int64_t passed_ns = moment.clock_error
                                ? RaiseTo(absl::ToUnixNanos(moment.wall - *moment.clock_error), &passed_ns_)
                                : passed_ns_.load(std::memory_order_relaxed);
  moment.passed_mark = absl::FromUnixNanos(passed_ns);
  return moment;
}

}  // namespace sluice
