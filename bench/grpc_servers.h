// Servers on gRPC C++ that the benchmarks drive, each the whole of a process. Both answer sluice.v1.Enforcement.Check,
// with one completion queue and one thread.
#ifndef SLUICE_BENCH_GRPC_SERVERS_H_
#define SLUICE_BENCH_GRPC_SERVERS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/fixture.h"
#include "server/listen/check_server.h"
#include "server/listen/checker.h"

namespace sluice::bench {

// Answers every call with the bytes `answer`, read by nobody and made by nobody: what gRPC itself costs. With `health`
// gRPC's own health service stands beside it, as it does in sluiced. Returns when the parent is done.
absl::Status ServeEcho(const std::string& socket, const std::string& answer, bool health);

// The real check server of server/listen with one thread.
absl::StatusOr<std::unique_ptr<CheckServer>> ListenByGrpc(const std::string& socket, Checker* checker,
                                                          const Router* router);

// That server, over a policy of `sizes` with three default request limits (account, bucket,
// address). On `socket` with the observers that sluiced has: metrics, and the decision log in a folder beside the
// socket. On `bare_socket` without either. Returns when the parent is done.
absl::Status ServeChecks(const std::string& socket, const std::string& bare_socket, const Sizes& sizes);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_GRPC_SERVERS_H_
