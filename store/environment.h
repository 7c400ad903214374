// The LMDB environment of a store: its folder, its lock, its tables, looked at before anybody reads them. Internal to
// store/.
#ifndef SLUICE_STORE_ENVIRONMENT_H_
#define SLUICE_STORE_ENVIRONMENT_H_

#include <lmdb.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/folder_lock.h"
#include "store/store.h"
#include "store/store_reader.h"

namespace sluice {

class StoreEnvironment {
 public:
  // Makes folder and tables where there are none, brings those of an older format up. Errors: those of Store::Open.
  static absl::StatusOr<std::unique_ptr<StoreEnvironment>> Open(const Store::Options& options);
  // Closes it and says so in its folder. REQUIRES: no transaction is open.
  ~StoreEnvironment();
  StoreEnvironment(const StoreEnvironment&) = delete;
  StoreEnvironment& operator=(const StoreEnvironment&) = delete;

  MDB_env* get() const { return environment_; }
  const Tables& tables() const { return tables_; }
  // What an error of LMDB means, with what was being done; OK for 0.
  absl::Status Error(int error, absl::string_view doing) const {
    return StoreError(error, options_.path, environment_, doing);
  }

 private:
  explicit StoreEnvironment(const Store::Options& options) : options_(options) {}
  absl::Status Start();
  absl::Status MakeFolder();
  absl::Status OpenEnvironment();
  absl::Status CheckWhole() const;
  absl::Status CheckEveryPage();
  absl::Status OpenTables();
  absl::Status CreateTables();
  absl::Status BringUpFlags();

  const Store::Options options_;
  FolderLock lock_;
  MDB_env* environment_ = nullptr;
  Tables tables_;
  bool opened_ = false;
  bool pages_known_ = false;  // each was looked at, now or before the last end that was in good order
};

}  // namespace sluice

#endif  // SLUICE_STORE_ENVIRONMENT_H_
