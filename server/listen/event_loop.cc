#include "server/listen/event_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
constexpr size_t kEventsMin = 256;
constexpr int64_t kLongTurnNs = 2'000'000;
// What connections that wait to be answered together may keep of what was read: beyond, they are answered.
constexpr size_t kAskingBytesMax = size_t{32} << 10;

// As epoll_ctl(2): adds `fd` or changes what it is watched for. Its events carry `of`.
int Control(int epoll, int operation, int fd, uint32_t events, void* of) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = of;
  return epoll_ctl(epoll, operation, fd, &event);
}

}  // namespace

MonotonicTime MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return {now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec};
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(const Router* router, const SessionLimits* limits,
                                                             const SessionMaker* make_session, BufferBudget* buffers,
                                                             WireCounts* counts, const TlsSource* tls,
                                                             size_t newcomers_max) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return absl::ErrnoToStatus(errno, "epoll_create1");
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    const int error = errno;
    close(epoll);
    return absl::ErrnoToStatus(error, "eventfd");
  }
  auto loop = std::unique_ptr<EventLoop>(
      new EventLoop(epoll, wake, router, limits, make_session, buffers, counts, tls, newcomers_max));
  if (Control(epoll, EPOLL_CTL_ADD, wake, EPOLLIN, nullptr) != 0) return absl::ErrnoToStatus(errno, "epoll_ctl");
  return loop;
}

EventLoop::EventLoop(int epoll, int wake, const Router* router, const SessionLimits* limits,
                     const SessionMaker* make_session, BufferBudget* buffers, WireCounts* counts, const TlsSource* tls,
                     size_t newcomers_max)
    : epoll_(epoll),
      wake_(wake),
      router_(router),
      limits_(limits),
      make_session_(make_session),
      buffers_(buffers),
      counts_(counts),
      tls_(tls),
      newcomers_max_(newcomers_max),
      scratch_(AcceptedConnection::kScratchBytes + kAskingBytesMax) {}

EventLoop::~EventLoop() {
  if (thread_.joinable()) {
    Drain(MonotonicTime{0});
    Join();
  }
  StopWatching();
  close(wake_);
  close(epoll_);
}

// The pointer of an event is its connection, null for the eventfd, this loop for what is watched.
absl::Status EventLoop::Watch(int fd, std::function<bool()> on_readable) {
  watched_ = fd;
  on_readable_ = std::move(on_readable);
  if (Control(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, this) != 0) return absl::ErrnoToStatus(errno, "epoll_ctl");
  return absl::OkStatus();
}

// Whoever waits there would wake the thread again and again.
void EventLoop::PauseWatching(MonotonicTime now) {
  if (connections_.empty()) ticked_ = now;  // nobody was
  watch_paused_ = true;
  Control(epoll_, EPOLL_CTL_MOD, watched_, 0, this);
}

void EventLoop::ResumeWatching() {
  if (!std::exchange(watch_paused_, false) || watched_ < 0) return;
  Control(epoll_, EPOLL_CTL_MOD, watched_, EPOLLIN, this);
}

void EventLoop::StopWatching() {
  if (watched_ < 0) return;
  // First: a socket that was inherited has other descriptors, and would show for as long as one is open.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, watched_, nullptr);
  close(std::exchange(watched_, -1));
}

void EventLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // Fails only where the counter is full, and then the loop wakes anyhow.
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
}

void EventLoop::Adopt(int fd) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) {
      close(fd);
      return;
    }
    tasks_.adopted.push_back(fd);
  }
  connections_count_.fetch_add(1, std::memory_order_relaxed);
  Wake();
}

void EventLoop::NotifyWatchers() {
  {
    absl::MutexLock lock(&mutex_);
    tasks_.notify = true;
  }
  Wake();
}

void EventLoop::Drain(MonotonicTime deadline) {
  {
    absl::MutexLock lock(&mutex_);
    tasks_.drain = true;
    tasks_.deadline = deadline;
  }
  Wake();
}

void EventLoop::Join() {
  if (thread_.joinable()) thread_.join();
}

void EventLoop::Run() {
  std::vector<epoll_event> events(kEventsMin);
  ticked_ = fine_ticked_ = MonotonicNow();
  int count = 0;
  for (MonotonicTime now = ticked_; !draining_ || (!connections_.empty() && now < deadline_);) {
    // Room for all of them, with the eventfd and what is watched: of a look that shows a part of what is ready it is
    // not known what the rest has waited.
    if (events.size() < connections_.size() + 2) events.resize(2 * connections_.size());
    const auto room = static_cast<int>(events.size());
    // After a short turn nobody has waited to speak of, and the second call is spared.
    const bool behind = MonotonicNow().ns - now.ns > kLongTurnNs;
    count = behind ? epoll_wait(epoll_, events.data(), room, 0) : 0;
    const bool slept = count == 0;
    if (slept) count = epoll_wait(epoll_, events.data(), room, PatienceMs(now));
    now = MonotonicNow();
    waiting_.OnWork(slept, now);
    for (size_t i = 0; i < static_cast<size_t>(std::max(0, count)); ++i) {
      void* const data = events[i].data.ptr;
      if (data == nullptr) {
        AnswerGathered(now);
        TakeTasks(now);
      } else if (data == this) {
        AnswerGathered(now);
        if (!draining_ && !on_readable_()) PauseWatching(now);
      } else {
        auto* const connection = static_cast<AcceptedConnection*>(data);
        if (!connection->gone) OnReady(connection, events[i].events, count > 1, now);
      }
    }
    AnswerGathered(now);
    dead_.clear();
    TickAll(now);
  }
  connections_count_.fetch_sub(static_cast<int>(connections_.size()), std::memory_order_relaxed);
  connections_.clear();
  // Nobody is left to wait for one that ended.
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  for (const int fd : std::exchange(tasks_.adopted, {})) close(fd);
}

void EventLoop::OnReady(AcceptedConnection* connection, uint32_t events, bool in_company, MonotonicTime now) {
  bool goes_on = true;
  // Nobody waits for what others take, nor for the handshakes of strangers.
  if ((events & EPOLLOUT) != 0 || connection->handshaking()) AnswerGathered(now);
  // An error is met by the read or the write.
  if ((events & EPOLLOUT) != 0) goes_on = connection->OnWritable(now);
  if (goes_on && ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 || connection->read_wants_room())) {
    const absl::Span<char> scratch = absl::MakeSpan(scratch_).subspan(asking_bytes_, AcceptedConnection::kScratchBytes);
    goes_on = connection->Read(scratch, waiting_.since(), now);
    const size_t bytes = connection->bytes_read();
    const bool gathers = in_company && connection->is_brief();
    // Nobody waits for the work of a large one.
    if (!gathers) AnswerGathered(now);
    if (goes_on) goes_on = connection->Work(gathers ? &gathering_ : nullptr, now);
    if (goes_on && connection->awaits_answers()) {
      // It asks another method than those before it, who are answered and do not wait for its work. What it was read
      // into stays taken, and with it that of the others.
      if (gathering_.askers() == 1) SendAnswers(now);
      asking_.push_back(connection);
      asking_bytes_ += bytes;
      if (gathering_.enough() || asking_bytes_ > kAskingBytesMax) AnswerGathered(now);
      return;
    }
  }
  fine_ |= connection->has_deadlines();
  Settle(connection, goes_on);
}

void EventLoop::AnswerGathered(MonotonicTime now) {
  if (asking_.empty()) return;
  gathering_.Answer();
  SendAnswers(now);
  asking_bytes_ = 0;
}

void EventLoop::SendAnswers(MonotonicTime now) {
  for (AcceptedConnection* const connection : asking_) {
    const bool goes_on = connection->OnAnswered(now);
    fine_ |= connection->has_deadlines();
    Settle(connection, goes_on);
  }
  asking_.clear();
}

int EventLoop::PatienceMs(MonotonicTime now) const {
  absl::Duration patience = absl::InfiniteDuration();
  if (!connections_.empty() || watch_paused_) patience = kTick - Between(ticked_, now);
  if (fine_) patience = std::min(patience, Session::kFineTick - Between(fine_ticked_, now));
  if (draining_) patience = std::min(patience, Between(now, deadline_));
  if (patience == absl::InfiniteDuration()) return -1;
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(patience) + 1, 0, 60'000));
}

void EventLoop::TakeTasks(MonotonicTime now) {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_, &count, sizeof count);
  Tasks tasks;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(tasks, tasks_);
  }
  for (const int fd : tasks.adopted) Serve(fd, now);
  if (!tasks.notify && !tasks.drain) return;
  std::vector<AcceptedConnection*> all;
  all.reserve(connections_.size());
  for (const auto& [connection, owned] : connections_) all.push_back(connection);
  if (tasks.notify) {
    for (AcceptedConnection* const connection : all) {
      Settle(connection, connection->OnWatchedChanged(now));
    }
  }
  if (tasks.drain) {
    draining_ = true;
    deadline_ = tasks.deadline;
    StopWatching();
    for (AcceptedConnection* const connection : all) {
      if (!connection->gone) Settle(connection, connection->Drain(now));
    }
  }
}

void EventLoop::Serve(int fd, MonotonicTime now) {
  std::unique_ptr<Session> session;
  if (*make_session_) session = (*make_session_)(now);
  std::unique_ptr<TlsStream> tls;
  if (tls_ != nullptr) {
    tls = tls_->Accept(fd);
    if (tls == nullptr) {
      connections_count_.fetch_sub(1, std::memory_order_relaxed);
      close(fd);
      return;
    }
  }
  auto owned = std::make_unique<AcceptedConnection>(fd, router_, limits_, buffers_, counts_, now, std::move(session),
                                                    std::move(tls));
  AcceptedConnection* const connection = owned.get();
  connection->events = connection->wanted_events();
  if (draining_ || Control(epoll_, EPOLL_CTL_ADD, fd, connection->events, connection) != 0) {
    connections_count_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  if (connections_.empty()) ticked_ = now;
  connections_.emplace(connection, std::move(owned));
  if (newcomers_max_ == 0) return;
  if (newcomers_.size() >= newcomers_max_) CutOldestNewcomer();
  newcomers_.push_back(connection);
}

void EventLoop::CutOldestNewcomer() {
  newcomers_.erase(std::remove_if(newcomers_.begin(), newcomers_.end(),
                                  [](const AcceptedConnection* each) { return each->is_known(); }),
                   newcomers_.end());
  if (newcomers_.size() < newcomers_max_) return;
  // Not the one that comes: an honest caller is done in a moment, and who came before it is not.
  counts_->OnError(tls_ != nullptr ? WireProtocol::kHttp2 : WireProtocol::kHttp1, WireError::kTooMany);
  Settle(newcomers_.front(), /*goes_on=*/false);
}

void EventLoop::Settle(AcceptedConnection* connection, bool goes_on) {
  if (!goes_on) {
    newcomers_.erase(std::remove(newcomers_.begin(), newcomers_.end(), connection), newcomers_.end());
    const auto found = connections_.find(connection);
    connection->gone = true;
    dead_.push_back(std::move(found->second));
    connections_.erase(found);
    // Now, not when it is destroyed: no event of it is to come any more.
    epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->fd(), nullptr);
    connections_count_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  const uint32_t wanted = connection->wanted_events();
  if (wanted == connection->events) return;
  connection->events = wanted;
  Control(epoll_, EPOLL_CTL_MOD, connection->fd(), wanted, connection);
}

void EventLoop::TickAll(MonotonicTime now) {
  const bool all = Between(ticked_, now) >= kTick;
  const bool fine = fine_ && Between(fine_ticked_, now) >= Session::kFineTick;
  if (!all && !fine) return;
  if (all) {
    ticked_ = now;
    ResumeWatching();
  }
  fine_ticked_ = now;
  fine_ = false;
  std::vector<AcceptedConnection*> due;
  for (const auto& [connection, owned] : connections_) {
    if (all || connection->has_deadlines()) due.push_back(connection);
  }
  for (AcceptedConnection* const connection : due) {
    const bool goes_on = connection->Tick(now);
    fine_ |= goes_on && connection->has_deadlines();
    Settle(connection, goes_on);
  }
  dead_.clear();
}

}  // namespace sluice
