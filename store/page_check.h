// Looks at the pages of an LMDB file without LMDB: every page of one committed state, where it is, what it says it is,
// and whether all that it points to is in its place. LMDB itself believes its pages, and a damaged one can take the
// process with it; a file that passes here cannot. What stands inside a value is not looked at: LMDB keeps no
// checksums. Internal to store/. Source: the layout of LMDB 0.9 (data version 1), 64 bit, as on the disk.
#ifndef SLUICE_STORE_PAGE_CHECK_H_
#define SLUICE_STORE_PAGE_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

struct PageCounts {
  uint64_t page_bytes = 0;
  uint64_t pages = 0;        // that the file has use for
  uint64_t used = 0;         // of them, by this state
  uint64_t free = 0;         // on the list of free ones
  uint64_t transaction = 0;  // of the state
};

// Walks the state of `transaction`, or the newest without one, in `file`, an open data.mdb. DATA_LOSS: which page, what
// was wanted, what is there. ABORTED: that state is no longer in the file, since two later ones were committed. Blocks
// on the disk; needs no lock where nobody writes, else a read transaction of LMDB that keeps the state's pages.
absl::StatusOr<PageCounts> CheckPages(int file, absl::optional<uint64_t> transaction);

// Whether a file of `got` pages lacks too many of `wanted`: LMDB may leave the last few unwritten where nothing uses
// them, so only one that lacks much was cut short.
bool IsCutShort(uint64_t wanted, uint64_t got);

}  // namespace sluice

#endif  // SLUICE_STORE_PAGE_CHECK_H_
