// Lines of a file, in bounded memory.
#ifndef SLUICE_CLIENT_LINE_READER_H_
#define SLUICE_CLIENT_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

inline constexpr size_t kLineBytesMax = 64 * 1024;

// Reads lines from a file, or from standard input for "-", in bounded memory.
class LineReader {
 public:
  // NOT_FOUND, PERMISSION_DENIED: as the file system says. INVALID_ARGUMENT: a folder, or a compressed file (the
  // message says how to unpack it).
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(absl::string_view path);
  ~LineReader();

  // False at the end. `*line` has neither "\n" nor "\r\n" and holds until the next call. A line over
  // kLineBytesMax comes cut to that length plus one byte. DATA_LOSS where the file cannot be read on.
  absl::StatusOr<bool> Next(absl::string_view* line);

  int64_t bytes_read() const { return bytes_read_; }
  int64_t bytes_total() const { return bytes_total_; }  // 0 = unknown: a pipe

 private:
  LineReader(int fd, std::string path, int64_t bytes_total);
  absl::StatusOr<bool> Fill();

  const int fd_;
  const std::string path_;
  const int64_t bytes_total_;
  int64_t bytes_read_ = 0;
  std::string buffer_;
  std::string overlong_;  // the head of a line that is too long
  size_t begin_ = 0;      // of what is not yet handed out
  size_t end_ = 0;
  bool at_end_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_LINE_READER_H_
