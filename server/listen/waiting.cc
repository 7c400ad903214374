#include "server/listen/waiting.h"

#include <time.h>

#include <algorithm>

namespace sluice {
namespace {

thread_local MonotonicTime arrived_since{0};

}  // namespace

void SocketWaiting::OnRead(size_t taken, size_t left, MonotonicTime of_thread, MonotonicTime at) {
  since_ = since(of_thread);
  if (left == 0) {
    since_ = at;
    left_ = 0;
    return;
  }
  left_ -= std::min(left_, taken);
  if (left_ > 0) return;
  // All of what an earlier read left is taken now; what is left now came behind it.
  if (read_.ns > since_.ns) since_ = read_;
  left_ = left;
  read_ = at;
}

MonotonicTime CoarseNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return {now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec};
}

MonotonicTime ArrivedSince() { return arrived_since; }
void SetArrivedSince(MonotonicTime since) { arrived_since = since; }

absl::Duration WaitedAtMost() {
  if (arrived_since.ns == 0) return absl::ZeroDuration();
  // On every check; a tick of the kernel late, which no bound notices.
  const int64_t waited = CoarseNow().ns - arrived_since.ns;
  return absl::Nanoseconds(waited < 0 ? 0 : waited);
}

}  // namespace sluice
