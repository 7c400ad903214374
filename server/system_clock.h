// The machine's clocks.
#ifndef SLUICE_SERVER_SYSTEM_CLOCK_H_
#define SLUICE_SERVER_SYSTEM_CLOCK_H_

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/clock.h"

namespace sluice {

class SystemClock final : public Clock {
 public:
  // `error` is how far the wall clock may be off, as the operator vouches for it; nothing = unknown.
  explicit SystemClock(absl::optional<absl::Duration> error) : error_(error) {}

  // CLOCK_REALTIME and CLOCK_MONOTONIC, without entering the kernel. Thread-safe; never blocks.
  Moment Now() const override;
  // What Now says as mono, alone.
  static int64_t MonotonicNs();

 private:
  const absl::optional<absl::Duration> error_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_SYSTEM_CLOCK_H_
