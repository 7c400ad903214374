#include "client/usage_tail.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/replay.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr absl::string_view kStateHeader = "sluice-tail-usage 1";
constexpr int kUsagesMax = 1024;  // of one report

// A line may say an exabyte, and a batch has thousands of them.
int64_t AddUpTo(int64_t sum, int64_t more) {
  return sum > std::numeric_limits<int64_t>::max() - more ? std::numeric_limits<int64_t>::max() : sum + more;
}

absl::Status WriteDurably(const std::string& path, absl::string_view text) {
  const std::string beside = absl::StrCat(path, ".new");
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(beside, ": cannot write"));
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) return absl::ErrnoToStatus(error, absl::StrCat(beside, ": cannot write"));
  if (rename(beside.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot write"));
  }
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const int folder_fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);  // the new name; where it fails, the old state may come back, and its batch is sent again
    close(folder_fd);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TailState> LoadTailState(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot read"));
  std::string header;
  std::getline(file, header);
  TailState state;
  file >> state.position.log_id >> state.position.device >> state.position.inode >> state.position.offset >>
      state.pending_end;
  if (header != kStateHeader || !file || state.position.offset < 0) {
    return absl::DataLossError(absl::StrCat(path, ": wanted the state that tail-usage writes, got something else"));
  }
  return state;
}

absl::Status SaveTailState(const std::string& path, const TailState& state) {
  return WriteDurably(path,
                      absl::StrCat(kStateHeader, "\n", state.position.log_id, " ", state.position.device, " ",
                                   state.position.inode, " ", state.position.offset, " ", state.pending_end, "\n"));
}

UsageTail::UsageTail(Options options, LogFollower* follower, Send send)
    : options_(std::move(options)), follower_(follower), send_(std::move(send)) {}

bool UsageTail::Read(absl::string_view line, absl::string_view* first_host) {
  *first_host = {};
  if (!options_.host_first) return ParseAccessLine(line, &line_) == AccessLineError::kNone;
  // JSON names the host itself. A host that a client wrote may begin like it.
  if (absl::StartsWith(line, "{") && ParseAccessLine(line, &line_) == AccessLineError::kNone) return true;
  const size_t space = line.find(' ');
  if (space == absl::string_view::npos) return false;
  *first_host = line.substr(0, space);
  return ParseAccessLine(line.substr(space + 1), &line_) == AccessLineError::kNone;
}

void UsageTail::Add(absl::string_view line) {
  ++counts_.lines;
  absl::string_view first_host;
  if (!Read(line, &first_host)) {
    ++counts_.unreadable;
    return;
  }
  absl::string_view host = !line_.host.empty()   ? line_.host
                           : !first_host.empty() ? first_host
                                                 : absl::string_view(options_.host);
  const Operation operation = options_.operation.value_or(OperationOf(line_.method));
  std::string buffer;
  std::string key(KeyOfPath(line_.path, &buffer));
  // What no message can carry is not a name that a limit could have, and one would make the whole report an error.
  if (!IsUtf8(host) || host.size() > kHostBytesMax) host = {};
  if (!IsUtf8(key) || key.size() > kKeyBytesMax) key.clear();
  const bool is_address = ParseAddress(line_.client).has_value();
  const absl::string_view client = is_address ? line_.client : absl::string_view();
  const std::string name = absl::StrCat(host, "\n", key, "\n", client, "\n", static_cast<int>(operation));
  const auto [found, is_new] = index_.try_emplace(name, batch_.usages_size());
  if (is_new) {
    v1::Usage* usage = batch_.add_usages();
    usage->set_owner(options_.owner);
    usage->set_bucket(options_.bucket);
    usage->set_host(std::string(host));
    usage->set_key(std::move(key));
    usage->set_client_ip(std::string(client));
    usage->set_operation(static_cast<v1::Operation>(operation));
  }
  v1::Usage* usage = batch_.mutable_usages(found->second);
  usage->set_bytes_out(AddUpTo(usage->bytes_out(), line_.bytes));
  counts_.bytes = AddUpTo(counts_.bytes, line_.bytes);
}

absl::Status UsageTail::SendBatch() {
  sealed_ = true;
  if (absl::Status status = SaveTailState(options_.state_path, {begin_, end_.offset}); !status.ok()) return status;
  batch_.set_report_id(absl::StrCat(begin_.log_id, ":", begin_.offset));
  if (batch_.usages_size() > 0) {
    if (absl::Status status = send_(batch_); !status.ok()) return status;
    ++counts_.reports;
  }
  if (absl::Status status = SaveTailState(options_.state_path, {end_, 0}); !status.ok()) return status;
  batch_.Clear();
  index_.clear();
  open_ = false;
  sealed_ = false;
  return absl::OkStatus();
}

absl::Status UsageTail::Resume(const TailState& state, absl::Time now) {
  if (state.pending_end == 0 || !(follower_->position() == state.position)) return absl::OkStatus();
  begin_ = state.position;
  while (follower_->position().offset < state.pending_end) {
    absl::string_view line;
    absl::StatusOr<bool> more = follower_->Next(now, &line);
    if (!more.ok()) return more.status();
    if (!*more || follower_->position().log_id != begin_.log_id) break;  // shorter than it was: what is there is sent
    Add(line);
    end_ = follower_->position();
    open_ = true;
  }
  return open_ ? SendBatch() : absl::OkStatus();
}

absl::StatusOr<bool> UsageTail::Step(absl::Time now) {
  size_t lines = 0;
  while (!sealed_ && (!open_ || (lines < options_.lines_max && batch_.usages_size() < kUsagesMax))) {
    if (holds_ && !open_) {
      begin_ = held_begin_;
      end_ = held_end_;
      holds_ = false;
      open_ = true;
      ++lines;
      Add(held_);
      continue;
    }
    const LogPosition before = follower_->position();
    absl::string_view line;
    absl::StatusOr<bool> more = follower_->Next(now, &line);
    if (!more.ok()) return more.status();
    if (!*more) break;
    const LogPosition& after = follower_->position();
    if (open_ && after.log_id != begin_.log_id) {  // a batch is of one file
      held_ = std::string(line);
      held_begin_ = after;
      held_begin_.offset = 0;
      held_end_ = after;
      holds_ = true;
      break;
    }
    if (!open_) {
      begin_ = before;
      if (after.log_id != before.log_id) {
        begin_ = after;
        begin_.offset = 0;
      }
      open_ = true;
    }
    Add(line);
    end_ = after;
    ++lines;
  }
  if (!open_) return false;
  if (absl::Status status = SendBatch(); !status.ok()) return status;
  return true;
}

}  // namespace sluice
