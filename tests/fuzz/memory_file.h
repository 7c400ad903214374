// A file that is in memory alone, for readers that want a path or a descriptor.
#ifndef SLUICE_TESTS_FUZZ_MEMORY_FILE_H_
#define SLUICE_TESTS_FUZZ_MEMORY_FILE_H_

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || pwrite(fd_, data, size, 0) != static_cast<ssize_t>(size)) abort();
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_MEMORY_FILE_H_
