// A committed state of the policy as the chunks of an export, and back: a chunk at a time, whatever the size of the
// whole. Internal to store/ but for SendExport.
#ifndef SLUICE_STORE_POLICY_EXPORT_H_
#define SLUICE_STORE_POLICY_EXPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "enforcement/pack.h"
#include "sluice/v1/admin.pb.h"
#include "store/store.h"

namespace sluice {

// Calls `send` with chunks of at most about `bytes_max` bytes (one record is never cut), in order, the last one marked
// as such; at least one, also of an empty policy. Holds one of them in memory. CANCELLED where `send` returned false;
// DATA_LOSS where `state` cannot be read. `state` must be of one moment: a snapshot, or a store that nobody writes to.
absl::Status SendExport(const StoreReader& state, size_t bytes_max,
                        const std::function<bool(const v1::ExportChunk&)>& send);

// Writes chunks into a transaction of an empty store. Not thread-safe. Errors are INVALID_ARGUMENT, "this is no export"
// with the record and what it wants, and those of the store; after one the transaction is of no use.
class ExportLoader {
 public:
  // Both must outlive it.
  ExportLoader(Store::Transaction* transaction, const Pack* pack) : transaction_(*transaction), pack_(*pack) {}

  // In the order of SendExport, of one state.
  absl::Status Add(const v1::ExportChunk& chunk);
  // After the last chunk. An error where it was not added: a stream that ends early, for whatever reason, looks to
  // gRPC's reader like one that is whole.
  absl::Status Finish();

  int64_t revision() const { return revision_; }
  int64_t events() const { return events_; }

 private:
  absl::Status AddEvent(const StampedEvent& stamped);
  absl::Status AddAnnouncement(const Announcement& announcement);
  absl::Status PutEntity();

  Store::Transaction& transaction_;
  const Pack& pack_;
  Entity entity_;  // whose events come now
  int64_t revision_ = 0;
  absl::Time policy_time_;
  absl::Time fed_at_;
  int64_t events_ = 0;
  int64_t announced_ = 0;  // the revision of the last announcement
  bool any_ = false;
  bool last_ = false;
};

}  // namespace sluice

#endif  // SLUICE_STORE_POLICY_EXPORT_H_
