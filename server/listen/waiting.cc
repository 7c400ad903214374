#include "server/listen/waiting.h"

#include <time.h>

namespace sluice {
namespace {

thread_local MonotonicTime arrived_since{0};

}  // namespace

MonotonicTime ArrivedSince() { return arrived_since; }
void SetArrivedSince(MonotonicTime since) { arrived_since = since; }

absl::Duration WaitedAtMost() {
  if (arrived_since.ns == 0) return absl::ZeroDuration();
  // Coarse: a read of memory, on every check; a tick of the kernel late, which no bound notices.
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const int64_t waited = now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec - arrived_since.ns;
  return absl::Nanoseconds(waited < 0 ? 0 : waited);
}

}  // namespace sluice
