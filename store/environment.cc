#include "store/environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "store/close_mark.h"
#include "store/flag_index.h"
#include "store/folder_files.h"
#include "store/lmdb_table.h"
#include "store/page_check.h"

namespace sluice {
namespace {

constexpr size_t kMapBytesMin = size_t{1} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<StoreEnvironment>> StoreEnvironment::Open(const Store::Options& options) {
  auto environment = std::unique_ptr<StoreEnvironment>(new StoreEnvironment(options));
  if (absl::Status status = environment->Start(); !status.ok()) return status;
  environment->opened_ = true;
  return environment;
}

StoreEnvironment::~StoreEnvironment() {
  if (environment_ == nullptr) return;
  mdb_env_close(environment_);
  if (opened_ && pages_known_) MarkClosed(options_.path);
}

absl::Status StoreEnvironment::Start() {
  if (options_.path.empty()) return absl::InvalidArgumentError("store.path: want a folder, got none");
  if (options_.map_bytes < kMapBytesMin) {
    return absl::InvalidArgumentError(absl::StrCat("store.map_bytes (--store-map-bytes): want at least ", kMapBytesMin,
                                                   ", got ", options_.map_bytes));
  }
  if (absl::Status status = MakeFolder(); !status.ok()) return status;
  if (absl::Status status = lock_.Take(options_.path); !status.ok()) return status;
  if (absl::Status status = OpenEnvironment(); !status.ok()) return status;
  if (absl::Status status = CheckWhole(); !status.ok()) return status;
  if (absl::Status status = CheckEveryPage(); !status.ok()) return status;
  return OpenTables();
}

absl::Status StoreEnvironment::MakeFolder() {
  if (mkdir(options_.path.c_str(), 0700) == 0) {
    if (options_.sync) SyncStoreFolder(absl::StrCat(options_.path, "/..")).IgnoreError();
    return absl::OkStatus();
  }
  if (errno != EEXIST) return StoreError(errno, options_.path, nullptr, "making its folder");
  struct stat info;
  if (stat(options_.path.c_str(), &info) != 0)
    return StoreError(errno, options_.path, nullptr, "looking at its folder");
  if (S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("store.path: want a folder, got a file: ", options_.path));
}

absl::Status StoreEnvironment::OpenEnvironment() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  int error = mdb_env_create(&environment_);
  if (error == 0) error = mdb_env_set_maxdbs(environment_, 16);
  if (error == 0) error = mdb_env_set_maxreaders(environment_, 1024);
  if (error == 0) error = mdb_env_set_mapsize(environment_, options_.map_bytes / page * page);
  // NOTLS: a snapshot may move between threads. NORDAHEAD: reads are scattered, and the store may be larger than
  // memory.
  const unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (options_.sync ? 0 : MDB_NOSYNC);
  if (error == 0) error = mdb_env_open(environment_, options_.path.c_str(), flags, 0600);
  return Error(error, "opening data.mdb");
}

// A copy that was cut short opens, and then kills its reader with SIGBUS at the first page that is not there.
absl::Status StoreEnvironment::CheckWhole() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment_, &info);
  mdb_env_stat(environment_, &stat);
  mdb_filehandle_t file;
  struct stat on_disk;
  if (mdb_env_get_fd(environment_, &file) != 0 || fstat(file, &on_disk) != 0) {
    return Error(errno, "looking at data.mdb");
  }
  const uint64_t wanted = info.me_last_pgno + 1;
  const uint64_t got = static_cast<uint64_t>(on_disk.st_size) / stat.ms_psize;
  if (!IsCutShort(wanted, got)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("store ", options_.path, ": data.mdb is cut short: wanted ",
                                          wanted * stat.ms_psize, " bytes, got ", on_disk.st_size,
                                          "; move it away and import the last export"));
}

absl::Status StoreEnvironment::CheckEveryPage() {
  mdb_filehandle_t file;
  pages_known_ = IsAsItWasClosed(options_.path);
  const bool due = options_.page_check == Store::PageCheck::kAlways ||
                   (options_.page_check == Store::PageCheck::kUnlessClosed && !pages_known_);
  if (!due || mdb_env_get_fd(environment_, &file) != 0) return absl::OkStatus();
  const absl::StatusOr<PageCounts> counts = CheckPages(file, absl::nullopt);
  pages_known_ = counts.ok();
  if (counts.ok()) return absl::OkStatus();
  return absl::Status(
      counts.status().code(),
      absl::StrCat("store ", options_.path, " is damaged: ", counts.status().message(),
                   "; restore the last backup (sluicectl store restore), or move it away and import the "
                   "last export"));
}

absl::Status StoreEnvironment::OpenTables() {
  // Read-only, so that a store opens on a full disk.
  MDB_txn* transaction;
  if (const int error = mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction); error != 0) {
    return Error(error, "beginning to read");
  }
  MDB_dbi main = 0;
  MDB_stat stat{};
  int error = mdb_dbi_open(transaction, nullptr, 0, &main);
  if (error == 0) error = mdb_stat(transaction, main, &stat);
  if (error == 0 && stat.ms_entries == 0) {
    mdb_txn_abort(transaction);
    return CreateTables();
  }
  uint64_t format = 0;
  bool flags_known = false;
  if (error == 0) error = mdb_dbi_open(transaction, "meta", 0, &tables_.meta);
  if (error == 0) error = ReadMeta(LmdbTable(transaction, tables_.meta), kMetaFormat, &format);
  if (error == 0 && format > static_cast<uint64_t>(kStoreFormat)) {
    mdb_txn_abort(transaction);
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", options_.path, " was written by a newer version (format ", format, ", this program knows ",
        kStoreFormat, "); run that version, or name another folder as store.path (--store-path)"));
  }
  if (error == 0 && format == 0) error = MDB_NOTFOUND;
  if (error == 0 && format >= 2) {
    absl::string_view secret;
    error = LmdbTable(transaction, tables_.meta).Get(kMetaSubjectSecret, &secret);
    if (error == 0) error = mdb_dbi_open(transaction, "flagged", 0, &tables_.flagged);
    flags_known = error == 0 && AdoptHashSecret(secret);
  }
  if (error == 0) error = OpenPolicyTables(transaction, 0, &tables_);
  if (error != 0) {
    mdb_txn_abort(transaction);
    if (error != MDB_NOTFOUND) return Error(error, "opening its tables");
    return absl::DataLossError(absl::StrCat("store ", options_.path,
                                            ": data.mdb is an LMDB environment, but no store of this program; name "
                                            "another folder as store.path (--store-path)"));
  }
  // Committing is what keeps the handles of the tables.
  absl::Status status = Error(mdb_txn_commit(transaction), "opening its tables");
  return status.ok() && !flags_known ? BringUpFlags() : status;
}

// Makes `flagged` anew from the entities: of a store of format 1, which has none, and in a process that hashes subjects
// under another secret already, having opened or made another store before.
absl::Status StoreEnvironment::BringUpFlags() {
  MDB_txn* transaction;
  if (const int error = mdb_txn_begin(environment_, nullptr, 0, &transaction); error != 0) {
    return Error(error, "beginning to write");
  }
  int error = mdb_dbi_open(transaction, "flagged", MDB_CREATE, &tables_.flagged);
  absl::Status status = Error(error, "making the index of flags");
  if (status.ok()) status = RebuildFlagged(transaction, tables_, options_.path, NewFlags::kMemoryBytes);
  LmdbTable meta(transaction, tables_.meta);
  if (error == 0) error = meta.Put(kMetaSubjectSecret, HashSecret());
  if (error == 0) error = meta.Put(kMetaFormat, BigEndian(kStoreFormat));
  if (status.ok()) status = Error(error, "bringing the index of flags up to date");
  if (!status.ok()) {
    mdb_txn_abort(transaction);
    return status;
  }
  return Error(mdb_txn_commit(transaction), "bringing the index of flags up to date");
}

absl::Status StoreEnvironment::CreateTables() {
  MDB_txn* transaction;
  if (const int error = mdb_txn_begin(environment_, nullptr, 0, &transaction); error != 0) {
    return Error(error, "beginning to write");
  }
  int error = mdb_dbi_open(transaction, "meta", MDB_CREATE, &tables_.meta);
  if (error == 0) error = OpenPolicyTables(transaction, MDB_CREATE, &tables_);
  if (error == 0) error = mdb_dbi_open(transaction, "flagged", MDB_CREATE, &tables_.flagged);
  if (error == 0) error = LmdbTable(transaction, tables_.meta).Put(kMetaFormat, BigEndian(kStoreFormat));
  if (error == 0) error = LmdbTable(transaction, tables_.meta).Put(kMetaSubjectSecret, HashSecret());
  if (error != 0) {
    mdb_txn_abort(transaction);
    return Error(error, "making its tables");
  }
  if (absl::Status status = Error(mdb_txn_commit(transaction), "making its tables"); !status.ok()) return status;
  if (options_.sync) SyncStoreFolder(options_.path).IgnoreError();
  return absl::OkStatus();
}

}  // namespace sluice
