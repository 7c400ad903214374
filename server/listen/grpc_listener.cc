#include "server/listen/grpc_listener.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace sluice {
namespace {

constexpr size_t kMessageBytesMax = 1000;
// A connection may have so many calls under way; more wait on the caller's side.
constexpr int kStreamsPerConnectionMax = 1024;
// A peer that vanished without a word is found out after so long.
constexpr int kKeepaliveMs = 60'000;

}  // namespace

void EnableHealthAndReflection() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Held to the end of the process. Giving gRPC's last reference back waits for its poller, up to ten seconds where a
    // write was blocked shortly before: a node that has drained would hang for nothing.
    grpc_init();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

absl::StatusOr<std::unique_ptr<grpc::Server>> StartListener(const GrpcListenerOptions& options,
                                                            grpc::ServerBuilder* builder, ListenAddress* bound) {
  if (absl::Status status = PrepareSocket(options.address, options.make_folder); !status.ok()) return status;
  // Otherwise two processes could share a TCP port, each with half of the checks.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->SetMaxReceiveMessageSize(options.receive_bytes_max);
  int port = -1;
  // No credentials: for whom the socket's mode, or the network, lets through. Mutual TLS is not there yet.
  builder->AddListeningPort(FormatListenAddress(options.address), grpc::InsecureServerCredentials(), &port);
  std::unique_ptr<grpc::Server> server;
  {
    PrivateFiles private_files;
    server = builder->BuildAndStart();
  }
  *bound = options.address;
  if (server == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", FormatListenAddress(options.address),
                                                      ": taken by another process, or not an address of this machine"));
  }
  if (!bound->is_unix()) bound->port = port;
  if (absl::Status status = SetSocketMode(options.address, options.mode); !status.ok()) {
    server->Shutdown(std::chrono::system_clock::now());
    return status;
  }
  return server;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::string_view message = status.message();
  if (message.size() > kMessageBytesMax) {
    message = message.substr(0, kMessageBytesMax);
    // Not in the middle of a character.
    while (!message.empty() && (static_cast<unsigned char>(message.back()) & 0xC0) == 0x80) message.remove_suffix(1);
    if (!message.empty() && static_cast<unsigned char>(message.back()) >= 0xC0) message.remove_suffix(1);
  }
  // absl's and gRPC's codes are the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(message));
}

std::chrono::system_clock::time_point DeadlineAfter(absl::Duration grace) {
  return absl::ToChronoTime(absl::Now() + grace);
}

}  // namespace sluice
