// A store as a whole, from outside of the node that has it: is it sound, a copy of it, and back from a copy.
//
// All of these block on the disk. They open the store for themselves, beside the node that may be using it: in a
// process that has it open already they must not be called (LMDB's rule). What they make where root calls them belongs
// to the owner and group of the folder that it is made in, so that a node that runs as that user can open it.
#ifndef SLUICE_STORE_BACKUP_H_
#define SLUICE_STORE_BACKUP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice {

// One committed state of a store, as it was found to be.
struct StoreReport {
  int64_t revision = 0;
  absl::Time policy_time = absl::UnixEpoch();
  uint64_t entities = 0;
  uint64_t events = 0;  // retained in them
  uint64_t logged = 0;
  uint64_t announcements = 0;
  uint64_t event_ids = 0;
  uint64_t bytes_used = 0;
  uint64_t bytes_free = 0;  // in the file, to be used again
};

// Reads all of the last committed state of the store in the folder `path`: each page, and each record. A node may be
// writing meanwhile. DATA_LOSS: damaged; which page or record, and what to do. FAILED_PRECONDITION: of a newer version.
// NOT_FOUND: no store there.
absl::StatusOr<StoreReport> CheckStore(const std::string& path);

// Copies the last committed state of the store at `path` to `folder`, which it makes: a store by itself, without free
// space, checked and on disk when this returns. A node may be writing meanwhile, and is held up by nothing.
// ALREADY_EXISTS where there is something at `folder`.
absl::StatusOr<StoreReport> BackUpStore(const std::string& path, const std::string& folder);

// Puts the backup in `folder` to where the store at `path` is to be. FAILED_PRECONDITION while a node has that store;
// ALREADY_EXISTS where one is there, unless `replace`: then it is kept beside, as data.mdb.replaced. The backup is
// checked first, and nothing is touched where it is not sound. Whenever this is cut short there is one whole store at
// `path`, the old one or the new one, where there was one before.
absl::StatusOr<StoreReport> RestoreStore(const std::string& folder, const std::string& path, bool replace);

}  // namespace sluice

#endif  // SLUICE_STORE_BACKUP_H_
