// The servers that wire_bench.cc drives beside those of grpc_servers.h, each the whole of a process.
#ifndef SLUICE_BENCH_WIRE_SERVERS_H_
#define SLUICE_BENCH_WIRE_SERVERS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/fixture.h"

namespace sluice::bench {

// What all connections of an own listener may hold together: sluiced's default.
inline constexpr size_t kBufferedBytesMax = size_t{256} << 20;

// A node over a policy of `sizes`, on sockets in `folder`: own.sock by the listener of server/listen with one thread,
// bare.sock the same but watched by nobody, grpc.sock by gRPC C++ with one completion queue. Returns when the parent is
// done.
absl::Status ServeNode(const std::string& folder, const Sizes& sizes);

// The first of these alone, which sheds checks that may have waited for longer than `shed_after`.
absl::Status ServeOwn(const std::string& folder, const Sizes& sizes, absl::Duration shed_after);

// Answers every `request_bytes` on a connection with `answer_bytes`: blocking reads and writes, one connection at a
// time, nothing else. Returns when the parent is done.
absl::Status ServePingPong(const std::string& socket, size_t request_bytes, size_t answer_bytes);

// Writes what nginx needs into `folder`, and returns the command that has it answer every request at `socket` with
// `return 200`, in one process.
std::vector<std::string> NginxCommand(const std::string& folder, const std::string& socket);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_WIRE_SERVERS_H_
