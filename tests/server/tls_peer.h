// A caller by TLS without a socket: what it says is a string, to be sent whole, in pieces or not at all. With TLS 1.3
// it can also write its records itself, which may hold what OpenSSL would not send.
#ifndef SLUICE_TESTS_SERVER_TLS_PEER_H_
#define SLUICE_TESTS_SERVER_TLS_PEER_H_

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

// What a client protects with the keys that TLS 1.3 made of a secret. Cipher: TLS_AES_128_GCM_SHA256.
class TlsRecords {
 public:
  explicit TlsRecords(std::string secret) : secret_(std::move(secret)) { MakeKeys(); }

  // RFC 8446, 5.2: a record of that type inside.
  std::string Seal(uint8_t type, absl::string_view content, size_t padding) {
    std::string inside = absl::StrCat(content, absl::string_view(reinterpret_cast<const char*>(&type), 1));
    inside.append(padding, '\0');
    const size_t size = inside.size() + kTagBytes;
    std::string record = {'\x17', '\x03', '\x03', static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
    std::string nonce = iv_;
    for (size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<char>(count_ >> (8 * i));
    ++count_;
    std::string sealed(size, '\0');
    int got = 0;
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> owned(EVP_CIPHER_CTX_new(),
                                                                                EVP_CIPHER_CTX_free);
    EVP_CIPHER_CTX* const raw = owned.get();
    if (EVP_EncryptInit_ex(raw, EVP_aes_128_gcm(), nullptr, Bytes(key_), Bytes(nonce)) != 1 ||
        EVP_EncryptUpdate(raw, nullptr, &got, Bytes(record), static_cast<int>(record.size())) != 1 ||
        EVP_EncryptUpdate(raw, Bytes(sealed), &got, Bytes(inside), static_cast<int>(inside.size())) != 1 ||
        EVP_EncryptFinal_ex(raw, Bytes(sealed) + got, &got) != 1 ||
        EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_GET_TAG, kTagBytes, Bytes(sealed) + inside.size()) != 1) {
      abort();
    }
    return record + sealed;
  }
  // After a KeyUpdate.
  void ChangeKeys() {
    secret_ = Expand("traffic upd", 32);
    MakeKeys();
  }

 private:
  static constexpr size_t kTagBytes = 16;

  static unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
  // HKDF-Expand-Label of RFC 8446, 7.1, without a context; up to 32 bytes.
  std::string Expand(absl::string_view label, size_t size) const {
    const std::string info =
        absl::StrCat(std::string({'\0', static_cast<char>(size), static_cast<char>(6 + label.size())}), "tls13 ", label,
                     std::string({'\0', '\1'}));
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int made = 0;
    HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
         reinterpret_cast<const unsigned char*>(info.data()), info.size(), out, &made);
    return {reinterpret_cast<const char*>(out), size};
  }
  void MakeKeys() {
    key_ = Expand("key", 16);
    iv_ = Expand("iv", 12);
    count_ = 0;
  }

  std::string secret_, key_, iv_;
  uint64_t count_ = 0;
};

class TlsPeer {
 public:
  static constexpr uint8_t kAlert = 21, kHandshake = 22, kApplicationData = 23;  // types of records
  static constexpr size_t kRecordBytes = size_t{16} << 10;

  struct Kind {
    int version = TLS1_3_VERSION;
    size_t record_bytes_max = kRecordBytes;
    bool own_records = false;     // once hands are shaken it writes them itself. REQUIRES: TLS 1.3
    absl::string_view protocols;  // as ALPN has them; empty = none are named
  };

  // A context for peers that believe anybody, and show the pair of files where one is named.
  static SSL_CTX* NewContext(const std::string& certificate, const std::string& key) {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    if (context == nullptr || SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) abort();
    SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char* line) {
      static_cast<TlsPeer*>(SSL_get_app_data(ssl))->OnSecret(line);
    });
    if (!certificate.empty() && (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1 ||
                                 SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)) {
      abort();
    }
    return context;
  }

  TlsPeer(SSL_CTX* context, const Kind& kind) : kind_(kind), ssl_(SSL_new(context), SSL_free) {
    SSL* const raw = ssl_.get();
    SSL_set_app_data(raw, this);
    SSL_set_min_proto_version(raw, kind.version);
    SSL_set_max_proto_version(raw, kind.version);
    SSL_set_max_send_fragment(raw, kind.record_bytes_max);
    if (!kind.protocols.empty()) {
      SSL_set_alpn_protos(raw, reinterpret_cast<const unsigned char*>(kind.protocols.data()),
                          static_cast<unsigned int>(kind.protocols.size()));
    }
    from_node_ = BIO_new(BIO_s_mem());
    to_node_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(from_node_, -1);
    SSL_set_bio(raw, from_node_, to_node_);
    SSL_set_connect_state(raw);
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  bool established() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  // It gave up.
  bool failed() const { return failed_; }

  void Hear(absl::string_view bytes) { BIO_write(from_node_, bytes.data(), static_cast<int>(bytes.size())); }
  // Does what can be done; appends what it was told to `plain`. Whether it did anything.
  bool GoOn(std::string* plain) {
    if (failed_ || told_end_) return BIO_ctrl_pending(to_node_) > 0;
    const size_t before = BIO_ctrl_pending(from_node_);
    ERR_clear_error();
    int result = 1;
    if (!established()) result = SSL_do_handshake(ssl_.get());
    while (result > 0 && established()) {
      char bytes[16 << 10];
      result = SSL_read(ssl_.get(), bytes, sizeof bytes);
      if (result > 0) plain->append(bytes, static_cast<size_t>(result));
    }
    const int error = SSL_get_error(ssl_.get(), result);
    failed_ = error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
    told_end_ = error == SSL_ERROR_ZERO_RETURN;
    return before != BIO_ctrl_pending(from_node_) || BIO_ctrl_pending(to_node_) > 0;
  }
  // What it says meanwhile.
  std::string TakeSaid() {
    std::string said(BIO_ctrl_pending(to_node_), '\0');
    BIO_read(to_node_, said.data(), static_cast<int>(said.size()));
    return said + std::exchange(sealed_, "");
  }

  // Records that OpenSSL writes come in multiples of this. TLS 1.3.
  void PadTo(size_t bytes) { SSL_set_block_padding(ssl_.get(), bytes); }

  // REQUIRES of all below: it is established, and has not failed.

  // As one record. Whether it was taken. REQUIRES: no more than fits.
  bool Say(absl::string_view plain, size_t padding) {
    if (!kind_.own_records) return SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())) > 0;
    FinishChangeOfKeys();
    Seal(kApplicationData, plain, std::min(padding, kRecordBytes - plain.size()));
    return true;
  }
  // `ask`: the other side is to change them too. TLS 1.3.
  void ChangeKeys(bool ask, size_t first_bytes) {
    if (!kind_.own_records) {
      if (SSL_key_update(ssl_.get(), ask ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1) {
        SSL_do_handshake(ssl_.get());
      }
      return;
    }
    FinishChangeOfKeys();
    // In two records, as it may.
    const std::string message = {'\x18', '\0', '\0', '\1', ask ? '\1' : '\0'};
    if (first_bytes > 0) Seal(kHandshake, absl::string_view(message).substr(0, first_bytes), 0);
    key_update_left_ = message.substr(std::min(first_bytes, message.size()));
    if (key_update_left_.empty()) records_->ChangeKeys();
  }
  void FinishChangeOfKeys() {
    if (key_update_left_.empty()) return;
    Seal(kHandshake, std::exchange(key_update_left_, ""), 0);
    records_->ChangeKeys();
  }
  void SayEnd() {
    if (kind_.own_records) {
      FinishChangeOfKeys();
      Seal(kAlert, absl::string_view("\1\0", 2), 0);
    } else {
      SSL_shutdown(ssl_.get());
      SSL_set_shutdown(ssl_.get(), 0);  // so that it can go on nevertheless
    }
  }
  // TLS 1.2.
  void Renegotiate() {
    SSL_renegotiate(ssl_.get());
    SSL_do_handshake(ssl_.get());
  }
  // REQUIRES: own_records.
  void Seal(uint8_t type, absl::string_view content, size_t padding) {
    absl::StrAppend(&sealed_, records_->Seal(type, content, padding));
  }

 private:
  void OnSecret(absl::string_view line) {
    constexpr absl::string_view kName = "CLIENT_TRAFFIC_SECRET_0 ";
    if (!kind_.own_records || line.substr(0, kName.size()) != kName) return;
    records_ = std::make_unique<TlsRecords>(absl::HexStringToBytes(line.substr(line.rfind(' ') + 1)));
  }

  const Kind kind_;
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  BIO* from_node_ = nullptr;
  BIO* to_node_ = nullptr;
  std::unique_ptr<TlsRecords> records_;
  std::string sealed_;
  std::string key_update_left_;  // of one that was begun
  bool failed_ = false;
  bool told_end_ = false;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_TLS_PEER_H_
