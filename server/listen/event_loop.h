// One thread with its connections: waits for sockets and time, and moves whatever can move. For listener.cc.
#ifndef SLUICE_SERVER_LISTEN_EVENT_LOOP_H_
#define SLUICE_SERVER_LISTEN_EVENT_LOOP_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/listen/connection.h"
#include "server/listen/tls_source.h"
#include "server/listen/waiting.h"

namespace sluice {

// The monotonic clock of the machine.
MonotonicTime MonotonicNow();

class EventLoop {
 public:
  // All must outlive the loop. With an empty maker connections speak HTTP. `buffers`: null = no bound. `counts`: of
  // this loop's thread alone. `tls`: null = connections speak in the clear. `newcomers_max`: as the listener's.
  // RESOURCE_EXHAUSTED where the process may open no more files.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(const Router* router, const SessionLimits* limits,
                                                           const SessionMaker* make_session, BufferBudget* buffers,
                                                           WireCounts* counts, const TlsSource* tls = nullptr,
                                                           size_t newcomers_max = 0);
  ~EventLoop();  // cuts what is open
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Before Start, and once: calls `on_readable` on the loop's thread whenever `fd` is readable; where it says that
  // nothing can be done for now, not again before a second has passed. Owns `fd`, also where it fails, and closes it as
  // soon as it drains.
  absl::Status Watch(int fd, std::function<bool()> on_readable);
  void Start();

  // Any thread. Each is done on the loop's own, soon.
  void Adopt(int fd);  // serves this socket from now on, and owns it
  void NotifyWatchers();
  // Closes what it watches, drains every connection, cuts those that are left at `deadline`. The thread then ends.
  void Drain(MonotonicTime deadline);
  // After Drain. Blocks until the thread has ended.
  void Join();

  int connections() const { return connections_count_.load(std::memory_order_relaxed); }

 private:
  EventLoop(int epoll, int wake, const Router* router, const SessionLimits* limits, const SessionMaker* make_session,
            BufferBudget* buffers, WireCounts* counts, const TlsSource* tls, size_t newcomers_max);

  struct Tasks {
    std::vector<int> adopted;
    bool notify = false;
    bool drain = false;
    MonotonicTime deadline;
  };

  void Run();
  void TakeTasks(MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);
  void Wake();
  void PauseWatching(MonotonicTime now);
  void ResumeWatching();
  void StopWatching();
  void Serve(int fd, MonotonicTime now);
  // Moves a connection of which epoll says `events`. `in_company`: of others it says something too.
  void OnReady(AcceptedConnection* connection, uint32_t events, bool in_company, MonotonicTime now);
  // What connections of this look left to be answered together.
  void AnswerGathered(MonotonicTime now);
  // Sends what those were answered that waited to be.
  void SendAnswers(MonotonicTime now);
  // Makes room for one more that has not shown who it is.
  void CutOldestNewcomer();
  // Waits for what the connection wants now; or destroys it.
  void Settle(AcceptedConnection* connection, bool goes_on);
  void TickAll(MonotonicTime now);
  int PatienceMs(MonotonicTime now) const;

  const int epoll_;
  const int wake_;
  const Router* const router_;
  const SessionLimits* const limits_;
  const SessionMaker* const make_session_;
  BufferBudget* const buffers_;
  WireCounts* const counts_;
  const TlsSource* const tls_;
  const size_t newcomers_max_;
  int watched_ = -1;
  std::function<bool()> on_readable_;
  std::thread thread_;

  absl::Mutex mutex_;
  Tasks tasks_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // the thread, or it will before it looks at tasks again
  std::atomic<int> connections_count_{0};

  // Of the loop's thread.
  absl::flat_hash_map<AcceptedConnection*, std::unique_ptr<AcceptedConnection>> connections_;
  // Where they have a bound: those that have not shown who they are, oldest first; and some that have since.
  std::vector<AcceptedConnection*> newcomers_;
  // Destroyed in the middle of a batch of events, of which another may be meant for it.
  std::vector<std::unique_ptr<AcceptedConnection>> dead_;
  // What is read; behind what those wait for that are in `asking_`.
  std::vector<char> scratch_;
  CallGathering gathering_;
  std::vector<AcceptedConnection*> asking_;
  size_t asking_bytes_ = 0;
  Waiting waiting_;
  MonotonicTime ticked_;       // all of them
  MonotonicTime fine_ticked_;  // those that have deadlines
  bool fine_ = false;          // some connection has deadlines
  bool watch_paused_ = false;  // until all are ticked
  bool draining_ = false;
  MonotonicTime deadline_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_EVENT_LOOP_H_
