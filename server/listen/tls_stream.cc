#include "server/listen/tls_stream.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace sluice {

void TlsStream::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(SSL* ssl) : ssl_(ssl) {}
TlsStream::~TlsStream() = default;

// The queue of errors is the thread's: what another connection left there would be taken for this one's. So each call
// of OpenSSL is made with an empty one.
bool TlsStream::Handshake() {
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
  // At the second of two changes of keys OpenSSL would answer the first in the middle of the record, and end the
  // connection: "bad length".
  if (half_sent_) {
    errno = EAGAIN;
    return -1;
  }
  size_t size = 0;
  read_wants_room_ = false;
  write_wants_bytes_ = false;  // the next write says whether it still does
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
