// Where time comes from. Everything below takes a Moment as a value; only the doors ask a Clock, once a check.
#ifndef SLUICE_ENFORCEMENT_CLOCK_H_
#define SLUICE_ENFORCEMENT_CLOCK_H_

#include <atomic>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"

namespace sluice {

class Clock {
 public:
  virtual ~Clock() = default;
  // The three faces of now, as the machine gives them. Thread-safe; never blocks.
  virtual Moment Now() const = 0;
};

// Policy time: the wall clock, but never going back. When the wall clock steps back it stands still until the clock has
// caught up, so that nothing that began un-begins (domain.md, section 7, Events). Thread-safe; never blocks.
class PolicyClock final : public Clock {
 public:
  // `source` must outlive this. `not_before` is the latest policy time that a store remembers.
  explicit PolicyClock(const Clock* source, absl::Time not_before = absl::UnixEpoch())
      : source_(source),
        high_water_ns_(absl::ToUnixNanos(not_before)),
        passed_ns_(absl::ToUnixNanos(not_before - absl::Seconds(1))) {}

  Moment Now() const override;

 private:
  const Clock* const source_;
  mutable std::atomic<int64_t> high_water_ns_;
  mutable std::atomic<int64_t> passed_ns_;  // high-water mark of wall - clock error
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_CLOCK_H_
