// Names of any length over LMDB, whose keys are at most 511 bytes. Internal to store/.
//
// A name of up to 510 bytes is its own key. A longer one is kept under its first 495 bytes and an XXH3-128 of the
// whole: 511 bytes, a length that no short name has, so that no short name can stand in a long one's place. The value
// under such a key lists (name, value) for every name that hashes to it, in order: a collision, which anybody could
// build since the hash has no secret, costs a few bytes and mixes nothing up.
#ifndef SLUICE_STORE_LMDB_TABLE_H_
#define SLUICE_STORE_LMDB_TABLE_H_

#include <lmdb.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

inline constexpr size_t kKeyBytes = 511;  // mdb_env_get_maxkeysize() of every packaged LMDB

// Big-endian, so that bytes sort as numbers do. REQUIRES of the reader: eight bytes.
void AppendBigEndian(uint64_t number, std::string* out);
std::string BigEndian(uint64_t number);
uint64_t ReadBigEndian(absl::string_view bytes);

// The key under which `name` is kept.
std::string KeyOfName(absl::string_view name);

// How many pages of the environment are free to be used again.
size_t FreePages(MDB_txn* transaction);

// One table as a transaction sees it. Borrows both handles. Results are LMDB's error codes, 0 for success.
class LmdbTable {
 public:
  LmdbTable(MDB_txn* transaction, MDB_dbi table) : transaction_(transaction), table_(table) {}

  // MDB_NOTFOUND where there is none. `*value` views the map, until the transaction writes or ends.
  int Get(absl::string_view name, absl::string_view* value) const;
  int Put(absl::string_view name, absl::string_view value);
  // Success where there is none.
  int Delete(absl::string_view name);
  // For names that only grow, none of them long: fills pages to the brim. MDB_KEYEXIST where `name` is not the last.
  int Append(absl::string_view name, absl::string_view value);
  // The last name of the table; MDB_NOTFOUND where it is empty.
  int Last(absl::string_view* name) const;

  // Every (name, value) from the place of `from` on, in order of the keys, until `visit` returns false. Names below
  // `from` that share its key are passed over. MDB_CORRUPTED where a value cannot be read.
  int ForEach(absl::string_view from, const std::function<bool(absl::string_view, absl::string_view)>& visit) const;

 private:
  int GetKey(absl::string_view key, absl::string_view* value) const;
  int PutKey(absl::string_view key, absl::string_view value, unsigned flags);
  int DeleteKey(absl::string_view key);

  MDB_txn* const transaction_;
  const MDB_dbi table_;
};

}  // namespace sluice

#endif  // SLUICE_STORE_LMDB_TABLE_H_
