#include "server/listen/tls_source.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/file_stamp.h"

namespace sluice {
namespace {

// What a caller's certificate and those between it and the authority may take together. A stranger makes the node keep
// so much.
constexpr long kCertificateBytesMax = 32 << 10;
// RFC 9113, 9.2.2, forbids the others of TLS 1.2 for HTTP/2.
constexpr char kTls12Ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

absl::Status Unusable(absl::string_view path, absl::string_view wanted) {
  const unsigned long error = ERR_peek_error();
  const char* const reason = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": wanted ", wanted, ", got: ", reason != nullptr ? reason : "something else"));
}

// The first of ours that the caller offers, as a view of what lasts. One that offers none may speak either: its first
// bytes say which.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                   unsigned int offered_size, void*) {
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, kOurs, sizeof kOurs - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> Read(const TlsFiles& files) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* const raw = context.get();
  if (raw == nullptr || SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(raw, kTls12Ciphers) != 1) {
    return Unusable("OpenSSL", "TLS 1.2 or later");
  }
  // A peer that hangs up without a word of TLS is one that sends nothing more: HTTP says by itself what is whole.
  SSL_CTX_set_options(
      raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  // Else SSL_read goes on for as long as records come that bring nothing to read, and its thread does nothing else.
  SSL_CTX_clear_mode(raw, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(raw, kCertificateBytesMax);
  SSL_CTX_set_alpn_select_cb(raw, ChooseProtocol, nullptr);
  // Else OpenSSL would ask at the terminal.
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1) {
    return Unusable(files.certificate, "a certificate chain (PEM)");
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Unusable(files.key, absl::StrCat("the private key (PEM, without a password) of ", files.certificate));
  }
  STACK_OF(X509_NAME)* const authorities = SSL_load_client_CA_file(files.client_ca.c_str());
  if (authorities == nullptr || SSL_CTX_load_verify_file(raw, files.client_ca.c_str()) != 1) {
    sk_X509_NAME_pop_free(authorities, X509_NAME_free);
    return Unusable(files.client_ca, "certificates of authorities (PEM)");
  }
  SSL_CTX_set_client_CA_list(raw, authorities);  // told to callers; takes it over
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

// Of the certificate that `context` shows and those between it and its authority. REQUIRES: it has one.
absl::Time EndOf(SSL_CTX* context) {
  absl::Time first = absl::InfiniteFuture();
  const auto meet = [&first](const X509* certificate) {
    tm end;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1) {
      first = std::min(first, absl::FromTM(end, absl::UTCTimeZone()));
    }
  };
  meet(SSL_CTX_get0_certificate(context));
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  for (int i = 0; i < sk_X509_num(chain); ++i) meet(sk_X509_value(chain, i));  // none: -1
  return first;
}

std::string StampOf(const TlsFiles& files) {
  return absl::StrCat(FileStamp(files.certificate), " ", FileStamp(files.key), " ", FileStamp(files.client_ca));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsSource>> TlsSource::Open(const TlsFiles& files) {
  // The stamp first: a change meanwhile is seen by the next Refresh.
  std::string stamp = StampOf(files);
  absl::StatusOr<std::shared_ptr<SSL_CTX>> context = Read(files);
  if (!context.ok()) return context.status();
  return std::unique_ptr<TlsSource>(new TlsSource(files, std::move(stamp), *std::move(context)));
}

absl::StatusOr<TlsSource::Change> TlsSource::Refresh() {
  std::string stamp = StampOf(files_);
  {
    absl::MutexLock lock(&mutex_);
    if (stamp == stamp_) return Change::kNone;
  }
  absl::StatusOr<std::shared_ptr<SSL_CTX>> context = Read(files_);  // unlocked: callers come meanwhile
  absl::MutexLock lock(&mutex_);
  stamp_ = std::move(stamp);
  in_step_ = context.ok();
  if (!context.ok()) return context.status();
  context_ = *std::move(context);
  return Change::kTaken;
}

bool TlsSource::in_step() const {
  absl::MutexLock lock(&mutex_);
  return in_step_;
}

absl::Time TlsSource::ends() const {
  absl::MutexLock lock(&mutex_);
  return EndOf(context_.get());
}

absl::optional<absl::Time> EndOfCertificates(const std::string& path) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  const bool read = context != nullptr && SSL_CTX_use_certificate_chain_file(context.get(), path.c_str()) == 1;
  ERR_clear_error();
  return read ? absl::optional<absl::Time>(EndOf(context.get())) : absl::nullopt;
}

std::unique_ptr<TlsStream> TlsSource::Accept(int fd) const {
  std::shared_ptr<SSL_CTX> context;
  {
    absl::MutexLock lock(&mutex_);
    context = context_;
  }
  SSL* const ssl = SSL_new(context.get());
  if (ssl == nullptr) return nullptr;
  auto stream = std::make_unique<TlsStream>(ssl, fd);
  return stream->Attach() ? std::move(stream) : nullptr;
}

}  // namespace sluice
