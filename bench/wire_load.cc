#include "bench/wire_load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::bench {
namespace {

constexpr int kEventsMax = 128;
constexpr size_t kScratchBytes = size_t{512} << 10;
// An answer that takes longer than this is a lost one.
constexpr int64_t kPatienceNs = 10'000'000'000;
// So many calls one after the other go to one connection, in one write where they are due together; as from a gateway
// that has many requests at once. One write a call would be what a core cannot do five times as often as another
// checks.
constexpr size_t kRun = 16;
// What a connection keeps here at most while its socket takes no more.
constexpr size_t kOutBytesMax = size_t{16} << 10;
// Answers are read at least after so many calls.
constexpr int kCallsATurnMax = 4096;
// Shorter than this the kernel would oversleep.
constexpr int64_t kSpinNs = 200'000;

int64_t ClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}
int64_t NowNs() { return ClockNs(CLOCK_MONOTONIC); }

absl::StatusOr<int> ConnectTo(const std::string& socket_path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof name.sun_path) {
    return absl::InvalidArgumentError(absl::StrCat("too long for a socket: ", socket_path));
  }
  memcpy(name.sun_path, socket_path.data(), socket_path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat("connecting to ", socket_path));
  }
  return fd;
}

double Quantile(std::vector<uint32_t>* sample, double q) {
  if (sample->empty()) return 0;
  const auto nth = sample->begin() + static_cast<int64_t>(q * static_cast<double>(sample->size() - 1));
  std::nth_element(sample->begin(), nth, sample->end());
  return *nth / 1e3;
}

}  // namespace

struct WireLoad::Connection {
  ~Connection() { close(fd); }
  int fd = -1;
  std::unique_ptr<Caller> caller;
  std::string out;
  size_t sent = 0;     // of `out`
  std::string unread;  // the front of what did not come whole
  int answered = 0;    // in this turn
  bool waits_to_write = false;
};

absl::StatusOr<std::unique_ptr<WireLoad>> WireLoad::Connect(const std::string& socket, int connections,
                                                            const MakeCaller& make) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return absl::ErrnoToStatus(errno, "epoll_create1");
  std::unique_ptr<WireLoad> load(new WireLoad(epoll));
  for (int i = 0; i < connections; ++i) {
    absl::StatusOr<int> fd = ConnectTo(socket);
    if (!fd.ok()) return fd.status();
    auto connection = std::make_unique<Connection>();
    connection->fd = *fd;
    connection->caller = make();
    connection->caller->Greet(&connection->out);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = connection.get();
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, *fd, &event) != 0) return absl::ErrnoToStatus(errno, "epoll_ctl");
    load->connections_.push_back(std::move(connection));
  }
  return load;
}

WireLoad::WireLoad(int epoll) : epoll_(epoll), scratch_(kScratchBytes), random_(1) {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // else a sleep ends up to 50 us late
}

WireLoad::~WireLoad() { close(epoll_); }

void WireLoad::Start(Connection* connection, int64_t since_ns, size_t offered) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot] = {since_ns, connection, offered};
  connection->caller->Call(next_call_++, slot, &connection->out);
  ++under_way_;
}

bool WireLoad::Break(const Connection& connection, absl::string_view what) {
  const std::string& fault = connection.caller->fault();
  ++result_.wrong;
  if (result_.what.empty()) result_.what = absl::StrCat("the connection: ", fault.empty() ? what : fault);
  return false;
}

bool WireLoad::Read(Connection* connection) {
  const size_t before = connection->unread.size();
  if (before > 0) memcpy(scratch_.data(), connection->unread.data(), before);
  const ssize_t got = recv(connection->fd, scratch_.data() + before, scratch_.size() - before, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) return Break(*connection, got == 0 ? "closed by the server" : strerror(errno));
  result_.received_bytes += got;
  const size_t size = before + static_cast<size_t>(got);
  answers_.clear();
  const size_t taken = connection->caller->Receive({scratch_.data(), size}, &connection->out, &answers_);
  if (!connection->caller->fault().empty()) return Break(*connection, "");
  if (taken < size || before > 0) connection->unread.assign(scratch_.data() + taken, size - taken);
  now_ns_ = NowNs();
  for (Answer& answer : answers_) {
    const Slot& slot = slots_[answer.slot];
    const int64_t latency = now_ns_ - slot.since_ns;
    if (offered_ != nullptr) {
      OfferedCall& call = (*offered_)[slot.offered];
      call.latency_ns = latency;
      call.end = answer.shed ? CallEnd::kShed : answer.wrong.empty() ? CallEnd::kDecided : CallEnd::kWrong;
    } else {
      latencies_ns_.push_back(static_cast<uint32_t>(std::clamp<int64_t>(latency, 0, UINT32_MAX)));
    }
    free_slots_.push_back(answer.slot);
    ++result_.calls;
    if (answer.shed) ++result_.shed;
    if (!answer.wrong.empty() && result_.wrong++ == 0) result_.what = std::move(answer.wrong);
  }
  connection->answered = static_cast<int>(answers_.size());
  under_way_ -= connection->answered;
  return true;
}

bool WireLoad::Write(Connection* connection) {
  std::string& out = connection->out;
  while (connection->sent < out.size()) {
    const ssize_t took =
        send(connection->fd, out.data() + connection->sent, out.size() - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (took < 0 && errno == EINTR) continue;
    if (took < 0 && errno != EAGAIN) return Break(*connection, strerror(errno));
    if (took < 0) break;
    connection->sent += static_cast<size_t>(took);
    result_.sent_bytes += took;
  }
  const bool waits = connection->sent < out.size();
  if (!waits) {
    out.clear();
    connection->sent = 0;
  }
  if (waits == connection->waits_to_write) return true;
  connection->waits_to_write = waits;
  epoll_event event = {};
  event.events = uint32_t{EPOLLIN} | (waits ? uint32_t{EPOLLOUT} : 0);
  event.data.ptr = connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->fd, &event);
  return true;
}

template <typename Answered>
bool WireLoad::Turn(int64_t patience_ns, const Answered& answered) {
  epoll_event events[kEventsMax];
  const timespec patience = {patience_ns / 1'000'000'000, patience_ns % 1'000'000'000};
  const int count = epoll_pwait2(epoll_, events, kEventsMax, &patience, nullptr);
  for (int i = 0; i < count; ++i) {
    auto* const connection = static_cast<Connection*>(events[i].data.ptr);
    connection->answered = 0;
    if ((events[i].events & ~uint32_t{EPOLLOUT}) != 0 && !Read(connection)) return false;
    answered(connection);
    if (!Write(connection)) return false;
  }
  if (count == 0) now_ns_ = NowNs();
  return true;
}

void WireLoad::Begin() {
  result_ = {};
  latencies_ns_.clear();
  cpu_began_ns_ = ClockNs(CLOCK_THREAD_CPUTIME_ID);
  now_ns_ = NowNs();
}

LoadResult WireLoad::End(int64_t begin_ns) {
  if (under_way_ > 0 && result_.what.empty()) {
    result_.wrong += under_way_;
    result_.what = absl::StrCat(under_way_, " calls were never answered");
  }
  result_.caller_cpu_us = static_cast<double>(ClockNs(CLOCK_THREAD_CPUTIME_ID) - cpu_began_ns_) / 1e3 /
                          static_cast<double>(std::max<int64_t>(result_.calls, 1));
  result_.seconds = static_cast<double>(now_ns_ - begin_ns) / 1e9;
  result_.p50_us = Quantile(&latencies_ns_, 0.5);
  result_.p99_us = Quantile(&latencies_ns_, 0.99);
  result_.p999_us = Quantile(&latencies_ns_, 0.999);
  result_.max_us = Quantile(&latencies_ns_, 1);
  return std::move(result_);
}

LoadResult WireLoad::KeepInFlight(int per_connection, absl::Duration lasts) {
  Begin();
  const int64_t begin = now_ns_;
  const int64_t end = begin + absl::ToInt64Nanoseconds(lasts);
  bool sound = true;
  for (const auto& connection : connections_) {
    for (int i = 0; i < per_connection && connection->caller->MayCall(); ++i) Start(connection.get(), NowNs());
    sound = sound && Write(connection.get());
  }
  int64_t last = begin;
  while (sound && under_way_ > 0 && now_ns_ - last < kPatienceNs) {
    sound = Turn(kPatienceNs, [&](Connection* connection) {
      last = now_ns_;
      if (now_ns_ >= end) return;
      for (int i = 0; i < connection->answered && connection->caller->MayCall(); ++i) Start(connection, now_ns_);
    });
  }
  return End(begin);
}

LoadResult WireLoad::Offer(double calls_per_second, absl::Duration lasts, bool spin) {
  Begin();
  const int64_t begin = now_ns_;
  const int64_t end = begin + absl::ToInt64Nanoseconds(lasts);
  // Independent callers: the gaps between their calls are exponential.
  std::exponential_distribution<double> gap_ns(calls_per_second / 1e9);
  double due = static_cast<double>(begin) + gap_ns(random_);
  std::deque<int64_t> waiting;  // due, and the peer takes no more for now
  size_t turn = 0;
  bool sound = true;
  const auto start_due = [&](int64_t now) {
    for (; due <= static_cast<double>(now) && due < static_cast<double>(end); due += gap_ns(random_)) {
      waiting.push_back(static_cast<int64_t>(due));
    }
    for (size_t refused = 0; !waiting.empty() && refused < connections_.size();) {
      Connection* const connection = connections_[turn++ % connections_.size()].get();
      if (!connection->caller->MayCall()) {
        ++refused;
        continue;
      }
      refused = 0;
      Start(connection, waiting.front());
      waiting.pop_front();
    }
    for (const auto& connection : connections_) {
      if (!connection->out.empty() && !connection->waits_to_write) sound = sound && Write(connection.get());
    }
  };
  int64_t last = begin;
  while (sound) {
    now_ns_ = NowNs();
    start_due(now_ns_);
    const bool over = due >= static_cast<double>(end);
    if (over && waiting.empty() && under_way_ == 0) break;
    if (now_ns_ - last > kPatienceNs) break;
    int64_t patience = over ? kPatienceNs : static_cast<int64_t>(due) - now_ns_;
    if (spin && patience < kSpinNs) patience = 0;
    sound = sound && Turn(std::max<int64_t>(patience, 0), [&](Connection* connection) {
              if (connection->answered > 0) last = now_ns_;
            });
  }
  return End(begin);
}

void WireLoad::StartIfItFits(size_t offered, Connection* connection) {
  OfferedCall& call = (*offered_)[offered];
  if (connection->waits_to_write || connection->out.size() > kOutBytesMax) {
    call.end = CallEnd::kNoSocket;
  } else if (!connection->caller->MayCall()) {
    call.end = CallEnd::kNoStream;
  } else {
    call.late_ns = now_ns_ - begin_ns_ - call.due_ns;
    Start(connection, begin_ns_ + call.due_ns, offered);
  }
}

OfferedLoad WireLoad::OfferWhatFits(const std::vector<Stretch>& stretches, bool spin) {
  OfferedLoad load;
  double expected = 0;
  for (const Stretch& stretch : stretches) expected += stretch.calls_per_second * absl::ToDoubleSeconds(stretch.lasts);
  load.calls.reserve(static_cast<size_t>(expected * 1.05) + 1000);  // growing it would be a pause
  offered_ = &load.calls;
  Begin();
  begin_ns_ = now_ns_;
  size_t stretch = 0;
  double stretch_end = absl::ToDoubleNanoseconds(stretches[0].lasts);
  double due = 0;  // since the beginning
  const auto next_due = [&] {
    while (stretch < stretches.size()) {
      due += std::exponential_distribution<double>(stretches[stretch].calls_per_second / 1e9)(random_);
      if (due < stretch_end) return;
      due = stretch_end;
      if (++stretch < stretches.size()) stretch_end += absl::ToDoubleNanoseconds(stretches[stretch].lasts);
    }
  };
  next_due();
  std::vector<Connection*> written;
  int64_t last = now_ns_;
  bool sound = true;
  while (sound) {
    now_ns_ = NowNs();
    written.clear();
    for (int i = 0; i < kCallsATurnMax && stretch < stretches.size() && due <= static_cast<double>(now_ns_ - begin_ns_);
         ++i) {
      Connection* const connection = connections_[load.calls.size() / kRun % connections_.size()].get();
      load.calls.push_back({.due_ns = static_cast<int64_t>(due)});
      StartIfItFits(load.calls.size() - 1, connection);
      if (written.empty() || written.back() != connection) written.push_back(connection);
      next_due();
    }
    for (Connection* const connection : written) {
      if (!connection->waits_to_write && !connection->out.empty()) sound = sound && Write(connection);
    }
    const bool over = stretch == stretches.size();
    if (over && under_way_ == 0) break;
    if (now_ns_ - last > kPatienceNs) break;
    int64_t patience = over ? kPatienceNs : static_cast<int64_t>(due) - (NowNs() - begin_ns_);
    if (spin && patience < kSpinNs) patience = 0;
    sound = sound && Turn(std::max<int64_t>(patience, 0), [&](Connection* connection) {
              if (connection->answered > 0) last = now_ns_;
            });
  }
  load.what = End(begin_ns_).what;
  offered_ = nullptr;
  return load;
}

}  // namespace sluice::bench
