#include "server/listen/address.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr size_t kSocketPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// True where a process accepts connections at `path`.
bool IsAnswered(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;  // a full backlog, or no right to connect: somebody has it
}

}  // namespace

bool ListenAddress::is_local() const {
  if (is_unix() || host == "localhost") return true;
  const absl::optional<AddressBlock> block = ParseAddress(host);
  if (!block) return false;
  if (block->v4) return block->bytes[0] == 127;
  for (int i = 0; i < 15; ++i) {
    if (block->bytes[i] != 0) return false;
  }
  return block->bytes[15] == 1;
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  const auto fault = [text](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": wanted unix:/PATH, HOST:PORT or [IPV6]:PORT, got '", text, "'"));
  };
  ListenAddress address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    if (!absl::StartsWith(rest, "/") || absl::EndsWith(rest, "/")) return fault("no absolute path of a file");
    if (rest.size() > kSocketPathBytesMax) {
      return absl::InvalidArgumentError(absl::StrCat("a socket's path has at most ", kSocketPathBytesMax,
                                                     " bytes, got ", rest.size(), ": '", rest, "'"));
    }
    address.path = std::string(rest);
    return address;
  }
  const size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos) return fault("no port");
  absl::string_view host = rest.substr(0, colon);
  const bool brackets = absl::ConsumePrefix(&host, "[");
  if (brackets != absl::ConsumeSuffix(&host, "]") || (!brackets && host.find(':') != absl::string_view::npos)) {
    return fault("an IPv6 address goes into brackets");
  }
  if (host.empty())
    return fault("no host");  // ":9700" would be every address of the machine: that is to be said in full
  if (!std::all_of(host.begin(), host.end(),
                   [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); })) {
    return fault("a host is of printable ASCII");
  }
  if (!absl::SimpleAtoi(rest.substr(colon + 1), &address.port) || address.port < 0 || address.port > 65535) {
    return fault("no port from 0 to 65535");
  }
  address.host = std::string(host);
  return address;
}

std::string FormatListenAddress(const ListenAddress& address) {
  if (address.is_unix()) return absl::StrCat("unix:", address.path);
  const bool v6 = address.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]:" : ":", address.port);
}

absl::Status CheckSocketPath(const ListenAddress& address, bool make_folder) {
  if (!address.is_unix()) return absl::OkStatus();
  const std::string folder = FolderOf(address.path);
  struct stat info;
  if (stat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT && make_folder) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat("the folder of the socket ", address.path));
  }
  if (!S_ISDIR(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(folder, " is no folder"));
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write to ", folder));
  if (lstat(address.path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(address.path, " exists and is no socket; remove it or choose another path"));
  }
  return absl::OkStatus();
}

absl::Status PrepareSocket(const ListenAddress& address, bool make_folder) {
  if (!address.is_unix()) return absl::OkStatus();
  const std::string folder = FolderOf(address.path);
  if (make_folder && mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make the folder ", folder));
  }
  // mkdir obeys the umask; the folder is to be entered by those whom the socket's own mode admits.
  if (const absl::Status status = CheckSocketPath(address, false); !status.ok()) return status;
  struct stat info;
  if (lstat(address.path.c_str(), &info) != 0) return absl::OkStatus();
  if (IsAnswered(address.path)) {
    return absl::FailedPreconditionError(absl::StrCat("another process listens on ", address.path));
  }
  if (unlink(address.path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot remove the stale socket ", address.path));
  }
  return absl::OkStatus();
}

absl::Status SetSocketRights(const ListenAddress& address, const SocketRights& rights) {
  if (!address.is_unix()) return absl::OkStatus();
  std::vector<char> buffer(size_t{256} << 10);
  auto uid = static_cast<uid_t>(-1);
  auto gid = static_cast<gid_t>(-1);
  if (!rights.owner.empty()) {
    passwd entry;
    passwd* found = nullptr;
    getpwnam_r(rights.owner.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) return absl::NotFoundError(absl::StrCat("there is no user ", rights.owner));
    uid = found->pw_uid;
  }
  if (!rights.group.empty()) {
    group entry;
    group* found = nullptr;
    getgrnam_r(rights.group.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) return absl::NotFoundError(absl::StrCat("there is no group ", rights.group));
    gid = found->gr_gid;
  }
  if (chown(address.path.c_str(), uid, gid) != 0) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot give ", address.path, " to ", rights.owner,
                                            rights.owner.empty() || rights.group.empty() ? "" : ":", rights.group));
  }
  if (chmod(address.path.c_str(), rights.mode) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot set the mode of ", address.path));
  }
  return absl::OkStatus();
}

PrivateFiles::PrivateFiles() : before_(umask(0077)) {}
PrivateFiles::~PrivateFiles() { umask(before_); }

}  // namespace sluice
