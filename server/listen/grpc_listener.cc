#include "server/listen/grpc_listener.h"

#include <grpc/grpc.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/listen/grpc_status.h"
#include "server/listen/listening_socket.h"

namespace sluice {
namespace {

// A connection may have so many calls under way; more wait on the caller's side.
constexpr int kStreamsPerConnectionMax = 1024;
// A peer that vanished without a word is found out after so long.
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// As of the own listener: a connection without a call is closed.
constexpr int kIdleMs = 600'000;
// Whoever connects has so long to say what it is, TLS included.
constexpr int kHandshakeMs = 10'000;
// Headers of one call; gRPC's default, which the page of limits states.
constexpr int kMetadataBytesMax = 8 << 10;

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const GrpcListenerOptions& options) {
  return options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials();
}

// On a path or port of its own.
absl::StatusOr<GrpcListener> Bind(const GrpcListenerOptions& options, grpc::ServerBuilder* builder) {
  if (absl::Status status = PrepareSocket(options.address, options.make_folder); !status.ok()) return status;
  int port = -1;
  builder->AddListeningPort(FormatListenAddress(options.address), CredentialsOf(options), &port);
  GrpcListener listener;
  {
    PrivateFiles private_files;
    listener.server = builder->BuildAndStart();
  }
  if (listener.server == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", FormatListenAddress(options.address),
                                                      ": taken by another process, or not an address of this machine"));
  }
  listener.address = options.address;
  if (!options.address.is_unix()) listener.address.port = port;
  if (absl::Status status = SetSocketRights(options.address, options.rights); !status.ok()) {
    listener.server->Shutdown(std::chrono::system_clock::now());
    return status;
  }
  return listener;
}

absl::StatusOr<std::vector<int>> SocketsOf(const GrpcListenerOptions& options, ListenAddress* address) {
  if (!options.inherited) return OpenTcpSockets(address);
  const absl::StatusOr<int> fd = ShareSocket(*options.inherited);
  if (!fd.ok()) return fd.status();
  return std::vector<int>{*fd};
}

// On a socket that listens already, or one whose connections have a bound. gRPC takes connections over, not sockets,
// and counts none of them: so the accepting is ours.
absl::StatusOr<GrpcListener> AcceptOurselves(const GrpcListenerOptions& options, grpc::ServerBuilder* builder) {
  GrpcListener listener;
  listener.address = options.inherited ? options.inherited->address : options.address;
  absl::StatusOr<std::vector<int>> sockets = SocketsOf(options, &listener.address);
  if (!sockets.ok()) return sockets.status();
  listener.acceptor = builder->experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, CredentialsOf(options));
  listener.server = builder->BuildAndStart();
  if (listener.server == nullptr) {
    for (const int fd : *sockets) close(fd);
    return absl::InternalError(
        absl::StrCat("gRPC could not start a server for ", FormatListenAddress(listener.address)));
  }
  absl::StatusOr<std::unique_ptr<AcceptLoop>> accept_loop = AcceptLoop::Start(
      *std::move(sockets),
      [acceptor = listener.acceptor.get(), let_in = options.let_in, tcp = !listener.address.is_unix()](int fd) {
        if (let_in && !let_in(fd)) {
          close(fd);
          return;
        }
        if (tcp) PrepareTcp(fd);
        HandOver(fd, acceptor);
      },
      options.look);
  if (!accept_loop.ok()) {
    listener.server->Shutdown(std::chrono::system_clock::now());
    return accept_loop.status();
  }
  listener.accept_loop = *std::move(accept_loop);
  return listener;
}

}  // namespace

void HoldGrpc() {
  static std::once_flag once;
  std::call_once(once, [] { grpc_init(); });
}

void HandOver(int fd, grpc::experimental::ExternalConnectionAcceptor* acceptor) {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.fd = fd;
  acceptor->HandleNewConnection(&connection);
}

void SetBounds(int receive_bytes_max, grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder->SetMaxReceiveMessageSize(receive_bytes_max);
}

absl::StatusOr<GrpcListener> StartListener(const GrpcListenerOptions& options, grpc::ServerBuilder* builder) {
  // Otherwise two processes could share a TCP port, each with half of the checks.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  SetBounds(options.receive_bytes_max, builder);
  return options.inherited || options.let_in ? AcceptOurselves(options, builder) : Bind(options, builder);
}

void GrpcListener::Shutdown(absl::Duration grace) {
  if (accept_loop != nullptr) accept_loop->Stop();
  server->Shutdown(DeadlineAfter(grace));
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // absl's and gRPC's codes are the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(CutStatusMessage(status.message())));
}

absl::StatusOr<absl::string_view> InOnePiece(const grpc::ByteBuffer& bytes, grpc::Slice* slice) {
  if (!bytes.TrySingleSlice(slice).ok()) {  // else the usual case, without a copy
    if (const grpc::Status status = bytes.DumpToSingleSlice(slice); !status.ok()) {
      return absl::InternalError(status.error_message());
    }
  }
  return absl::string_view(reinterpret_cast<const char*>(slice->begin()), slice->size());
}

absl::Status DecodeMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  bool parsed = false;
  grpc::Slice slice;
  if (bytes.TrySingleSlice(&slice).ok()) {  // the usual case, without a stream in between
    parsed = message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
  } else {
    grpc::ByteBuffer copy = bytes;  // shares the slices; a reader wants them for writing
    grpc::ProtoBufferReader reader(&copy);
    parsed = reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
  }
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("wanted a ", message->GetTypeName(), ", got ", bytes.Length(),
                   " bytes that are none: a text field is not valid UTF-8, or the message is cut"));
}

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration grace) {
  return absl::ToChronoTime(absl::Now() + grace);
}

}  // namespace sluice
