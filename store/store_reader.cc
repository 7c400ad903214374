#include "store/store_reader.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "proto/translate.h"
#include "store/entity_crew.h"
#include "store/flag_index.h"

namespace sluice {

int OpenPolicyTables(MDB_txn* transaction, unsigned flags, Tables* tables) {
  const std::pair<const char*, MDB_dbi*> named[] = {{"entities", &tables->entities},
                                                    {"log", &tables->log},
                                                    {"seen", &tables->seen},
                                                    {"sequences", &tables->sequences},
                                                    {"announcements", &tables->announcements}};
  for (const auto& [name, table] : named) {
    if (const int error = mdb_dbi_open(transaction, name, flags, table); error != 0) return error;
  }
  return 0;
}

namespace {

// Splits what NameOf(first, second) joined.
bool SplitName(absl::string_view name, std::string* first, std::string* second) {
  if (name.size() < 8) return false;
  const uint64_t first_bytes = ReadBigEndian(name);
  name.remove_prefix(8);
  if (first_bytes > name.size()) return false;
  *first = std::string(name.substr(0, first_bytes));
  *second = std::string(name.substr(first_bytes));
  return true;
}

std::string NumberName(int64_t number) {
  std::string name;
  AppendBigEndian(static_cast<uint64_t>(number), &name);
  return name;
}

bool ReadEntity(absl::string_view name, absl::string_view value, v1::ExportChunk* scratch, Entity* entity) {
  if (name.empty()) return false;
  entity->key.kind = static_cast<EntityKind>(name[0]);
  entity->key.id = std::string(name.substr(1));
  return ParseEvents(value, scratch, &entity->events);
}

constexpr uint64_t kLittleBytes = uint64_t{1} << 20;

// Whether the file system of `path` has hardly any room left.
bool DiskIsFull(const std::string& path) {
  struct statvfs disk;
  return statvfs(path.c_str(), &disk) == 0 && uint64_t{disk.f_bavail} * disk.f_frsize < kLittleBytes;
}

// Whether a file is about as large as this process may make one.
bool AtFileLimit(const std::string& file) {
  struct rlimit limit;
  struct stat info;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && stat(file.c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.st_size) + kLittleBytes > limit.rlim_cur;
}

}  // namespace

std::string NameOf(const EntityKey& key) {
  std::string name(1, static_cast<char>(key.kind));
  return name.append(key.id);
}

std::string NameOf(absl::string_view first, absl::string_view second) {
  std::string name;
  AppendBigEndian(first.size(), &name);
  absl::StrAppend(&name, first, second);
  return name;
}

std::string Serialize(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string SerializeEvents(const Entity& entity, v1::ExportChunk* scratch) {
  scratch->Clear();
  for (const StampedEvent& event : entity.events) ToProto(event, scratch->add_events());
  return Serialize(*scratch);
}

bool ParseEvents(absl::string_view bytes, v1::ExportChunk* scratch, std::vector<StampedEvent>* events) {
  if (!scratch->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  events->clear();
  events->reserve(static_cast<size_t>(scratch->events_size()));
  for (const v1::PolicyEvent& event : scratch->events()) events->push_back(StampedFromProto(event));
  return true;
}

absl::Status StoreError(int error, absl::string_view path, MDB_env* environment, absl::string_view doing) {
  const std::string at = absl::StrCat("store ", path, ": ", doing, ": ");
  const auto with = [&](const auto&... rest) { return absl::StrCat(at, rest...); };
  switch (error) {
    case 0:
      return absl::OkStatus();
    case MDB_MAP_FULL: {
      MDB_envinfo info{};
      MDB_stat stat{};
      mdb_env_info(environment, &info);
      mdb_env_stat(environment, &stat);
      return absl::ResourceExhaustedError(absl::StrCat(
          "store ", path, " is full: ", (info.me_last_pgno + 1) * stat.ms_psize, " of ", info.me_mapsize,
          " bytes, and this change does not fit; raise store.map_bytes (--store-map-bytes) and start again. ",
          "Nothing of this change was kept, all before it is safe"));
    }
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
      return absl::DataLossError(
          with("data.mdb is no LMDB store of this kind (", mdb_strerror(error),
               "); move it away and import an export, or name another folder as store.path (--store-path)"));
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
      return absl::DataLossError(
          with("data.mdb is damaged (", mdb_strerror(error), "); move it away and import the last export"));
    case MDB_PANIC:
      return absl::UnavailableError(
          with("an earlier write to the disk failed half way; look at the disk, then start again"));
    case MDB_READERS_FULL:
      return absl::ResourceExhaustedError(with("too many snapshots are open at once"));
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          with("the disk is full (", std::strerror(error),
               "); make room and try again. Nothing of this change was kept, all before it is safe"));
    case EFBIG:
      return absl::ResourceExhaustedError(
          with("the file may not grow further (", std::strerror(error), "); raise the limit on file sizes"));
    case EIO:
      // LMDB reports a write that was taken in part, as it is the moment the disk fills up, as EIO.
      if (DiskIsFull(std::string(path))) return StoreError(ENOSPC, path, environment, doing);
      if (AtFileLimit(absl::StrCat(path, "/data.mdb"))) return StoreError(EFBIG, path, environment, doing);
      return absl::UnavailableError(
          with("reading or writing failed (", std::strerror(error), "); look at the disk and its quota"));
    case ENOMEM:
      return absl::ResourceExhaustedError(
          with("no memory or address space for the map; lower store.map_bytes (--store-map-bytes)"));
    case ENOENT:
      return absl::NotFoundError(with(std::strerror(error)));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(with(std::strerror(error), "; want a folder that this user may write to"));
    default:
      return absl::UnavailableError(with(mdb_strerror(error)));
  }
}

int ReadMeta(LmdbTable meta, absl::string_view name, uint64_t* number) {
  absl::string_view value;
  if (const int error = meta.Get(name, &value); error != 0) return error == MDB_NOTFOUND ? 0 : error;
  if (value.size() != 8) return MDB_CORRUPTED;
  *number = ReadBigEndian(value);
  return 0;
}

absl::Status LmdbReader::ReadState() {
  const LmdbTable meta(transaction_, tables_.meta);
  uint64_t revision = 0, policy_time = 0;
  int error = ReadMeta(meta, kMetaRevision, &revision);
  if (error == 0) error = ReadMeta(meta, kMetaPolicyTime, &policy_time);
  uint64_t fed_at = policy_time;
  if (error == 0) error = ReadMeta(meta, kMetaFedAt, &fed_at);
  if (error != 0) return StoreError(error, path_, nullptr, "reading its revision");
  revision_ = static_cast<int64_t>(revision);
  policy_time_ = absl::FromUnixNanos(static_cast<int64_t>(policy_time));
  fed_at_ = absl::FromUnixNanos(static_cast<int64_t>(fed_at));
  return absl::OkStatus();
}

absl::Status LmdbReader::Visit(MDB_dbi table, absl::string_view what, const std::string& from,
                               const std::function<bool(absl::string_view, absl::string_view, bool*)>& visit) const {
  bool damaged = false;
  std::string name_of_damaged;
  const int error = LmdbTable(transaction_, table).ForEach(from, [&](absl::string_view name, absl::string_view value) {
    const bool more = visit(name, value, &damaged);
    if (damaged) name_of_damaged = absl::CHexEscape(name.substr(0, 64));
    return more && !damaged;
  });
  if (damaged) return StoreError(MDB_CORRUPTED, path_, nullptr, absl::StrCat("reading ", what, " ", name_of_damaged));
  return StoreError(error, path_, nullptr, absl::StrCat("reading ", what));
}

absl::Status LmdbReader::ForEachEntity(const std::function<bool(const Entity&)>& visit) const {
  v1::ExportChunk scratch;
  Entity entity;
  return Visit(tables_.entities, "entities", "", [&](absl::string_view name, absl::string_view value, bool* damaged) {
    if (!ReadEntity(name, value, &scratch, &entity)) return !(*damaged = true);
    return visit(entity);
  });
}

absl::Status LmdbReader::ForEachEntityOf(EntityKind kind, absl::string_view after,
                                         const std::function<bool(const Entity&)>& visit) const {
  const std::string from = NameOf(EntityKey{kind, std::string(after)});
  v1::ExportChunk scratch;
  Entity entity;
  return Visit(tables_.entities, "entities", from, [&](absl::string_view name, absl::string_view value, bool* damaged) {
    if (name[0] != static_cast<char>(kind)) return false;
    if (!after.empty() && name == from) return true;
    if (!ReadEntity(name, value, &scratch, &entity)) return !(*damaged = true);
    return visit(entity);
  });
}

absl::Status LmdbReader::ForEachEntityAtOnce(EntityKind kind, const EntitiesVisit& visit) const {
  const std::string from = NameOf(EntityKey{kind, ""});
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  EntityCrew crew(static_cast<int>(threads), [&visit] {
    auto scratch = std::make_shared<v1::ExportChunk>();
    auto entities = std::make_shared<std::vector<Entity>>(EntityCrew::kShare);
    return [&visit, scratch, entities](absl::Span<const EntityCrew::Record> records) -> const EntityCrew::Record* {
      size_t read = 0;
      for (const auto& [name, value] : records) {
        if (!ReadEntity(name, value, scratch.get(), &(*entities)[read])) return &records[read];
        ++read;
      }
      visit(absl::MakeConstSpan(*entities).first(read));
      return nullptr;
    };
  });
  absl::Status status =
      Visit(tables_.entities, "entities", from, [&](absl::string_view name, absl::string_view value, bool*) {
        return name[0] == static_cast<char>(kind) && crew.Add({name, value});
      });
  const std::string damaged = crew.Finish();
  if (status.ok() && !damaged.empty()) {
    status = StoreError(MDB_CORRUPTED, path_, nullptr,
                        absl::StrCat("reading entities ", absl::CHexEscape(damaged.substr(0, 64))));
  }
  return status;
}

absl::StatusOr<absl::optional<Entity>> LmdbReader::GetEntity(const EntityKey& key) const {
  absl::string_view value;
  int error = LmdbTable(transaction_, tables_.entities).Get(NameOf(key), &value);
  if (error == MDB_NOTFOUND) return absl::optional<Entity>();
  Entity entity{key, {}};
  v1::ExportChunk scratch;
  if (error == 0 && !ParseEvents(value, &scratch, &entity.events)) error = MDB_CORRUPTED;
  if (error != 0) {
    return StoreError(error, path_, nullptr, absl::StrCat("reading entity ", absl::CHexEscape(key.id)));
  }
  return absl::optional<Entity>(std::move(entity));
}

absl::Status LmdbReader::ForEachSeen(const std::function<bool(const SeenEvent&)>& visit) const {
  return Visit(tables_.seen, "event ids", "", [&](absl::string_view name, absl::string_view value, bool* damaged) {
    SeenEvent seen;
    if (!SplitName(name, &seen.source, &seen.event_id) || value.size() != 8) return !(*damaged = true);
    seen.revision = static_cast<int64_t>(ReadBigEndian(value));
    return visit(seen);
  });
}

absl::Status LmdbReader::ForEachSequence(const std::function<bool(const Sequence&)>& visit) const {
  return Visit(tables_.sequences, "sequences", "", [&](absl::string_view name, absl::string_view value, bool* damaged) {
    Sequence sequence;
    if (!SplitName(name, &sequence.account, &sequence.source) || value.size() != 8) return !(*damaged = true);
    sequence.sequence = static_cast<int64_t>(ReadBigEndian(value));
    return visit(sequence);
  });
}

absl::Status LmdbReader::ForEachAnnouncement(int64_t from_revision,
                                             const std::function<bool(const Announcement&)>& visit) const {
  return Visit(tables_.announcements, "announcements", NumberName(std::max<int64_t>(from_revision, 0)),
               [&](absl::string_view, absl::string_view value, bool* damaged) {
                 v1::Announcement message;
                 if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) return !(*damaged = true);
                 return visit(FromProto(message));
               });
}

absl::Status LmdbReader::ForEachLogged(int64_t from_revision,
                                       const std::function<bool(const StampedEvent&)>& visit) const {
  return Visit(tables_.log, "the event log", NumberName(std::max<int64_t>(from_revision, 0)),
               [&](absl::string_view, absl::string_view value, bool* damaged) {
                 v1::PolicyEvent message;
                 if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) return !(*damaged = true);
                 return visit(StampedFromProto(message));
               });
}

absl::Status LmdbReader::ForEachFlagged(const std::function<void(Hash128, const FlagPiece&)>& visit) const {
  return Visit(tables_.flagged, "flags", "", [&](absl::string_view name, absl::string_view value, bool* damaged) {
    if (name.size() != 16) return !(*damaged = true);
    const Hash128 subject = FlaggedSubject(name);
    *damaged = !VisitFlagPieces(value, [&](const FlagPiece& piece) { visit(subject, piece); });
    return !*damaged;
  });
}

size_t LmdbReader::flagged() const {
  MDB_stat stat{};
  return mdb_stat(transaction_, tables_.flagged, &stat) == 0 ? stat.ms_entries : 0;
}

absl::Status RebuildFlagged(MDB_txn* transaction, const Tables& tables, absl::string_view path, size_t memory_bytes) {
  int error = mdb_drop(transaction, tables.flagged, 0);
  if (error != 0) return StoreError(error, path, nullptr, "emptying the index of flags");
  NewFlags flags(path, memory_bytes);
  absl::Status status =
      LmdbReader(transaction, tables, path).ForEachEntityOf(EntityKind::kFlag, "", [&](const Entity& flag) {
        error = flags.Add(flag);
        return error == 0;
      });
  if (!status.ok()) return status;
  if (error == 0) error = flags.Write(LmdbTable(transaction, tables.flagged));
  return StoreError(error, path, nullptr, "writing the index of flags");
}

}  // namespace sluice
