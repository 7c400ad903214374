#include "store/lmdb_table.h"

#include <xxhash.h>

#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr size_t kDigestBytes = 16;

MDB_val ToVal(absl::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
absl::string_view FromVal(const MDB_val& val) { return {static_cast<const char*>(val.mv_data), val.mv_size}; }

// The values of the names that share one long key.
using Shared = std::map<absl::string_view, absl::string_view>;

bool ReadShared(absl::string_view bytes, Shared* shared) {
  while (!bytes.empty()) {
    if (bytes.size() < 16) return false;
    const uint64_t name_bytes = ReadBigEndian(bytes.substr(0, 8));
    const uint64_t value_bytes = ReadBigEndian(bytes.substr(8, 8));
    bytes.remove_prefix(16);
    if (name_bytes > bytes.size() || value_bytes > bytes.size() - name_bytes) return false;
    (*shared)[bytes.substr(0, name_bytes)] = bytes.substr(name_bytes, value_bytes);
    bytes.remove_prefix(name_bytes + value_bytes);
  }
  return !shared->empty();
}

std::string WriteShared(const Shared& shared) {
  std::string bytes;
  for (const auto& [name, value] : shared) {
    AppendBigEndian(name.size(), &bytes);
    AppendBigEndian(value.size(), &bytes);
    absl::StrAppend(&bytes, name, value);
  }
  return bytes;
}

}  // namespace

void AppendBigEndian(uint64_t number, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(number >> shift));
}

std::string BigEndian(uint64_t number) {
  std::string bytes;
  AppendBigEndian(number, &bytes);
  return bytes;
}

uint64_t ReadBigEndian(absl::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

std::string KeyOfName(absl::string_view name) {
  if (name.size() < kKeyBytes) return std::string(name);
  std::string key(name.substr(0, kKeyBytes - kDigestBytes));
  const XXH128_hash_t digest = XXH3_128bits(name.data(), name.size());
  AppendBigEndian(digest.high64, &key);
  AppendBigEndian(digest.low64, &key);
  return key;
}

size_t FreePages(MDB_txn* transaction) {
  // Table 0 lists them: each value begins with how many it names.
  size_t free_pages = 0;
  MDB_cursor* cursor;
  if (mdb_cursor_open(transaction, 0, &cursor) != 0) return 0;
  MDB_val key, value;
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
    size_t count = 0;
    std::memcpy(&count, value.mv_data, sizeof(count));
    free_pages += count;
  }
  mdb_cursor_close(cursor);
  return free_pages;
}

int LmdbTable::GetKey(absl::string_view key, absl::string_view* value) const {
  MDB_val mdb_key = ToVal(key), mdb_value;
  const int error = mdb_get(transaction_, table_, &mdb_key, &mdb_value);
  if (error == 0) *value = FromVal(mdb_value);
  return error;
}

int LmdbTable::PutKey(absl::string_view key, absl::string_view value, unsigned flags) {
  MDB_val mdb_key = ToVal(key), mdb_value = ToVal(value);
  return mdb_put(transaction_, table_, &mdb_key, &mdb_value, flags);
}

int LmdbTable::DeleteKey(absl::string_view key) {
  MDB_val mdb_key = ToVal(key);
  const int error = mdb_del(transaction_, table_, &mdb_key, nullptr);
  return error == MDB_NOTFOUND ? 0 : error;
}

int LmdbTable::Get(absl::string_view name, absl::string_view* value) const {
  const std::string key = KeyOfName(name);
  if (const int error = GetKey(key, value); error != 0 || key.size() < kKeyBytes) return error;
  Shared shared;
  if (!ReadShared(*value, &shared)) return MDB_CORRUPTED;
  const auto it = shared.find(name);
  if (it == shared.end()) return MDB_NOTFOUND;
  *value = it->second;
  return 0;
}

int LmdbTable::Put(absl::string_view name, absl::string_view value) {
  const std::string key = KeyOfName(name);
  if (key.size() < kKeyBytes) return PutKey(key, value, 0);
  Shared shared;
  absl::string_view kept;
  if (const int error = GetKey(key, &kept); error == 0) {
    if (!ReadShared(kept, &shared)) return MDB_CORRUPTED;
  } else if (error != MDB_NOTFOUND) {
    return error;
  }
  shared[name] = value;
  return PutKey(key, WriteShared(shared), 0);
}

int LmdbTable::Delete(absl::string_view name) {
  const std::string key = KeyOfName(name);
  if (key.size() < kKeyBytes) return DeleteKey(key);
  absl::string_view kept;
  if (const int error = GetKey(key, &kept); error != 0) return error == MDB_NOTFOUND ? 0 : error;
  Shared shared;
  if (!ReadShared(kept, &shared)) return MDB_CORRUPTED;
  if (shared.erase(name) == 0) return 0;
  return shared.empty() ? DeleteKey(key) : PutKey(key, WriteShared(shared), 0);
}

int LmdbTable::Append(absl::string_view name, absl::string_view value) { return PutKey(name, value, MDB_APPEND); }

int LmdbTable::Last(absl::string_view* name) const {
  MDB_cursor* cursor;
  if (const int error = mdb_cursor_open(transaction_, table_, &cursor); error != 0) return error;
  MDB_val key, value;
  const int error = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
  mdb_cursor_close(cursor);
  if (error == 0) *name = FromVal(key);
  return error;
}

int LmdbTable::ForEach(absl::string_view from,
                       const std::function<bool(absl::string_view, absl::string_view)>& visit) const {
  MDB_cursor* cursor;
  if (const int error = mdb_cursor_open(transaction_, table_, &cursor); error != 0) return error;
  const std::string start = KeyOfName(from);
  MDB_val key = ToVal(start), value;
  // LMDB refuses to look for an empty key.
  int error = mdb_cursor_get(cursor, &key, &value, start.empty() ? MDB_FIRST : MDB_SET_RANGE);
  bool more = true;
  while (more && error == 0) {
    if (key.mv_size < kKeyBytes) {
      more = visit(FromVal(key), FromVal(value));
    } else {
      Shared shared;
      if (!ReadShared(FromVal(value), &shared)) {
        error = MDB_CORRUPTED;
        break;
      }
      const bool at_start = FromVal(key) == start;
      for (const auto& [name, of_name] : shared) {
        if (at_start && name < from) continue;
        if (!(more = visit(name, of_name))) break;
      }
    }
    if (more) error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  }
  mdb_cursor_close(cursor);
  return error == MDB_NOTFOUND ? 0 : error;
}

}  // namespace sluice
