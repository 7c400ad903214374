// Where the certificates of a listener are. No gRPC here; its options use it too.
#ifndef SLUICE_SERVER_LISTEN_TLS_FILES_H_
#define SLUICE_SERVER_LISTEN_TLS_FILES_H_

#include <string>

namespace sluice {

struct TlsFiles {
  std::string certificate;  // PEM; the chain, the server's own first. Empty = no TLS
  std::string key;          // PEM
  std::string client_ca;    // PEM; with it every caller has to show a certificate that one of these signed
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_TLS_FILES_H_
