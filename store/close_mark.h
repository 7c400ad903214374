// What tells a start that a store is as the last process left it, so that not every page has to be looked at again: the
// file `closed.sluice` in its folder, written when the store is closed in good order. Internal to store/.
#ifndef SLUICE_STORE_CLOSE_MARK_H_
#define SLUICE_STORE_CLOSE_MARK_H_

#include <string>

namespace sluice {

// Whether data.mdb in `folder` is the file that MarkClosed saw there: by device, inode, size, time of its last change,
// and the boot of the machine. A process that was killed, another program, a copy and a machine that went down each
// make it another. A disk that turns a bit by itself does not. Blocks on the disk.
bool IsAsItWasClosed(const std::string& folder);

// After the last write. Where it cannot be written the next start looks at every page, and nothing else is lost.
void MarkClosed(const std::string& folder);

}  // namespace sluice

#endif  // SLUICE_STORE_CLOSE_MARK_H_
