// Which flags are on a subject: the table `flagged`, from the SubjectHash of a subject to what a check has to know of
// each flag on it. It follows from the entities, and is kept in the same transactions, so no crash can tear the two
// apart.
//
// The hash depends on the store's subject secret (AdoptHashSecret in enforcement/names.h), which lies in `meta`. The
// table is not part of an export.
// Source: docs/decisions/2026-11-26-index.md
#ifndef SLUICE_STORE_FLAG_INDEX_H_
#define SLUICE_STORE_FLAG_INDEX_H_

#include <lmdb.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/event.h"
#include "enforcement/flag_reader.h"
#include "store/lmdb_table.h"
#include "store/spill_sort.h"

namespace sluice {

// The name in `flagged` of what is on `subject`: sixteen bytes, in the order in which the filter lies in memory.
std::string FlaggedName(Hash128 subject);
Hash128 FlaggedSubject(absl::string_view name);  // REQUIRES: sixteen bytes

// Makes `flagged` say of the flag `after` what it says now, and no more what it said as `before`. Either may be without
// events. Returns LMDB's error code; MDB_CORRUPTED where a value cannot be read.
int UpdateFlagged(LmdbTable flagged, const Entity& before, const Entity& after);

// Calls `visit` with each piece of a value of `flagged`. False where the value cannot be read.
bool VisitFlagPieces(absl::string_view value, absl::FunctionRef<void(const FlagPiece&)> visit);

// What flags that are not in the table yet put into it, to be written all at once in order: a page that takes many is
// written once. Holds at most `memory_bytes`; what is more lies in a file in the folder of the store.
class NewFlags {
 public:
  static constexpr size_t kMemoryBytes = size_t{128} << 20;  // of some 1.2 million flags

  explicit NewFlags(absl::string_view folder, size_t memory_bytes = kMemoryBytes) : pieces_(folder, memory_bytes) {}

  // Return error codes of LMDB or the system.
  int Add(const Entity& flag);
  // Writes what was added; the last call.
  int Write(LmdbTable flagged);

 private:
  SpillSort pieces_;
};

// Looks flags up for checks. Keeps read transactions, at most kSlots, to renew them: beginning one costs a lock.
class LmdbFlagReader final : public FlagReader {
 public:
  // REQUIRES: the environment outlives this object, and has MDB_NOTLS.
  LmdbFlagReader(MDB_env* environment, MDB_dbi flagged) : environment_(environment), flagged_(flagged) {}
  ~LmdbFlagReader() override;

  bool Find(Hash128 subject, absl::FunctionRef<void(const FlagPiece&)> visit) const override;

  // Around a commit, by the one writer: keeps the state before it in hand. Where LMDB cannot take a failed commit back,
  // the environment begins no transaction any more (MDB_PANIC), and Find goes on in that state until the node is
  // started again. Release is for a commit that succeeded; one that failed leaves it to the next.
  void HoldCommitted() ABSL_LOCKS_EXCLUDED(held_mutex_);
  void ReleaseCommitted() ABSL_LOCKS_EXCLUDED(held_mutex_);

 private:
  bool FindIn(MDB_txn* transaction, Hash128 subject, absl::FunctionRef<void(const FlagPiece&)> visit) const;

  static constexpr int kSlots = 64;
  struct alignas(64) Slot {
    std::atomic<MDB_txn*> transaction{nullptr};
  };

  MDB_env* const environment_;
  const MDB_dbi flagged_;
  mutable std::array<Slot, kSlots> slots_;
  // A transaction is for one thread at a time. Checks take it after MDB_PANIC only.
  mutable absl::Mutex held_mutex_;
  MDB_txn* held_ ABSL_GUARDED_BY(held_mutex_) = nullptr;
};

}  // namespace sluice

#endif  // SLUICE_STORE_FLAG_INDEX_H_
