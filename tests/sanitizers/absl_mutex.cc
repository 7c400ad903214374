// Tells ThreadSanitizer of absl::Mutex, absl::CondVar and absl::Notification. Debian's Abseil is built without it, so
// that their atomics are invisible: whatever a mutex guards would be reported as a race. This library stands before
// Abseil's in the order of symbols, passes each call on, and says who releases and who acquires. gRPC's own locks are
// absl::Mutex too.
//
// Readers are told like writers: a write under a reader's lock is not found. Built in the preset tsan alone.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "real_function.h"

extern "C" {  // of the run-time library; no header of GCC's declares them
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

using ::sluice::RealFunction;

// Debian's Abseil looks for circles in the order of locks, in a graph of its own that threads hand on unseen. What the
// other presets' tests hold need not be held here too.
__attribute__((constructor)) void IgnoreDeadlocks() { SetMutexDeadlockDetectionMode(OnDeadlockCycle::kIgnore); }

}  // namespace

// The names are those of Debian bookworm's Abseil, 20220623.
#define SLUICE_MUTEX "_ZN4absl7debian35Mutex"
#define SLUICE_CONDVAR "_ZN4absl7debian37CondVar"
#define SLUICE_NOTIFICATION "4absl7debian312Notification"

void Mutex::Lock() {
  static auto* const real = RealFunction<void(Mutex*)>(SLUICE_MUTEX "4LockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::Unlock() {
  static auto* const real = RealFunction<void(Mutex*)>(SLUICE_MUTEX "6UnlockEv");
  __tsan_release(this);
  real(this);
}
bool Mutex::TryLock() {
  static auto* const real = RealFunction<bool(Mutex*)>(SLUICE_MUTEX "7TryLockEv");
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}
void Mutex::ReaderLock() {
  static auto* const real = RealFunction<void(Mutex*)>(SLUICE_MUTEX "10ReaderLockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::ReaderUnlock() {
  static auto* const real = RealFunction<void(Mutex*)>(SLUICE_MUTEX "12ReaderUnlockEv");
  __tsan_release(this);
  real(this);
}
bool Mutex::ReaderTryLock() {
  static auto* const real = RealFunction<bool(Mutex*)>(SLUICE_MUTEX "13ReaderTryLockEv");
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}
void Mutex::Await(const Condition& condition) {
  static auto* const real = RealFunction<void(Mutex*, const Condition&)>(SLUICE_MUTEX "5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  real(this, condition);
  __tsan_acquire(this);
}
void Mutex::LockWhen(const Condition& condition) {
  static auto* const real = RealFunction<void(Mutex*, const Condition&)>(SLUICE_MUTEX "8LockWhenERKNS0_9ConditionE");
  real(this, condition);
  __tsan_acquire(this);
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const real = RealFunction<bool(Mutex*, const Condition&, Duration)>(
      SLUICE_MUTEX "16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool met = real(this, condition, timeout);
  __tsan_acquire(this);
  return met;
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const real = RealFunction<bool(Mutex*, const Condition&, Time)>(
      SLUICE_MUTEX "17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_release(this);
  const bool met = real(this, condition, deadline);
  __tsan_acquire(this);
  return met;
}
void CondVar::Wait(Mutex* mutex) {
  static auto* const real = RealFunction<void(CondVar*, Mutex*)>(SLUICE_CONDVAR "4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  real(this, mutex);
  __tsan_acquire(mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const real =
      RealFunction<bool(CondVar*, Mutex*, Duration)>(SLUICE_CONDVAR "15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = real(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const real =
      RealFunction<bool(CondVar*, Mutex*, Time)>(SLUICE_CONDVAR "16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = real(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

// Who comes when it was told sees that by an atomic, and takes no mutex.
void Notification::Notify() {
  static auto* const real = RealFunction<void(Notification*)>("_ZN" SLUICE_NOTIFICATION "6NotifyEv");
  __tsan_release(&notified_yet_);
  real(this);
}
void Notification::WaitForNotification() const {
  static auto* const real =
      RealFunction<void(const Notification*)>("_ZNK" SLUICE_NOTIFICATION "19WaitForNotificationEv");
  real(this);
  __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
}
bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const real = RealFunction<bool(const Notification*, Duration)>(
      "_ZNK" SLUICE_NOTIFICATION "30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool told = real(this, timeout);
  if (told) __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
  return told;
}
bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static auto* const real = RealFunction<bool(const Notification*, Time)>(
      "_ZNK" SLUICE_NOTIFICATION "31WaitForNotificationWithDeadlineENS0_4TimeE");
  const bool told = real(this, deadline);
  if (told) __tsan_acquire(const_cast<std::atomic<bool>*>(&notified_yet_));
  return told;
}

// A condition is looked at under the lock, but where Abseil alone knows of it: by who waits, in the middle of Await,
// and by who unlocks, after what Unlock says above. What it reads is read at the right time, and not reported.
bool Condition::Eval() const {
  static auto* const real = RealFunction<bool(const Condition*)>("_ZNK4absl7debian39Condition4EvalEv");
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool holds = real(this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return holds;
}

ABSL_NAMESPACE_END
}  // namespace absl
