// How long what a thread of the listener answers now may have waited before the thread came to it.
//
// The kernel does not say when bytes arrived. What is known: all that a thread finds when it looks arrived after it
// last looked and read, or, where there was nothing and it had to wait, just now. A thread that keeps up waits between
// two looks, and what it answers has not waited; one that is behind finds the next work ready each time it looks.
#ifndef SLUICE_SERVER_LISTEN_WAITING_H_
#define SLUICE_SERVER_LISTEN_WAITING_H_

#include <cstdint>

#include "absl/time/time.h"
#include "enforcement/check.h"

namespace sluice {

// Of one thread; plain values of the monotonic clock.
class Waiting {
 public:
  // It has work since `woke`, and slept before that, or found it ready when it looked; which of both is not to be told
  // from the time between: on a busy machine a thread may lose its core while it looks. `all`: nothing else was ready.
  void OnWork(bool slept, bool all, MonotonicTime woke) {
    since_ = slept ? woke : last_read_;
    if (slept || all) last_read_ = woke;
  }
  // Nothing that is answered now arrived before this; 0 = not known.
  MonotonicTime since() const { return since_; }

 private:
  MonotonicTime since_{0};
  MonotonicTime last_read_{0};  // everything that had arrived by then was taken up
};

// What the calling thread's loop knows, for those whom it calls. Zero on every other thread.
MonotonicTime ArrivedSince();
void SetArrivedSince(MonotonicTime since);
// At most how long that is ago, by the monotonic clock of the machine, to a few milliseconds; zero where it is not
// known.
absl::Duration WaitedAtMost();

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_WAITING_H_
