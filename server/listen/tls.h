// The TLS of a gRPC listener. gRPC's headers are slow: for those alone who make such a listener.
#ifndef SLUICE_SERVER_LISTEN_TLS_H_
#define SLUICE_SERVER_LISTEN_TLS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/listen/tls_files.h"

namespace sluice {

// None where no certificate is named. TLS 1.2 or later. The files are looked at every second: connections made later
// use what they hold then. Errors say which file and why.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CredentialsBy(const TlsFiles& files);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_TLS_H_
