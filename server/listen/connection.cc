#include "server/listen/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "server/listen/http1_session.h"
#include "server/listen/http2_session.h"

namespace sluice {
namespace {

// A peer that does not take its answers is not read from, above this; and cut after so long without taking any.
constexpr size_t kUnsentBytesMax = size_t{1} << 20;
constexpr absl::Duration kUnsentPatience = absl::Seconds(30);
// Memory for answers that is kept for the next ones while there is no room for more; else it is the above.
constexpr size_t kKeptBytesMax = size_t{32} << 10;
// What is read at once at most while there is no room for more: over Session::kUnreadBytesMax.
constexpr size_t kShortScratchBytes = size_t{64} << 10;
static_assert(kShortScratchBytes >= Session::kUnreadBytesMax + TlsStream::kRecordBytes);
// Of what was read in one go, so much is worked on, and the answers sent, before the rest: some thirty checks. Whoever
// has many calls under way reads those answers and asks on meanwhile, where else caller and node would wait for each
// other in turn: 64 calls on one connection come to 1.8 times as many a second, at 0.85 of the CPU for want of sleeping
// and waking. docs/decisions/2026-11-27-answers-in-pieces.md
constexpr size_t kPieceBytes = size_t{4} << 10;
// Whoever connects by TLS has so long to show who it is.
constexpr absl::Duration kHandshakeMax = absl::Seconds(10);
// More changes of keys than this in a second end a connection: each costs its thread a turn, and what some ten frames
// that ask for nothing cost, of which HTTP/2 lets 10,000 pass.
constexpr uint64_t kChoresMax = 1000;
// How long, and how much, a peer may still send after the end was told.
constexpr absl::Duration kLingerMax = absl::Seconds(2);
constexpr size_t kDiscardedMax = size_t{4} << 20;

// How much can be read from `fd` at once.
size_t BytesLeft(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 ? static_cast<size_t>(std::max(0, bytes)) : 0;
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

AcceptedConnection::AcceptedConnection(int fd, const Router* router, const SessionLimits* limits, BufferBudget* buffers,
                                       WireCounts* counts, MonotonicTime now, std::unique_ptr<Session> session,
                                       std::unique_ptr<TlsStream> tls)
    : fd_(fd),
      router_(router),
      limits_(limits),
      counts_(counts),
      share_(buffers),
      tls_(std::move(tls)),
      since_(now),
      chores_since_(now) {
  if (session != nullptr) Begin(std::move(session));
}

AcceptedConnection::~AcceptedConnection() {
  if (session_ != nullptr) counts_->OnClosed(session_->protocol());
  close(fd_);
}

void AcceptedConnection::Begin(std::unique_ptr<Session> session) {
  session_ = std::move(session);
  session_->CountIn(counts_);
  session_->DrawOn(&share_);
  counts_->OnOpened(session_->protocol());
}

void AcceptedConnection::Recognise(absl::string_view front, MonotonicTime now) {
  constexpr absl::string_view kPreface = http2::kPreface;
  const size_t size = std::min(front.size(), kPreface.size());
  if (front.substr(0, size) != kPreface.substr(0, size)) {
    Begin(std::make_unique<Http1Session>(router_, limits_, now));
  } else if (size == kPreface.size()) {
    Begin(std::make_unique<http2::Http2Session>(router_, limits_, now));
  } else {
    return;
  }
  if (draining_) session_->Drain(now);
}

bool AcceptedConnection::Handshake() {
  if (tls_->Handshake()) return true;
  // Not who looks whether somebody listens.
  if (tls_->received_bytes() > 0) counts_->OnError(WireProtocol::kHttp2, WireError::kTls);
  return false;
}

bool AcceptedConnection::IsSparing(MonotonicTime now) {
  if (tls_ == nullptr || tls_->chores() - chores_before_ <= kChoresMax) return true;
  if (Between(chores_since_, now) <= absl::Seconds(1)) {
    counts_->OnError(session_ != nullptr ? session_->protocol() : WireProtocol::kHttp2, WireError::kTooMany);
    return false;
  }
  chores_since_ = now;
  chores_before_ = tls_->chores();
  return true;
}

ssize_t AcceptedConnection::Receive(absl::Span<char> into) {
  return tls_ != nullptr ? tls_->Read(into) : recv(fd_, into.data(), into.size(), 0);
}

ssize_t AcceptedConnection::Write(absl::string_view bytes) {
  return tls_ != nullptr ? tls_->Write(bytes) : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool AcceptedConnection::Read(absl::Span<char> scratch, MonotonicTime arrived_since, MonotonicTime now) {
  read_ = {};
  brief_ = true;
  if (lingering_) return Discard(scratch);
  if (handshaking()) {
    if (!Handshake()) return false;
    if (handshaking()) return true;
  }
  if (peer_done_) return Account(Send(now));
  active_ = true;
  // Less at once means fewer answers that nobody may take.
  if (share_.exhausted()) scratch = scratch.first(kShortScratchBytes);
  const size_t before = unread_.size();
  if (before > 0) memcpy(scratch.data(), unread_.data(), before);
  const MonotonicTime read_at = CoarseNow();
  const uint64_t received_before = tls_ != nullptr ? tls_->received_bytes() : 0;
  const ssize_t got = Receive(scratch.subspan(before));
  const bool waits = got < 0;
  if (waits && (tls_ == nullptr || !WouldBlock())) return WouldBlock();
  // Of TLS something may have come off the socket all the same.
  const size_t size = waits ? 0 : static_cast<size_t>(got);
  read_arrived_since_ = waiting_.since(arrived_since);
  const bool read_all = tls_ != nullptr ? tls_->emptied() : scratch.size() - before > size;
  const size_t off_socket = tls_ != nullptr ? static_cast<size_t>(tls_->received_bytes() - received_before) : size;
  waiting_.OnRead(off_socket, read_all ? 0 : BytesLeft(fd_), arrived_since, read_at);
  if (!IsSparing(now)) return false;
  if (waits) return true;
  if (got == 0) {  // the peer sends nothing more, and may still take what it asked for
    peer_done_ = true;
    return Account(Send(now));
  }
  read_ = scratch.first(before + size);
  brief_ = read_.size() <= kPieceBytes && 4 * Between(read_arrived_since_, read_at) <= limits_->wait_max;
  return true;
}

bool AcceptedConnection::Work(CallGathering* gathering, MonotonicTime now) {
  const absl::Span<char> bytes = std::exchange(read_, {});
  if (bytes.empty()) return true;
  SetArrivedSince(read_arrived_since_);
  if (session_ == nullptr) Recognise({bytes.data(), bytes.size()}, now);
  if (session_ != nullptr) session_->OnWaited(WaitedAtMost(), now);
  size_t taken = 0;
  if (session_ != nullptr) {
    session_->GatherIn(gathering);
    if (!Hand(bytes, now, &taken)) return false;
  }
  const size_t left = bytes.size() - taken;
  if (left > Session::kUnreadBytesMax) return false;  // a session never lets it come to this
  if (left > 0 || !unread_.empty()) unread_.assign(bytes.data() + taken, left);
  // The end came with the last bytes, and the socket says nothing of it any more.
  if (tls_ != nullptr && tls_->peer_ended()) peer_done_ = true;
  return awaits_answers() || Account(Send(now));
}

bool AcceptedConnection::OnAnswered(MonotonicTime now) { return Account(Send(now)); }

bool AcceptedConnection::Hand(absl::Span<char> bytes, MonotonicTime now, size_t* taken) {
  size_t piece = kPieceBytes;
  while (true) {
    const absl::Span<char> rest = bytes.subspan(*taken);
    const size_t done = session_->Receive(rest.subspan(0, piece), now);
    *taken += done;
    if (session_->finished()) *taken = bytes.size();  // the rest means nothing
    if (session_->finished() || rest.size() <= piece) return true;
    piece = done > 0 ? kPieceBytes : 2 * piece;
    if (!Send(now)) return false;
    if (unsent_bytes() > 0) piece = bytes.size();  // it takes no more for now
  }
}

bool AcceptedConnection::Discard(absl::Span<char> scratch) {
  const ssize_t got = recv(fd_, scratch.data(), scratch.size(), 0);
  if (got < 0) return WouldBlock();
  discarded_ += static_cast<size_t>(got);
  return got > 0 && discarded_ <= kDiscardedMax;
}

bool AcceptedConnection::OnWritable(MonotonicTime now) {
  bool goes_on = Send(now);
  if (goes_on && has_more() && unsent_bytes() == 0) {
    SetArrivedSince(now);  // what it answers has waited for the peer, not for this thread
    session_->GoOn(now);
    goes_on = Send(now);
  }
  return Account(goes_on);
}

bool AcceptedConnection::Account(bool goes_on) {
  if (!goes_on || session_ == nullptr) return goes_on;
  share_.Hold(unread_.capacity() + session_->held_bytes());
  if (share_.holds_own_only() || !share_.exhausted()) return true;
  session_->Rest();
  share_.Hold(unread_.capacity() + session_->held_bytes());
  // Where there is no room for what is asked of all, none is left for who takes no answers.
  if (unsent_bytes() <= BufferShare::kOwnBytes) return true;
  counts_->OnError(session_->protocol(), WireError::kNoRoom);
  return false;
}

bool AcceptedConnection::Send(MonotonicTime now) {
  if (session_ == nullptr || lingering_) return !peer_done_;
  std::string& out = session_->out();
  while (sent_ < out.size()) {
    const ssize_t took = Write(absl::string_view(out).substr(sent_));
    if (took < 0) {
      if (errno == EINTR) continue;
      if (!WouldBlock()) return false;
      // Not at the front of a long string again and again.
      if (sent_ > out.size() / 2) {
        out.erase(0, sent_);
        sent_ = 0;
      }
      return true;
    }
    since_ = now;
    sent_ += static_cast<size_t>(took);
  }
  if (out.capacity() > (share_.exhausted() ? kKeptBytesMax : kUnsentBytesMax)) {
    std::string().swap(out);
  } else {
    out.clear();
  }
  sent_ = 0;
  if (session_->has_more() || (!peer_done_ && !session_->finished())) return true;
  if (tls_ != nullptr) tls_->SayEnd();
  if (peer_done_) return false;
  // close() with bytes unread would reset the connection, and could take the last answer with it.
  if (shutdown(fd_, SHUT_WR) != 0) return false;
  lingering_ = true;
  since_ = now;
  return true;
}

bool AcceptedConnection::Tick(MonotonicTime now) {
  if (lingering_) return Between(since_, now) <= kLingerMax;
  if (session_ == nullptr) {
    if (Between(since_, now) <=
        (handshaking() ? std::min(kHandshakeMax, limits_->request_max) : limits_->request_max)) {
      return true;
    }
    counts_->OnError(WireProtocol::kHttp1, WireError::kSlow);  // it said nothing that is HTTP/2
    return false;
  }
  const bool waits = sent_ < session_->out().size();
  if (waits && Between(since_, now) > kUnsentPatience) {
    counts_->OnError(session_->protocol(), WireError::kSlow);
    return false;
  }
  session_->Tick(now);
  if (!waits) since_ = now;  // the patience begins with what is sent now
  const bool goes_on = Send(now);
  if (goes_on && !std::exchange(active_, false) && unsent_bytes() == 0) {
    session_->Rest();
    std::string().swap(session_->out());
    if (unread_.empty()) std::string().swap(unread_);
  }
  return Account(goes_on);
}

bool AcceptedConnection::OnWatchedChanged(MonotonicTime now) {
  if (session_ != nullptr) session_->OnWatchedChanged();
  return Account(Send(now));
}

bool AcceptedConnection::Drain(MonotonicTime now) {
  draining_ = true;
  if (session_ == nullptr) return !unread_.empty();  // nothing was asked
  session_->Drain(now);
  return Account(Send(now));
}

uint32_t AcceptedConnection::wanted_events() const {
  const size_t unsent = lingering_ ? 0 : unsent_bytes();
  const bool has_room = !has_more() && (unsent == 0 || (unsent <= kUnsentBytesMax && !share_.exhausted()));
  const bool takes_more = !peer_done_ && !read_wants_room() && (has_room || write_wants_bytes());
  const bool says_more = unsent > 0 ? !write_wants_bytes() : has_more();
  return (says_more || read_wants_room() ? uint32_t{EPOLLOUT} : 0) | (takes_more ? uint32_t{EPOLLIN} : 0);
}

}  // namespace sluice
