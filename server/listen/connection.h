// One accepted socket and the session that it turns out to speak. For event_loop.cc: no epoll here, and no thread.
#ifndef SLUICE_SERVER_LISTEN_CONNECTION_H_
#define SLUICE_SERVER_LISTEN_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "server/listen/buffer_budget.h"
#include "server/listen/router.h"
#include "server/listen/session.h"
#include "server/listen/tls_stream.h"
#include "server/listen/waiting.h"

namespace sluice {

// The first bytes say what is spoken: the preface of HTTP/2, else HTTP/1.1.
class AcceptedConnection {
 public:
  // Owns `fd`, which does not block. All must outlive the connection; `counts` are those of its thread; `buffers`
  // bounds what it holds together with others, null = nothing does. With `session` that is what is spoken, whatever the
  // first bytes say; with `tls`, which is of `fd`, inside of it.
  AcceptedConnection(int fd, const Router* router, const SessionLimits* limits, BufferBudget* buffers,
                     WireCounts* counts, MonotonicTime now, std::unique_ptr<Session> session = nullptr,
                     std::unique_ptr<TlsStream> tls = nullptr);
  ~AcceptedConnection();
  AcceptedConnection(const AcceptedConnection&) = delete;
  AcceptedConnection& operator=(const AcceptedConnection&) = delete;

  // Each does what can be done without waiting, and returns whether the connection goes on; else it is to be destroyed.

  // When the socket is readable: Read, and then Work on what came. `scratch` is memory for it, of kScratchBytes;
  // connections of a thread share it. `arrived_since`: nothing that waits in any socket of the thread arrived before;
  // what is known of this one is set as ArrivedSince() of the thread by Work.
  bool Read(absl::Span<char> scratch, MonotonicTime arrived_since, MonotonicTime now);
  // With `gathering`, which may be null, calls may be left there: see awaits_answers.
  bool Work(CallGathering* gathering, MonotonicTime now);
  // So little came, and waited for so short a time, that it can be left to a gathering.
  bool is_brief() const { return brief_; }
  // Of scratch, between Read and Work.
  size_t bytes_read() const { return read_.size(); }
  // Work left calls to the gathering: what was read stays where it is, and the connection is left alone, until they are
  // answered. Then OnAnswered.
  bool awaits_answers() const { return session_ != nullptr && session_->awaits_answers(); }
  bool OnAnswered(MonotonicTime now);

  bool OnWritable(MonotonicTime now);
  bool Tick(MonotonicTime now);
  bool OnWatchedChanged(MonotonicTime now);
  bool Drain(MonotonicTime now);

  // What is to be waited for: a set of EPOLLIN and EPOLLOUT.
  uint32_t wanted_events() const;
  // Read is to be called when the socket has room, too.
  bool read_wants_room() const { return tls_ != nullptr && tls_->read_wants_room() && !peer_done_ && !lingering_; }
  // Of TLS, and the peer has not shown yet that it may ask.
  bool handshaking() const { return tls_ != nullptr && !tls_->established(); }
  // It has shown who it is: by a certificate.
  bool is_known() const { return tls_ != nullptr && tls_->established(); }
  bool has_deadlines() const { return session_ != nullptr && session_->has_deadlines(); }
  int fd() const { return fd_; }
  // Of the driver: what it waits for now, and whether it is done with this one.
  uint32_t events = 0;
  bool gone = false;

  static constexpr size_t kScratchBytes = size_t{128} << 10;

 private:
  // Makes the session, once enough is there to tell which.
  void Recognise(absl::string_view front, MonotonicTime now);
  // Hands `bytes` to the session piece by piece, and sends between them what it says. `*taken` is what it is done with.
  // Whether the connection goes on.
  bool Hand(absl::Span<char> bytes, MonotonicTime now, size_t* taken);
  bool Discard(absl::Span<char> scratch);
  // Counts what the connection holds, where it goes on; whether it still does.
  bool Account(bool goes_on);
  // What is to be sent waits for what the peer sends.
  bool write_wants_bytes() const { return tls_ != nullptr && tls_->write_wants_bytes(); }
  // More is to be said, by OnWritable, when what is unsent is sent.
  bool has_more() const { return session_ != nullptr && !lingering_ && session_->has_more(); }
  size_t unsent_bytes() const { return session_ == nullptr ? 0 : session_->out().size() - sent_; }
  void Begin(std::unique_ptr<Session> session);
  bool Handshake();
  // Whether the peer makes no more work by TLS than it may.
  bool IsSparing(MonotonicTime now);
  // As recv(2) and send(2).
  ssize_t Receive(absl::Span<char> into);
  ssize_t Write(absl::string_view bytes);
  // Sends what can be sent, and ends what is finished.
  bool Send(MonotonicTime now);

  const int fd_;
  const Router* const router_;
  const SessionLimits* const limits_;
  WireCounts* const counts_;
  BufferShare share_;
  std::unique_ptr<Session> session_;
  const std::unique_ptr<TlsStream> tls_;  // null = in the clear
  SocketWaiting waiting_;
  absl::Span<char> read_;  // of the driver's scratch memory: what Work is to take
  MonotonicTime read_arrived_since_;
  bool brief_ = true;
  std::string unread_;   // the front of what did not come whole
  size_t sent_ = 0;      // of session_->out()
  MonotonicTime since_;  // accepted; or the peer last took something; or the end began
  // When the second began in which the peer's chores are counted, and how many there had been before it.
  MonotonicTime chores_since_;
  uint64_t chores_before_ = 0;
  bool active_ = false;  // something came since the last tick
  bool draining_ = false;
  bool peer_done_ = false;  // it has shut its side
  bool lingering_ = false;  // all is sent and the end is told: waits for the peer's, so that the last answer arrives
  size_t discarded_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CONNECTION_H_
