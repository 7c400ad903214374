// What a call of gRPC shows of its caller. For admin/ alone: gRPC's headers go no further.
#ifndef SLUICE_SERVER_ADMIN_CREDENTIALS_H_
#define SLUICE_SERVER_ADMIN_CREDENTIALS_H_

#include <grpcpp/server_context.h>

#include "absl/types/optional.h"
#include "server/access.h"

namespace sluice {

// `peer` is what the kernel said of the connection, where it came over a Unix socket.
Credential CredentialOf(const grpc::ServerContext& context, const absl::optional<Credential::Peer>& peer);

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_CREDENTIALS_H_
