// Calls a function at a steady pace on a thread of its own, and stops at once when asked.
#ifndef SLUICE_SERVER_TICKER_H_
#define SLUICE_SERVER_TICKER_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace sluice {

class Ticker {
 public:
  // The first call comes after one `period`; a call that takes longer delays the next.
  Ticker(absl::Duration period, std::function<void()> tick)
      : period_(period), tick_(std::move(tick)), thread_([this] { Run(); }) {}
  // Waits for a call under way.
  ~Ticker() { Stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), period_)) return;
      }
      tick_();  // unlocked: Stop may be called meanwhile
    }
  }

  const absl::Duration period_;
  const std::function<void()> tick_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_SERVER_TICKER_H_
