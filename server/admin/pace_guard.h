// Breaks off a stream whose other end keeps the node waiting for too long, so that nobody holds a snapshot of the
// store, or the turn to write to it, for as long as they please. Source: docs/decisions/2026-11-26-exports-stream.md
#ifndef SLUICE_SERVER_ADMIN_PACE_GUARD_H_
#define SLUICE_SERVER_ADMIN_PACE_GUARD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sluice {

// How long one may keep the node waiting, in all: `credit`, and a second for each `bytes_per_second_min` that passed.
struct Pace {
  std::chrono::milliseconds credit = std::chrono::seconds(30);
  int64_t bytes_per_second_min = int64_t{4} << 20;
};

// For one stream, from its beginning to its end. BeginWait and EndWait are for its own thread, in turn.
class PaceGuard {
 public:
  // `cut` is called once, from another thread, when a wait outlasts what is left; it has to end that wait.
  PaceGuard(const Pace& pace, std::function<void()> cut);
  ~PaceGuard();  // `cut` is not called any more
  PaceGuard(const PaceGuard&) = delete;
  PaceGuard& operator=(const PaceGuard&) = delete;

  void BeginWait() ABSL_LOCKS_EXCLUDED(mutex_);
  // So many bytes passed meanwhile. False where the stream is behind.
  bool EndWait(size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether it ever was. Thread-safe.
  bool behind() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  void Watch() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsLate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t bytes_per_second_min_;
  const std::function<void()> cut_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  Clock::duration left_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  Clock::time_point deadline_ ABSL_GUARDED_BY(mutex_);  // of the wait that is under way
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_PACE_GUARD_H_
