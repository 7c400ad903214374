// How long what a thread of the listener answers now may have waited before the thread came to it.
//
// The kernel does not say when bytes arrived. What is known: all that a thread finds when it looks arrived after it
// last looked and read, or, where there was nothing and it had to wait, just now. A thread that keeps up waits between
// two looks, and what it answers has not waited; one that is behind finds the next work ready each time it looks. Of
// one socket more is known: what is read from it arrived after a read that left it empty.
#ifndef SLUICE_SERVER_LISTEN_WAITING_H_
#define SLUICE_SERVER_LISTEN_WAITING_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "enforcement/check.h"

namespace sluice {

// Of one thread; plain values of the monotonic clock.
class Waiting {
 public:
  // It has work since `woke`, and slept before that, or found it ready when it looked; which of both is not to be told
  // from the time between: on a busy machine a thread may lose its core while it looks. It takes up all that is ready.
  void OnWork(bool slept, MonotonicTime woke) {
    since_ = slept ? woke : last_look_;
    last_look_ = woke;
  }
  // Nothing that is answered now arrived before this; 0 = not known.
  MonotonicTime since() const { return since_; }

 private:
  MonotonicTime since_{0};
  MonotonicTime last_look_{0};  // everything that had arrived by then was taken up
};

// Of one socket that is read in pieces; plain values of the monotonic clock.
class SocketWaiting {
 public:
  // Nothing that is read next arrived before this. `of_thread`: what the thread knows of all sockets that it waits for,
  // which says nothing of one that the last read did not empty.
  MonotonicTime since(MonotonicTime of_thread) const {
    return left_ > 0 || of_thread.ns < since_.ns ? since_ : of_thread;
  }
  // A read that began at `at` took `taken` bytes; `left` are in the socket still.
  void OnRead(size_t taken, size_t left, MonotonicTime of_thread, MonotonicTime at);

 private:
  MonotonicTime since_{0};
  // What was left by a read that began at `read_`, and was not read since: all behind it arrived after that.
  size_t left_ = 0;
  MonotonicTime read_{0};
};

// What the calling thread's loop knows, for those whom it calls: of all sockets, or of the one that it reads from. Zero
// on every other thread.
MonotonicTime ArrivedSince();
void SetArrivedSince(MonotonicTime since);
// The monotonic clock of the machine, at most a few milliseconds late: a read of memory.
MonotonicTime CoarseNow();
// At most how long ArrivedSince is ago, by the monotonic clock of the machine, to a few milliseconds; zero where it is
// not known.
absl::Duration WaitedAtMost();

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_WAITING_H_
