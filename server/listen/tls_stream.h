// TLS of one accepted socket, as steps that do not wait: OpenSSL behind the shape of recv(2) and send(2). For
// connection.cc; tls_source.h makes them.
#ifndef SLUICE_SERVER_LISTEN_TLS_STREAM_H_
#define SLUICE_SERVER_LISTEN_TLS_STREAM_H_

#include <openssl/types.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice {

// Of the connection's thread.
class TlsStream {
 public:
  // Owns `ssl`, which is a server's. `fd` does not block and stays open for longer.
  TlsStream(SSL* ssl, int fd);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // False where there is no memory for it. Nothing else is called before, nor after that.
  bool Attach();

  // Each of these takes a bounded number of records, and lets epoll show the rest: OpenSSL would go on for as long as
  // any come that it has no use for, and the other connections of the thread would wait.

  // Goes on with the handshake. False where it failed; the peer was told why.
  bool Handshake();
  // Both sides have shown what they must. Before that nothing is read or written.
  bool established() const { return established_; }

  // As recv(2): what is there, but for what may not fit; 0 where the peer sends nothing more; -1 with errno: EAGAIN to
  // wait, or where what came brings nothing to read; EPROTO where nothing more is to be had. Reads whole records, so
  // that none is left behind where epoll does not see it. REQUIRES: room for kRecordBytes.
  ssize_t Read(absl::Span<char> into);
  // The last Read took all that the socket had.
  bool emptied() const { return emptied_; }
  // Changes of keys, and wishes to shake hands anew, that came since hands were shaken: work that brings nothing.
  uint64_t chores() const { return chores_; }
  // As send(2). After EAGAIN the same bytes have to come again, and may be followed by more.
  ssize_t Write(absl::string_view bytes);
  // Tells the peer that nothing follows, where its socket has room.
  void SayEnd();

  // Reading waits for room to write: a handshake, the answer to a change of keys, or a record of ours that is half
  // sent. It would go on in vain whatever comes.
  bool read_wants_room() const { return read_wants_room_ || half_sent_; }
  // Writing waits for what the peer sends, and room helps nothing: it began to change its keys.
  bool write_wants_bytes() const { return write_wants_bytes_; }
  // The peer has said that it sends nothing more, maybe behind what was read.
  bool peer_ended() const { return peer_ended_; }
  // Off the socket, since the beginning.
  uint64_t received_bytes() const;

  // The greatest record.
  static constexpr size_t kRecordBytes = size_t{16} << 10;

 private:
  // Of one call: some 64 records, of which each takes two.
  static constexpr int kReceivesMax = 128;

  // What OpenSSL calls.
  struct Callbacks;
  // Sets errno for what `result` of a call means, and what reading or writing waits for.
  ssize_t Fail(int result, bool reading);

  struct Free {
    void operator()(SSL* ssl) const;
  };
  const std::unique_ptr<SSL, Free> ssl_;
  const int fd_;
  int receives_left_ = 0;
  bool socket_ended_ = false;
  bool established_ = false;
  bool read_wants_room_ = false;
  bool write_wants_bytes_ = false;
  bool half_sent_ = false;  // a record
  bool peer_ended_ = false;
  bool emptied_ = false;
  uint64_t chores_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_TLS_STREAM_H_
