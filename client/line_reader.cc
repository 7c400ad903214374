#include "client/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
static_assert(kBufferBytes > 2 * kLineBytesMax);

}  // namespace

LineReader::LineReader(int fd, std::string path, int64_t bytes_total)
    : fd_(fd), path_(std::move(path)), bytes_total_(bytes_total), buffer_(kBufferBytes, '\0') {}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) close(fd_);
}

absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(absl::string_view path) {
  const std::string name(path);
  const int fd = name == "-" ? STDIN_FILENO : open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read access log ", name));
  struct stat status = {};
  const bool known = fstat(fd, &status) == 0;
  const int64_t total = known && S_ISREG(status.st_mode) ? status.st_size : 0;
  auto reader = std::unique_ptr<LineReader>(new LineReader(fd, name == "-" ? "standard input" : name, total));
  if (known && S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is a folder; wanted an access log"));
  }
  if (auto filled = reader->Fill(); !filled.ok()) return filled.status();
  const absl::string_view head(reader->buffer_.data(), reader->end_);
  if (absl::StartsWith(head, "\x1f\x8b") || absl::StartsWith(head, "BZh") ||
      absl::StartsWith(head, "\x28\xb5\x2f\xfd")) {
    return absl::InvalidArgumentError(absl::StrCat(reader->path_, " is compressed; unpack it on the way: zcat ",
                                                   name == "-" ? "FILE" : name, " | sluicectl replay -"));
  }
  if (absl::StartsWith(head, "\xef\xbb\xbf")) reader->begin_ = 3;  // a byte order mark
  return reader;
}

absl::StatusOr<bool> LineReader::Fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  ssize_t got;
  do {
    got = read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return absl::DataLossError(absl::StrCat("cannot read on in ", path_, ": ", std::strerror(errno)));
  end_ += static_cast<size_t>(got);
  bytes_read_ += got;
  at_end_ = got == 0;
  return got > 0;
}

absl::StatusOr<bool> LineReader::Next(absl::string_view* line) {
  size_t searched = 0;
  for (;;) {
    const absl::string_view rest(buffer_.data() + begin_, end_ - begin_);
    const void* found =
        rest.size() > searched ? std::memchr(rest.data() + searched, '\n', rest.size() - searched) : nullptr;
    if (found != nullptr) {
      const size_t length = static_cast<size_t>(static_cast<const char*>(found) - rest.data());
      *line = rest.substr(0, length);
      begin_ += length + 1;
      break;
    }
    if (at_end_) {
      if (rest.empty()) return false;
      *line = rest;  // the last line, without an end
      begin_ = end_;
      break;
    }
    searched = rest.size();
    if (rest.size() > kLineBytesMax) {
      // Longer than any line may be: hand out its head and drop the rest up to the next line end.
      std::string head(rest.substr(0, kLineBytesMax + 1));
      for (;;) {
        const void* next = std::memchr(buffer_.data() + begin_, '\n', end_ - begin_);
        if (next != nullptr) {
          begin_ = static_cast<size_t>(static_cast<const char*>(next) - buffer_.data()) + 1;
          break;
        }
        begin_ = end_;
        auto filled = Fill();
        if (!filled.ok()) return filled.status();
        if (!*filled) break;
      }
      overlong_ = std::move(head);
      *line = overlong_;
      return true;
    }
    auto filled = Fill();
    if (!filled.ok()) return filled.status();
  }
  if (line->size() > kLineBytesMax) *line = line->substr(0, kLineBytesMax + 1);
  if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
  return true;
}

}  // namespace sluice
