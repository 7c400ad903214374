// One connection's protocol, without its socket: bytes in, bytes out, and time as a value. HTTP/1.1 and HTTP/2 are each
// one; what drives them is event_loop.cc, a test or a fuzzer.
#ifndef SLUICE_SERVER_LISTEN_SESSION_H_
#define SLUICE_SERVER_LISTEN_SESSION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "enforcement/check.h"
#include "metrics/wire_counts.h"
#include "server/listen/buffer_budget.h"
#include "server/listen/call_gathering.h"

namespace sluice {

// What a peer may ask of a connection. Everything past a bound is refused, and says so.
struct SessionLimits {
  size_t header_bytes_max = size_t{16} << 10;      // of one request, as HTTP/2 counts: 32 more for each field
  size_t header_fields_max = 128;                  // of one request
  size_t message_bytes_max = size_t{16} << 20;     // of one gRPC message: a batch of 1,024 checks with keys of 4 kB
  size_t body_bytes_max = size_t{1} << 20;         // of one plain HTTP request
  size_t buffered_bytes_max = size_t{32} << 20;    // of one connection: messages not yet whole, answers not yet taken
  uint32_t streams_max = 1024;                     // at once on one HTTP/2 connection
  absl::Duration request_max = absl::Seconds(30);  // from the first byte of a request, or of a frame, to its last
  absl::Duration idle_max = absl::Minutes(10);     // without a request
  absl::Duration ping_after = absl::Minutes(1);    // of silence on HTTP/2: asks whether the peer is there
  absl::Duration ping_patience = absl::Seconds(20);
  // What has waited for longer is of no use to who asked. HTTP/2 peers are told to have less under way long before.
  absl::Duration wait_max = absl::InfiniteDuration();
};

class Session {
 public:
  virtual ~Session() = default;

  virtual WireProtocol protocol() const = 0;
  // What goes wrong is counted there from now on, by the thread that drives the session; null = nowhere.
  void CountIn(WireCounts* counts) { counts_ = counts; }

  // What it holds for its peer is asked of `share` from now on; null = it is not.
  void DrawOn(BufferShare* share) { share_ = share; }

  // At the end of each Receive from now on, calls that can be answered with those of others are left to `gathering`,
  // with the bytes that it was given; until they are answered nothing else may be asked of the session. Null = it
  // answers them itself.
  void GatherIn(CallGathering* gathering) { gathering_ = gathering; }
  // Some were left there, and are not answered yet.
  virtual bool awaits_answers() const { return false; }

  // What Receive is given next has waited for at most so long.
  virtual void OnWaited(absl::Duration waited, MonotonicTime now) {}

  // Takes what has arrived and returns how much of it is done with; the rest is to come again, at the front, together
  // with what follows it. May change `bytes`. Never wants more than kUnreadBytesMax before it takes some.
  virtual size_t Receive(absl::Span<char> bytes, MonotonicTime now) = 0;

  // Time has passed: cuts what took too long. About every second; every kFineTick while has_deadlines().
  virtual void Tick(MonotonicTime now) = 0;

  // What watchers wait for may have changed.
  virtual void OnWatchedChanged() {}

  // Questions are kept that are answered when what is in `out` has been sent, in turns. Until then more need not come.
  virtual bool has_more() const { return false; }
  // Answers some of them: in time and memory about what a read costs.
  // REQUIRES: has_more(), and all of `out` is sent.
  // Source: docs/decisions/2026-11-27-kept-questions-in-turns.md
  virtual void GoOn(MonotonicTime now) {}

  // Finishes what is under way, takes nothing new, then ends.
  virtual void Drain(MonotonicTime now) = 0;

  virtual bool has_deadlines() const { return false; }

  // Memory of requests that are not whole, of answers that are not taken, and kept for the next ones.
  virtual size_t held_bytes() const { return out_.capacity(); }
  // Nothing has come for a while: gives back what is kept for the next ones.
  virtual void Rest() {}

  // What is to be sent. The driver takes it away from the front.
  std::string& out() { return out_; }
  // Nothing follows: when `out` has been sent, the connection is to be closed.
  bool finished() const { return finished_; }

  static constexpr size_t kUnreadBytesMax = size_t{48} << 10;
  static constexpr absl::Duration kFineTick = absl::Milliseconds(20);

 protected:
  void Count(WireError error) {
    if (counts_ != nullptr) counts_->OnError(protocol(), error);
  }

  // Whether so much more may be held.
  bool Covers(size_t more) { return share_ == nullptr || share_->Cover(held_bytes() + more); }
  // The same for a text that is to grow by `more`: strings double.
  bool MayGrow(const std::string& text, size_t more) {
    const size_t size = text.size() + more;
    return size <= text.capacity() || Covers(std::max(size, 2 * text.capacity()) - text.capacity());
  }

  std::string out_;
  bool finished_ = false;
  BufferShare* share_ = nullptr;
  CallGathering* gathering_ = nullptr;
  WireCounts* counts_ = nullptr;
};

// Makes the session of a connection that was just accepted. Called on the threads of the listener, several at once.
using SessionMaker = std::function<std::unique_ptr<Session>(MonotonicTime now)>;

// How long it is from `since` to `now`.
inline absl::Duration Between(MonotonicTime since, MonotonicTime now) { return absl::Nanoseconds(now.ns - since.ns); }

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_SESSION_H_
