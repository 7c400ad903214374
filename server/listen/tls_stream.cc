#include "server/listen/tls_stream.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

namespace sluice {

void TlsStream::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

// Its side of the socket is a BIO, whose data is the stream.
struct TlsStream::Callbacks {
  static TlsStream* StreamOf(BIO* bio) { return static_cast<TlsStream*>(BIO_get_data(bio)); }
  static bool MayTryAgain() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  static int Receive(BIO* bio, char* into, int size) {
    TlsStream* const stream = StreamOf(bio);
    BIO_clear_retry_flags(bio);
    if (stream->receives_left_ == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    --stream->receives_left_;
    const ssize_t got = recv(stream->fd_, into, static_cast<size_t>(size), 0);
    stream->socket_ended_ = got == 0;
    if (got < 0 && MayTryAgain()) {
      stream->emptied_ = errno != EINTR;
      BIO_set_retry_read(bio);
    }
    return static_cast<int>(got);
  }
  static int Send(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t took = send(StreamOf(bio)->fd_, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (took < 0 && MayTryAgain()) BIO_set_retry_write(bio);
    return static_cast<int>(took);
  }
  static long Control(BIO* bio, int command, long number, void* pointer) {
    if (command == BIO_CTRL_EOF) return StreamOf(bio)->socket_ended_ ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;  // nothing is kept here
  }
  // Null where there is no memory for it.
  static const BIO_METHOD* Socket() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a TlsStream");
      if (made == nullptr) return made;
      BIO_meth_set_read(made, Receive);
      BIO_meth_set_write(made, Send);
      BIO_meth_set_ctrl(made, Control);
      return made;
    }();
    return method;
  }

  static void OnMessage(int sent, int version, int type, const void* bytes, size_t size, SSL* ssl, void* stream) {
    auto* const told = static_cast<TlsStream*>(stream);
    if (sent == 0 && type == SSL3_RT_HANDSHAKE && told->established_) ++told->chores_;
  }
};

TlsStream::TlsStream(SSL* ssl, int fd) : ssl_(ssl), fd_(fd) {}
TlsStream::~TlsStream() = default;

bool TlsStream::Attach() {
  BIO* const bio = Callbacks::Socket() == nullptr ? nullptr : BIO_new(Callbacks::Socket());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_msg_callback(ssl_.get(), Callbacks::OnMessage);
  SSL_set_msg_callback_arg(ssl_.get(), this);
  return true;
}

// The queue of errors is the thread's: what another connection left there would be taken for this one's. So each call
// of OpenSSL is made with an empty one.
bool TlsStream::Handshake() {
  receives_left_ = kReceivesMax;
  ERR_clear_error();
  const int result = SSL_accept(ssl_.get());
  established_ = result == 1;
  if (established_) {
    read_wants_room_ = false;
    return true;
  }
  Fail(result, /*reading=*/true);
  return errno == EAGAIN;
}

ssize_t TlsStream::Read(absl::Span<char> into) {
  emptied_ = false;
  // At the second of two changes of keys OpenSSL would answer the first in the middle of the record, and end the
  // connection: "bad length".
  if (half_sent_) {
    errno = EAGAIN;
    return -1;
  }
  size_t size = 0;
  read_wants_room_ = false;
  write_wants_bytes_ = false;  // the next write says whether it still does
  receives_left_ = kReceivesMax;
  while (!peer_ended_ && into.size() - size >= kRecordBytes) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), into.data() + size, static_cast<int>(into.size() - size));
    if (got > 0) {
      size += static_cast<size_t>(got);
      continue;
    }
    Fail(got, /*reading=*/true);
    if (peer_ended_ || (errno == EAGAIN && size > 0)) break;
    return -1;
  }
  return static_cast<ssize_t>(size);
}

ssize_t TlsStream::Write(absl::string_view bytes) {
  receives_left_ = kReceivesMax;
  ERR_clear_error();
  const int took = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  half_sent_ = false;
  return took > 0 ? took : Fail(took, /*reading=*/false);
}

ssize_t TlsStream::Fail(int result, bool reading) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (reading) {
    read_wants_room_ = error == SSL_ERROR_WANT_WRITE;
    peer_ended_ = error == SSL_ERROR_ZERO_RETURN;
  } else {
    write_wants_bytes_ = error == SSL_ERROR_WANT_READ;
    half_sent_ = error == SSL_ERROR_WANT_WRITE;
  }
  errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
  return -1;
}

void TlsStream::SayEnd() {
  if (!established_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

uint64_t TlsStream::received_bytes() const { return BIO_number_read(SSL_get_rbio(ssl_.get())); }

}  // namespace sluice
