// A certificate authority for tests, in files.
#ifndef SLUICE_TESTS_SERVER_TLS_AUTHORITY_H_
#define SLUICE_TESTS_SERVER_TLS_AUTHORITY_H_

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace sluice {

class TlsAuthority {
 public:
  struct Pair {
    std::string certificate, key;  // paths of PEM files
  };

  // Its certificate is FOLDER/NAME.pem.
  TlsAuthority(std::string folder, const std::string& name)
      : folder_(std::move(folder)), key_(NewKey()), certificate_(Make(name, key_.get(), nullptr, "CA:TRUE")) {
    Write(path(), certificate_.get(), nullptr);
  }

  // A pair of that name, signed by it.
  Pair Sign(const std::string& name) {
    const Key key = NewKey();
    Certificate certificate = Make(name, key.get(), this, "CA:FALSE");
    Pair pair = {folder_ + "/" + name + ".pem", folder_ + "/" + name + ".key"};
    Write(pair.certificate, certificate.get(), nullptr);
    Write(pair.key, nullptr, key.get());
    return pair;
  }

  std::string path() const {
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate_.get()), NID_commonName, name, sizeof name);
    return folder_ + "/" + name + ".pem";
  }

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  static Key NewKey() { return Key(EVP_EC_gen("P-256"), EVP_PKEY_free); }

  // Signed by `signer`; null = by itself.
  static Certificate Make(const std::string& name, EVP_PKEY* key, const TlsAuthority* signer, const char* constraints) {
    static long serial = 1;
    Certificate certificate(X509_new(), X509_free);
    X509* const raw = certificate.get();
    X509_set_version(raw, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), serial++);
    X509_gmtime_adj(X509_getm_notBefore(raw), -3600);
    X509_gmtime_adj(X509_getm_notAfter(raw), 24 * 3600);
    X509_set_pubkey(raw, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(raw, X509_get_subject_name(signer != nullptr ? signer->certificate_.get() : raw));
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, constraints);
    X509_add_ext(raw, extension, -1);
    X509_EXTENSION_free(extension);
    EXPECT_GT(X509_sign(raw, signer != nullptr ? signer->key_.get() : key, EVP_sha256()), 0);
    return certificate;
  }

  static void Write(const std::string& path, X509* certificate, EVP_PKEY* key) {
    FILE* const file = fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr) << path;
    if (certificate != nullptr) PEM_write_X509(file, certificate);
    if (key != nullptr) PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
  }

  const std::string folder_;
  const Key key_;
  const Certificate certificate_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_TLS_AUTHORITY_H_
