// What the two gRPC listeners share: binding, health, messages, status codes. For what serves them alone: gRPC's
// headers are slow, and go no further.
#ifndef SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_
#define SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_

#include <google/protobuf/message.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/listen/accept_loop.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"

namespace sluice {

struct GrpcListenerOptions {
  ListenAddress address;
  SocketRights rights;       // of a Unix socket
  bool make_folder = false;  // of a Unix socket, where it is missing
  int receive_bytes_max = 0;
  absl::optional<InheritedSocket> inherited;  // takes the place of `address`, `rights` and `make_folder`
  // None: for whom the socket's mode, or the network, lets through.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Whether a connection may stay; one of which this says no is closed. Called on a thread of the listener's own. Where
  // it is empty, gRPC takes as many as there are descriptors. REQUIRES: none, or of TCP.
  std::function<bool(int fd)> let_in;
  // As AcceptLoop's. May be empty. REQUIRES: none, or `let_in`.
  std::function<bool()> look;
};

// Keeps gRPC until the process ends. Giving its last reference back waits for its poller, up to ten seconds where a
// write was blocked shortly before: a node that has drained would hang for nothing.
void HoldGrpc();

// The bounds that every server of gRPC has here: streams of a connection, sizes, silence.
void SetBounds(int receive_bytes_max, grpc::ServerBuilder* builder);

// Gives `fd`, a connection that was accepted, to gRPC, which owns it from here on.
void HandOver(int fd, grpc::experimental::ExternalConnectionAcceptor* acceptor);

// A server that listens. Members go in reverse: nothing is accepted for a server that is gone.
struct GrpcListener {
  ListenAddress address;  // with the real port
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<AcceptLoop> accept_loop;  // where the accepting is ours, else null; to be stopped before the server

  // As grpc::Server's. Blocks. REQUIRES: `server`.
  void Shutdown(absl::Duration grace);
};

// Binds and starts `*builder`, to which services were added already. FAILED_PRECONDITION: taken by another process;
// NOT_FOUND, PERMISSION_DENIED: as the file system says.
absl::StatusOr<GrpcListener> StartListener(const GrpcListenerOptions& options, grpc::ServerBuilder* builder);

// The same code and message. Messages are cut at 1,000 bytes: they travel in a header.
grpc::Status ToGrpc(const absl::Status& status);

// The bytes of a message in one piece: `*slice` keeps them.
absl::StatusOr<absl::string_view> InOnePiece(const grpc::ByteBuffer& bytes, grpc::Slice* slice);

// Reads a message. INVALID_ARGUMENT where `bytes` are none. Reuses the memory of `*message`.
absl::Status DecodeMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration grace);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_GRPC_LISTENER_H_
