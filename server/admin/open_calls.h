// Calls that need no credential, of which a server keeps so many open at once: for one more the oldest is cut, as among
// connections (connection_bound.h). Who leaves them open cuts its own, and whoever asks has its answer long before.
#ifndef SLUICE_SERVER_ADMIN_OPEN_CALLS_H_
#define SLUICE_SERVER_ADMIN_OPEN_CALLS_H_

#include <cstddef>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sluice {

// `Call` is a reactor: it enters when it is made, and leaves in OnDone. Its Cut() ends it soon, and is called under the
// mutex, so that it is not gone; gRPC calls reactions that follow from that on threads of its own. Thread-safe.
template <typename Call>
class OpenCalls {
 public:
  // REQUIRES: calls_max > 0.
  explicit OpenCalls(size_t calls_max) : calls_max_(calls_max) {}

  void Enter(Call* call) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (calls_.size() >= calls_max_) {
      calls_.front()->Cut();
      calls_.pop_front();
    }
    calls_.push_back(call);
  }
  void Leave(Call* call) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    calls_.remove(call);
  }
  // Runs `tell(call)` for each that is open, under the mutex.
  template <typename Tell>
  void ForEach(const Tell& tell) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    for (Call* const call : calls_) tell(call);
  }

 private:
  const size_t calls_max_;
  absl::Mutex mutex_;
  std::list<Call*> calls_ ABSL_GUARDED_BY(mutex_);  // oldest first; those that were cut have left
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_OPEN_CALLS_H_
