// What is made in a folder of a store: by whoever runs the node, or by root beside it. Internal to store/.
//
// A node runs as a user of its own, and root looks after its store. What root made would be root's, with 0600, and the
// node could not open it; so root gives what it makes to the owner and group of the folder that it is made in.
#ifndef SLUICE_STORE_FOLDER_FILES_H_
#define SLUICE_STORE_FOLDER_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Makes the file `name`, 0600, in `folder`. Returns its descriptor to read and write by, which the caller closes; -1
// with errno where it could not be made, EEXIST where something has that name. A symbolic link is never followed: the
// folder may be another user's.
int MakeStoreFile(const std::string& folder, absl::string_view name);

// Makes the folder at `path`, 0700, and its name durable as far as who makes it may. ALREADY_EXISTS where there is
// something; errors name `path`.
absl::Status MakeStoreFolder(const std::string& path);

// Makes durable which names are in `folder`. LMDB syncs its file, not the folder that names it.
absl::Status SyncStoreFolder(const std::string& folder);

}  // namespace sluice

#endif  // SLUICE_STORE_FOLDER_FILES_H_
