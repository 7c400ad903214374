// What a call of gRPC shows of its caller, and the TLS of a listener. For admin/ alone: gRPC's headers go no further.
#ifndef SLUICE_SERVER_ADMIN_CREDENTIALS_H_
#define SLUICE_SERVER_ADMIN_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/access.h"

namespace sluice {

// `peer` is what the kernel said of the connection, where it came over a Unix socket.
Credential CredentialOf(const grpc::ServerContext& context, const absl::optional<Credential::Peer>& peer);

struct TlsFiles {
  std::string certificate;  // PEM; the chain, the server's own first. Empty = no TLS
  std::string key;          // PEM
  std::string client_ca;    // PEM; with it every caller has to show a certificate that one of these signed
};
// TLS 1.2 or later. The files are looked at every second: connections made later use what they hold then. Errors say
// which file and why.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsCredentials(const TlsFiles& files);

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_CREDENTIALS_H_
