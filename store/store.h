// What is true, on disk: LMDB, one environment a node.
//
// Tables: `entities` (kind, id -> retained events), `log` (revision -> accepted event), `seen` (source, event id),
// `sequences` (account, source), `announcements` (revision, ordinal), `flagged` (hash of a subject -> its flags;
// flag_index.h), `meta` (format, revision, policy time, time of the last feed, subject secret). Copy-on-write: a crash
// at any moment leaves the last committed state, and opening needs no recovery. One process has a store at a time;
// `lock.sluice` in its folder says which. Source: docs/decisions/2026-11-24-store-layout.md
#ifndef SLUICE_STORE_STORE_H_
#define SLUICE_STORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "enforcement/event.h"
#include "enforcement/flag_reader.h"
#include "enforcement/reducer.h"

namespace sluice {

// The store's own version: one that is newer than this refuses to open, an older one is brought up to it.
inline constexpr int64_t kStoreFormat = 2;

// One committed state. Thread-safe where it is a Store; a snapshot is for one thread at a time.
class StoreReader {
 public:
  // An id that was accepted, and the source that gave it.
  struct SeenEvent {
    std::string source, event_id;
    int64_t revision = 0;
  };
  // The highest sequence accepted of an account from a source.
  struct Sequence {
    std::string account, source;
    int64_t sequence = 0;
  };

  virtual ~StoreReader() = default;

  // Each stops early where `visit` returns false; DATA_LOSS where a record cannot be read. The order is that of the
  // keys: the same for the same content. A visit may read the store, but neither write nor close it.
  //
  // By kind, then by id; ids that agree in their first 494 bytes come in the order of a hash.
  virtual absl::Status ForEachEntity(const std::function<bool(const Entity&)>& visit) const = 0;
  // From `after` (exclusive; "" = from the start) on, of one kind; pages of List. `after` need not exist any more.
  virtual absl::Status ForEachEntityOf(EntityKind kind, absl::string_view after,
                                       const std::function<bool(const Entity&)>& visit) const = 0;
  // All of one kind, in no order: `visit` is called by several threads at once, with a few at a time.
  using EntitiesVisit = std::function<void(absl::Span<const Entity>)>;
  virtual absl::Status ForEachEntityAtOnce(EntityKind kind, const EntitiesVisit& visit) const = 0;
  virtual absl::StatusOr<absl::optional<Entity>> GetEntity(const EntityKey& key) const = 0;
  virtual absl::Status ForEachSeen(const std::function<bool(const SeenEvent&)>& visit) const = 0;
  virtual absl::Status ForEachSequence(const std::function<bool(const Sequence&)>& visit) const = 0;
  // In order of revision, those of one revision in the order in which they were made.
  virtual absl::Status ForEachAnnouncement(int64_t from_revision,
                                           const std::function<bool(const Announcement&)>& visit) const = 0;
  virtual absl::Status ForEachLogged(int64_t from_revision,
                                     const std::function<bool(const StampedEvent&)>& visit) const = 0;

  // Every piece of every flag, by the SubjectHash of what it is on, in the order of the hash's low half; and how many
  // subjects are flagged.
  virtual absl::Status ForEachFlagged(const std::function<void(Hash128, const FlagPiece&)>& visit) const = 0;
  virtual size_t flagged() const = 0;

  virtual int64_t revision() const = 0;        // 0 = nothing was ever applied
  virtual absl::Time policy_time() const = 0;  // the Unix epoch where nothing was ever applied
  // Policy time at which something from outside of the node was last applied: what time alone brought about, what was
  // rejected and the node's own sandboxes move policy_time, not this. The Unix epoch where nothing was. Of a store to
  // which no version that keeps it has written yet, policy_time.
  virtual absl::Time fed_at() const = 0;
};

class Store : public StoreReader {
 public:
  // When Open looks at every page of the last state before it is used: a damaged one is then an error, and not the end
  // of the process. Reads the whole store once.
  enum class PageCheck {
    kNever,
    kUnlessClosed,  // not where the last process closed the store in good order and data.mdb is untouched since
    kAlways,
  };
  struct Options {
    std::string path;  // a folder; created (0700) where it is missing, its parent not
    size_t map_bytes =
        size_t{16} << 30;  // the most that the store can grow to; address space, not memory. At least 1 MiB
    bool sync = true;      // false: a power cut may lose events (tests and simulations only)
    PageCheck page_check = PageCheck::kUnlessClosed;
  };

  // A write transaction. Sees its own changes. For one thread; one at a time in a store. Destroyed without Commit it
  // leaves nothing behind. The first error of any call, a read among them, is kept and returned by Commit.
  class Transaction : public EntitySource {
   public:
    ~Transaction() override = default;
    virtual absl::Status Put(const Entity& entity) = 0;  // without events: removes it
    // As Put, of an entity that is not there: cheap in the order of ForEachEntity, as an import has it. ALREADY_EXISTS,
    // and nothing changed, where it is there. The index of its flags is written with Commit; of more than a million or
    // so it lies in a file in the store's folder until then.
    virtual absl::Status PutNew(const Entity& entity) = 0;
    // REQUIRES: a revision above all in the log.
    virtual absl::Status AppendLog(const StampedEvent& event) = 0;
    // REQUIRES: a revision not below the last announcement's.
    virtual absl::Status AppendAnnouncement(const Announcement& announcement) = 0;
    virtual absl::Status MarkSeen(const SeenEvent& seen) = 0;
    virtual absl::Status SetSequence(const Sequence& sequence) = 0;
    // Highest revision and policy time so far, and StoreReader::fed_at. Kept to the nanosecond.
    virtual absl::Status SetRevision(int64_t revision, absl::Time policy_time, absl::Time fed_at) = 0;
    // Durable when it returns OK. Otherwise nothing of the transaction happened: RESOURCE_EXHAUSTED where the map or
    // the disk is full, UNAVAILABLE for other I/O errors; the message says what to do. Ends the transaction either way.
    virtual absl::Status Commit() = 0;
  };

  // FAILED_PRECONDITION: another process has the store, or it is of a newer format. NOT_FOUND, PERMISSION_DENIED,
  // RESOURCE_EXHAUSTED: as the file system says, with the path. DATA_LOSS: not a store, or damaged. INVALID_ARGUMENT:
  // `options` ask for what cannot be.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const Options& options);

  // Blocks nobody who reads. FAILED_PRECONDITION where another transaction is open.
  virtual absl::StatusOr<std::unique_ptr<Transaction>> Begin() = 0;

  // The last committed state, and that alone, for as long as the snapshot lives. Keeps the space of what later commits
  // replace from being used again, so let it go soon. The store must outlive it.
  virtual absl::StatusOr<std::unique_ptr<StoreReader>> Snapshot() const = 0;

  // The flags as last committed, for checks. Lives as long as the store.
  virtual const FlagReader& flag_reader() const = 0;

  // Bytes of the map in use, free pages not counted, and its bound. Reads the list of free pages: cheap, not free.
  virtual size_t used_bytes() const = 0;
  virtual size_t map_bytes() const = 0;
};

}  // namespace sluice

#endif  // SLUICE_STORE_STORE_H_
