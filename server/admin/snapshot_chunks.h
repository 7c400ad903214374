// A snapshot of the policy cut into messages that fit a stream, and put together again.
#ifndef SLUICE_SERVER_ADMIN_SNAPSHOT_CHUNKS_H_
#define SLUICE_SERVER_ADMIN_SNAPSHOT_CHUNKS_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "sluice/v1/admin.pb.h"
#include "store/policy_writer.h"

namespace sluice {

// Calls `send` with chunks of at most about `bytes_max` bytes (one record is never cut), in order, until it returns
// false. At least one chunk, also of an empty policy. Returns whether all were sent.
bool SendChunks(const PolicyWriter::Snapshot& snapshot, size_t bytes_max,
                const std::function<bool(const v1::ExportChunk&)>& send);

// Puts chunks together.
class SnapshotReader {
 public:
  // INVALID_ARGUMENT where the chunk is of another snapshot than those before it, or comes behind the last.
  absl::Status Add(const v1::ExportChunk& chunk);
  // INVALID_ARGUMENT where the last chunk was not added: a stream that ends early, for whatever reason, looks to gRPC's
  // reader like one that is whole.
  absl::StatusOr<PolicyWriter::Snapshot> Finish() &&;

 private:
  PolicyWriter::Snapshot snapshot_;
  bool any_ = false;
  bool last_ = false;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_SNAPSHOT_CHUNKS_H_
