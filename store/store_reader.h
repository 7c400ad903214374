// How the tables of a store are laid out, and reading them in one LMDB transaction. Internal to store/.
// Source: docs/decisions/2026-11-24-store-layout.md
#ifndef SLUICE_STORE_STORE_READER_H_
#define SLUICE_STORE_STORE_READER_H_

#include <lmdb.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"
#include "sluice/v1/admin.pb.h"
#include "store/lmdb_table.h"
#include "store/store.h"

namespace sluice {

struct Tables {
  MDB_dbi entities = 0, log = 0, seen = 0, sequences = 0, announcements = 0, flagged = 0, meta = 0;
};

// Opens those that every format has beside `meta`; `flags` as for mdb_dbi_open. Returns an error of LMDB, 0 for none.
int OpenPolicyTables(MDB_txn* transaction, unsigned flags, Tables* tables);

// Names in `meta`. Values are eight bytes, big-endian; times are nanoseconds since the Unix epoch.
inline constexpr absl::string_view kMetaFormat = "format";
inline constexpr absl::string_view kMetaRevision = "revision";
inline constexpr absl::string_view kMetaPolicyTime = "policy_time";
inline constexpr absl::string_view kMetaFedAt = "fed_at";
inline constexpr absl::string_view kMetaSubjectSecret = "subject_secret";  // bytes

// Names in the other tables.
std::string NameOf(const EntityKey& key);                               // the kind's byte, the id
std::string NameOf(absl::string_view first, absl::string_view second);  // length of the first, the first, the second

// The same message gives the same bytes, always.
std::string Serialize(const google::protobuf::MessageLite& message);
// Of an entity: an ExportChunk of its events. `*scratch` is overwritten, and worth keeping for its memory.
std::string SerializeEvents(const Entity& entity, v1::ExportChunk* scratch);
// False where `bytes` are no such chunk.
bool ParseEvents(absl::string_view bytes, v1::ExportChunk* scratch, std::vector<StampedEvent>* events);

// What an LMDB or system error code means to whoever asked for `doing`: which store, and what to do.
absl::Status StoreError(int error, absl::string_view path, MDB_env* environment, absl::string_view doing);

// The number of a name in `meta`; where it is not set, `*number` stays as it was. MDB_CORRUPTED where it is no number.
int ReadMeta(LmdbTable meta, absl::string_view name, uint64_t* number);

// Makes `flagged` anew from the entities. OK, or why not: then abort the transaction. Holds at most `memory_bytes`, as
// NewFlags does, beside what LMDB holds of a transaction.
absl::Status RebuildFlagged(MDB_txn* transaction, const Tables& tables, absl::string_view path, size_t memory_bytes);

// Reads `transaction`, which it borrows, as all else.
class LmdbReader : public StoreReader {
 public:
  LmdbReader(MDB_txn* transaction, const Tables& tables, absl::string_view path)
      : transaction_(transaction), tables_(tables), path_(path) {}

  // Reads the three numbers below. REQUIRES: called first, and OK.
  absl::Status ReadState();

  absl::Status ForEachEntity(const std::function<bool(const Entity&)>& visit) const override;
  absl::Status ForEachEntityOf(EntityKind kind, absl::string_view after,
                               const std::function<bool(const Entity&)>& visit) const override;
  absl::Status ForEachEntityAtOnce(EntityKind kind, const EntitiesVisit& visit) const override;
  absl::StatusOr<absl::optional<Entity>> GetEntity(const EntityKey& key) const override;
  absl::Status ForEachSeen(const std::function<bool(const SeenEvent&)>& visit) const override;
  absl::Status ForEachSequence(const std::function<bool(const Sequence&)>& visit) const override;
  absl::Status ForEachAnnouncement(int64_t from_revision,
                                   const std::function<bool(const Announcement&)>& visit) const override;
  absl::Status ForEachLogged(int64_t from_revision,
                             const std::function<bool(const StampedEvent&)>& visit) const override;
  absl::Status ForEachFlagged(const std::function<void(Hash128, const FlagPiece&)>& visit) const override;
  size_t flagged() const override;
  int64_t revision() const override { return revision_; }
  absl::Time policy_time() const override { return policy_time_; }
  absl::Time fed_at() const override { return fed_at_; }

 private:
  // `visit` returns whether to go on, and sets `*damaged` where the record cannot be read.
  absl::Status Visit(MDB_dbi table, absl::string_view what, const std::string& from,
                     const std::function<bool(absl::string_view, absl::string_view, bool*)>& visit) const;

  MDB_txn* const transaction_;
  const Tables& tables_;
  const std::string path_;
  int64_t revision_ = 0;
  absl::Time policy_time_ = absl::UnixEpoch();
  absl::Time fed_at_ = absl::UnixEpoch();
};

}  // namespace sluice

#endif  // SLUICE_STORE_STORE_READER_H_
