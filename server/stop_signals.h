// The signals that stop a node or have it read its configuration again, taken one at a time where somebody waits for
// them.
#ifndef SLUICE_SERVER_STOP_SIGNALS_H_
#define SLUICE_SERVER_STOP_SIGNALS_H_

#include <pthread.h>
#include <signal.h>

#include <functional>

namespace sluice {

class StopSignals {
 public:
  // SIGTERM, SIGINT and SIGHUP wait from now on until somebody asks for them. Make it before the first thread starts,
  // which then inherits it.
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    signal(SIGXFSZ, SIG_IGN);  // a file over its limit is a full disk
    signal(SIGPIPE, SIG_IGN);  // a caller that hangs up is an error of one write, not the end of the process
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Blocks until SIGTERM or SIGINT comes, and returns it; a second one kills at once. `reload` is called for each
  // SIGHUP before it.
  int Await(const std::function<void()>& reload) const {
    int received = 0;
    while (sigwait(&signals_, &received) == 0 && received == SIGHUP) reload();
    sigset_t stop = signals_;
    sigdelset(&stop, SIGHUP);  // which is no reason to die while draining
    pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
    return received;
  }

 private:
  sigset_t signals_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_STOP_SIGNALS_H_
