// What the two gRPC listeners share: binding, health, reflection, status codes. For check_server.cc and admin_server.cc
// alone: gRPC's headers are slow, and go no further.
#ifndef SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_
#define SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/status.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/listen/address.h"

namespace sluice {

struct GrpcListenerOptions {
  ListenAddress address;
  uint32_t mode = 0600;      // of a Unix socket
  bool make_folder = false;  // of a Unix socket, where it is missing
  int receive_bytes_max = 0;
};

// Turns health and reflection on for every server built from now on.
void EnableHealthAndReflection();

// Binds and starts `*builder`, to which services were added already. `*bound` is where it listens, with the real port.
// FAILED_PRECONDITION: taken by another process; NOT_FOUND, PERMISSION_DENIED: as the file system says.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartListener(const GrpcListenerOptions& options,
                                                            grpc::ServerBuilder* builder, ListenAddress* bound);

// The same code and message. Messages are cut at 1,000 bytes: they travel in a header.
grpc::Status ToGrpc(const absl::Status& status);

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration grace);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_
