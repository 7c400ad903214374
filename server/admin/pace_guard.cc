#include "server/admin/pace_guard.h"

#include <utility>

#include "absl/time/time.h"

namespace sluice {

PaceGuard::PaceGuard(const Pace& pace, std::function<void()> cut)
    : bytes_per_second_min_(pace.bytes_per_second_min),
      cut_(std::move(cut)),
      left_(pace.credit),
      thread_([this] { Watch(); }) {}

PaceGuard::~PaceGuard() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    changed_.Signal();
  }
  thread_.join();
}

void PaceGuard::BeginWait() {
  absl::MutexLock lock(&mutex_);
  deadline_ = Clock::now() + left_;
  waiting_ = true;
  changed_.Signal();
}

bool PaceGuard::EndWait(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (IsLate()) return false;
  waiting_ = false;
  left_ = deadline_ - Clock::now() +
          std::chrono::microseconds(static_cast<int64_t>(bytes) * 1'000'000 / bytes_per_second_min_);
  return true;
}

bool PaceGuard::behind() const {
  absl::MutexLock lock(&mutex_);
  return behind_;
}

bool PaceGuard::IsLate() {
  behind_ |= waiting_ && Clock::now() >= deadline_;
  return behind_;
}

void PaceGuard::Watch() {
  {
    absl::MutexLock lock(&mutex_);
    while (!ended_ && !IsLate()) {
      if (waiting_) {
        changed_.WaitWithTimeout(&mutex_, absl::FromChrono(deadline_ - Clock::now()));
      } else {
        changed_.Wait(&mutex_);
      }
    }
    if (ended_) return;
  }
  cut_();
}

}  // namespace sluice
