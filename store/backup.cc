#include "store/backup.h"

#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "store/folder_files.h"
#include "store/folder_lock.h"
#include "store/page_check.h"
#include "store/store.h"
#include "store/store_reader.h"

namespace sluice {
namespace {

constexpr absl::string_view kFile = "data.mdb";
constexpr absl::string_view kPart = "data.mdb.part";
constexpr absl::string_view kReplaced = "data.mdb.replaced";
constexpr absl::string_view kReaders = "lock.mdb";
// A state can only be looked at while it is one of the last two; a busy node makes a new one each millisecond.
constexpr int kTries = 1000;

std::string In(absl::string_view folder, absl::string_view name) { return absl::StrCat(folder, "/", name); }

// A store opened for reading, and one state of it, whose pages were found to be in order.
class Snapshot {
 public:
  explicit Snapshot(std::string path) : path_(std::move(path)) {}
  ~Snapshot() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    if (environment_ != nullptr) mdb_env_close(environment_);
  }

  absl::Status Open() {
    struct stat info;
    if (stat(In(path_, kFile).c_str(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("store ", path_, ": looking for data.mdb"));
    }
    // LMDB would make it for itself, as root's where root asks.
    const int readers = MakeStoreFile(path_, kReaders);
    if (readers >= 0) close(readers);
    int error = mdb_env_create(&environment_);
    if (error == 0) error = mdb_env_set_maxdbs(environment_, 8);
    if (error == 0) error = mdb_env_open(environment_, path_.c_str(), MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (error != 0) return StoreError(error, path_, environment_, "opening data.mdb");
    mdb_filehandle_t file;
    if (mdb_env_get_fd(environment_, &file) != 0) return absl::InternalError("no descriptor of data.mdb");
    for (int tries = 0; tries < kTries; ++tries) {
      error = mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction_);
      if (error != 0) return StoreError(error, path_, environment_, "beginning to read");
      // Before LMDB follows any of them: a damaged page could end the process.
      absl::StatusOr<PageCounts> counts = CheckPages(file, mdb_txn_id(transaction_));
      if (counts.ok()) {
        counts_ = *counts;
        return OpenTables();
      }
      mdb_txn_abort(transaction_);
      transaction_ = nullptr;
      if (!absl::IsAborted(counts.status())) {
        return absl::Status(counts.status().code(),
                            absl::StrCat("store ", path_, " is damaged: ", counts.status().message(),
                                         "; restore the last backup (sluicectl store restore), or move it away and "
                                         "import the last export"));
      }
    }
    return absl::UnavailableError(absl::StrCat("store ", path_, ": it changes too fast to be looked at; try again"));
  }

  absl::StatusOr<StoreReport> Read() const {
    LmdbReader reader(transaction_, tables_, path_);
    if (absl::Status status = reader.ReadState(); !status.ok()) return status;
    StoreReport report;
    report.revision = reader.revision();
    report.policy_time = reader.policy_time();
    report.bytes_used = counts_.used * counts_.page_bytes;
    report.bytes_free = counts_.free * counts_.page_bytes;
    absl::Status beyond;
    const auto known = [&](absl::string_view what, int64_t revision) {
      if (revision >= 0 && revision <= report.revision) return true;
      beyond = absl::DataLossError(absl::StrCat("store ", path_, " is damaged: ", what, " of revision ", revision,
                                                ", the last one is ", report.revision));
      return false;
    };
    absl::Status status = reader.ForEachEntity([&](const Entity& entity) {
      ++report.entities;
      for (const StampedEvent& event : entity.events) {
        ++report.events;
        if (!known("an entity with an event", event.revision)) return false;
      }
      return true;
    });
    if (status.ok() && beyond.ok()) {
      status = reader.ForEachLogged(0, [&](const StampedEvent& event) {
        ++report.logged;
        return known("a logged event", event.revision);
      });
    }
    if (status.ok() && beyond.ok()) {
      status = reader.ForEachAnnouncement(0, [&](const Announcement& announcement) {
        ++report.announcements;
        return known("an announcement", announcement.revision);
      });
    }
    if (status.ok() && beyond.ok()) {
      status = reader.ForEachSeen([&](const StoreReader::SeenEvent& seen) {
        ++report.event_ids;
        return known("an event id", seen.revision);
      });
    }
    if (status.ok() && beyond.ok()) status = reader.ForEachSequence([](const StoreReader::Sequence&) { return true; });
    if (!status.ok()) return status;
    if (!beyond.ok()) return beyond;
    return report;
  }

  // To a file that it makes in `folder`, as kPart: on disk when this returns.
  absl::Status CopyTo(const std::string& folder) const {
    const int to = MakeStoreFile(folder, kPart);
    if (to < 0) return absl::ErrnoToStatus(errno, absl::StrCat("making ", In(folder, kPart)));
    // A transaction of its own: at least as new as the one that was checked. Leaves free pages out.
    int error = mdb_env_copyfd2(environment_, to, MDB_CP_COMPACT);
    if (error == 0 && fsync(to) != 0) error = errno;
    close(to);
    return StoreError(error, path_, environment_, absl::StrCat("copying to ", In(folder, kPart)));
  }

 private:
  absl::Status OpenTables() {
    uint64_t format = 0;
    int error = mdb_dbi_open(transaction_, "meta", 0, &tables_.meta);
    if (error == 0) error = ReadMeta(LmdbTable(transaction_, tables_.meta), kMetaFormat, &format);
    if (error == 0 && format > static_cast<uint64_t>(kStoreFormat)) {
      return absl::FailedPreconditionError(absl::StrCat("store ", path_, " was written by a newer version (format ",
                                                        format, ", this program knows ", kStoreFormat,
                                                        "); use that version"));
    }
    if (error == 0) error = OpenPolicyTables(transaction_, 0, &tables_);
    if (error == MDB_NOTFOUND || (error == 0 && format == 0)) {
      return absl::DataLossError(
          absl::StrCat("store ", path_, ": data.mdb is an LMDB environment, but no store of this program"));
    }
    return StoreError(error, path_, environment_, "opening its tables");
  }

  const std::string path_;
  MDB_env* environment_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  PageCounts counts_;
  Tables tables_;
};

}  // namespace

absl::StatusOr<StoreReport> CheckStore(const std::string& path) {
  Snapshot snapshot(path);
  if (absl::Status status = snapshot.Open(); !status.ok()) return status;
  return snapshot.Read();
}

absl::StatusOr<StoreReport> BackUpStore(const std::string& path, const std::string& folder) {
  {
    Snapshot snapshot(path);
    if (absl::Status status = snapshot.Open(); !status.ok()) return status;
    if (absl::Status status = MakeStoreFolder(folder); !status.ok()) return status;
    const std::string part = In(folder, kPart);
    absl::Status status = snapshot.CopyTo(folder);
    if (status.ok() && rename(part.c_str(), In(folder, kFile).c_str()) != 0) {
      status = absl::ErrnoToStatus(errno, absl::StrCat("naming ", In(folder, kFile)));
    }
    if (status.ok()) status = SyncStoreFolder(folder);
    if (!status.ok()) {
      unlink(part.c_str());
      rmdir(folder.c_str());
      return status;
    }
  }
  // What was written, not what was meant to be.
  return CheckStore(folder);
}

absl::StatusOr<StoreReport> RestoreStore(const std::string& folder, const std::string& path, bool replace) {
  Snapshot backup(folder);
  if (absl::Status status = backup.Open(); !status.ok()) return status;
  absl::StatusOr<StoreReport> report = backup.Read();
  if (!report.ok()) return report.status();
  if (absl::Status status = MakeStoreFolder(path); !status.ok() && !absl::IsAlreadyExists(status)) return status;
  FolderLock lock;
  if (absl::Status status = lock.Take(path); !status.ok()) return status;
  const std::string file = In(path, kFile);
  const bool there = access(file.c_str(), F_OK) == 0;
  if (there && !replace) {
    return absl::AlreadyExistsError(absl::StrCat("there is a store at ", path,
                                                 "; with --replace it makes room, and is kept as ", file, ".replaced"));
  }
  const std::string part = In(path, kPart);
  const std::string replaced = In(path, kReplaced);
  unlink(part.c_str());  // of a restore that was cut short
  const auto remove_part = absl::MakeCleanup([&part] { unlink(part.c_str()); });
  if (absl::Status status = backup.CopyTo(path); !status.ok()) return status;
  // A second name, not another one: at no moment is there no store, which a node that starts would take for a new one.
  if (there) {
    unlink(replaced.c_str());
    if (link(file.c_str(), replaced.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("keeping ", file, " as ", replaced));
    }
    if (absl::Status status = SyncStoreFolder(path); !status.ok()) return status;
  }
  if (rename(part.c_str(), file.c_str()) != 0) {
    const int error = errno;
    if (there) unlink(replaced.c_str());
    return absl::ErrnoToStatus(error, absl::StrCat("naming ", file));
  }
  // The readers of the file that was there: their table says nothing of this one.
  unlink(In(path, kReaders).c_str());
  if (absl::Status status = SyncStoreFolder(path); !status.ok()) return status;
  return report;
}

}  // namespace sluice
