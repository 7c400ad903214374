// Whether a file is still the one that was read.
#ifndef SLUICE_SERVER_FILE_STAMP_H_
#define SLUICE_SERVER_FILE_STAMP_H_

#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {

// Changes with every write and every replacement. ctime too: a copy can carry its mtime with it.
inline std::string FileStamp(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "none";
  return absl::StrCat(info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec, ":", info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
}

}  // namespace sluice

#endif  // SLUICE_SERVER_FILE_STAMP_H_
