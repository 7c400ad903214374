// Follows a log file as it grows, over its rotation, in positions that outlive the process.
#ifndef SLUICE_CLIENT_LOG_FOLLOWER_H_
#define SLUICE_CLIENT_LOG_FOLLOWER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace sluice {

// Where in which file. `log_id` is drawn at random when a file is first seen, since numbers of inodes come again.
struct LogPosition {
  std::string log_id;
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t offset = 0;  // bytes, of the first that was not read

  friend bool operator==(const LogPosition& a, const LogPosition& b) {
    return a.log_id == b.log_id && a.device == b.device && a.inode == b.inode && a.offset == b.offset;
  }
};

// One thread at a time; reads block on the disk alone.
class LogFollower {
 public:
  struct Options {
    std::string path;
    absl::optional<LogPosition> from;  // where an earlier process came to
    bool from_start = false;           // without `from`: at the first byte there is, not at the last
    // How long a file that was renamed away is still read after its last line: its writer has yet to open the new one.
    absl::Duration rotation_patience = absl::Seconds(2);
  };

  // NOT_FOUND, PERMISSION_DENIED: as the file system says of `path`. Where the file of `from` was rotated away it is
  // looked for beside `path`; where it is gone too, `lost()` says so and reading begins with the present file.
  static absl::StatusOr<std::unique_ptr<LogFollower>> Open(Options options);
  ~LogFollower();
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

  // The next whole line, without its end, and true; false where there is none yet. A line over 64 KiB comes cut. The
  // view holds until the next call. `now` is any clock that does not go back.
  absl::StatusOr<bool> Next(absl::Time now, absl::string_view* line);

  // Behind the last line that Next gave.
  const LogPosition& position() const { return position_; }
  // Whether something was left unread: a file that was gone, or cut short.
  bool lost() const { return lost_; }

 private:
  LogFollower(Options options, int fd, LogPosition position);
  absl::Status Fill();
  // Whether a new file stands at the path, or this one was cut to less than what was read.
  absl::StatusOr<bool> Rotate(absl::Time now);

  const Options options_;
  int fd_;
  LogPosition position_;
  std::string buffer_;  // read and not given out, from position_.offset on
  size_t given_ = 0;    // of buffer_
  bool lost_ = false;
  absl::Time rotated_at_ = absl::InfiniteFuture();  // when a new file was first seen
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_LOG_FOLLOWER_H_
