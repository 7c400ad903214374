// What only the whole configuration can say: paths that cannot be used, listeners that must not be open to others.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/access.h"
#include "server/config.h"

namespace sluice {
namespace {

// The store makes its own folder, but not the folder that is to hold it.
absl::Status CheckStorePath(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is no folder"));
    if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write to ", path));
    }
    return absl::OkStatus();
  }
  if (errno != ENOENT) return absl::ErrnoToStatus(errno, path);
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  const std::string parent = slash == 0 ? "/" : trimmed.substr(0, slash);
  if (access(parent.c_str(), W_OK | X_OK) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path, " in ", parent));
  }
  return absl::OkStatus();
}

absl::Status CheckPackPath(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || access(path.c_str(), R_OK) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  }
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is no regular file"));
  return absl::OkStatus();
}

absl::Status CheckReadable(const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
}

// Who reaches the admin listener can change the policy: over TCP nobody does without a credential, and none crosses a
// network in the clear.
void CheckAdmin(const Config& config, const std::function<void(absl::string_view, const absl::Status&)>& check) {
  check("admin.tls_certificate", CheckReadable(config.admin_tls_certificate));
  check("admin.tls_key", CheckReadable(config.admin_tls_key));
  check("admin.tls_client_ca", CheckReadable(config.admin_tls_client_ca));
  const bool tls = !config.admin_tls_certificate.empty();
  if (tls != !config.admin_tls_key.empty()) {
    check("admin.tls_key",
          absl::InvalidArgumentError("wanted both or neither of admin.tls_certificate and admin.tls_key"));
  }
  if (!tls && !config.admin_tls_client_ca.empty()) {
    check("admin.tls_client_ca", absl::InvalidArgumentError("wanted admin.tls_certificate and admin.tls_key with it"));
  }
  bool tokens = false;
  bool certificates = false;
  if (!config.admin_access.empty()) {
    const absl::StatusOr<std::shared_ptr<const Access>> access = Access::Load(config.admin_access);
    check("admin.access", access.status());
    if (!access.ok()) return;
    tokens = (*access)->takes_tokens();
    certificates = (*access)->takes_certificates();
  }
  const std::string address = FormatListenAddress(config.listen_admin);
  if (config.listen_admin.is_unix()) {
    if (tls) {
      check("admin.tls_certificate",
            absl::InvalidArgumentError(absl::StrCat("wanted listen.admin on TCP with it, got ", address)));
    }
    return;
  }
  if (!tls && !config.listen_admin.is_local()) {
    check("listen.admin", absl::InvalidArgumentError(absl::StrCat(
                              "wanted a Unix socket or an address of this machine (127.0.0.1, [::1], localhost), or "
                              "admin.tls_certificate and admin.tls_key, got ",
                              address, ": credentials and policy would cross the network in the clear")));
  }
  const bool by_certificate = certificates && !config.admin_tls_client_ca.empty();
  if (!tokens && !by_certificate) {
    check(
        "listen.admin",
        absl::InvalidArgumentError(absl::StrCat(
            "wanted a Unix socket, or credentials by admin.access (tokens, or certificates with admin.tls_client_ca), "
            "got ",
            address, ": over TCP nobody could be told from anybody")));
  }
}

// What is asked shows who reads what, and whoever may ask spends the tokens of others.
void CheckPlain(const Config& config, absl::string_view key, const absl::optional<ListenAddress>& address,
                const std::function<void(absl::string_view, const absl::Status&)>& check) {
  if (!address || address->is_local() || config.listen_plain_beyond_host) return;
  check(key, absl::InvalidArgumentError(absl::StrCat(
                 "wanted a Unix socket or an address of this machine (127.0.0.1, [::1], localhost), got ",
                 FormatListenAddress(*address),
                 ": anybody who reaches it could ask, in the clear; listen.check_tls is for other machines, and "
                 "listen.plain_beyond_host: true says that only gateways reach this address")));
}

void CheckAsking(const Config& config, const std::function<void(absl::string_view, const absl::Status&)>& check) {
  CheckPlain(config, "listen.check", config.listen_check, check);
  CheckPlain(config, "doors.listen", config.doors.listen, check);
  CheckPlain(config, "doors.spoe", config.doors.spoe, check);
  const std::pair<absl::string_view, const std::string&> files[] = {
      {"check_tls.certificate", config.check_tls_certificate},
      {"check_tls.key", config.check_tls_key},
      {"check_tls.client_ca", config.check_tls_client_ca}};
  for (const auto& [key, path] : files) {
    if (config.listen_check_tls && path.empty()) {
      check(key, absl::InvalidArgumentError("wanted the path of a file, for listen.check_tls, got nothing"));
    } else if (!config.listen_check_tls && !path.empty()) {
      check(key, absl::InvalidArgumentError("wanted listen.check_tls with it, which is off"));
    } else {
      check(key, CheckReadable(path));
    }
  }
}

absl::Status Refusal(const std::vector<std::string>& faults) {
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
}

}  // namespace

absl::Status CheckConfig(const EffectiveConfig& effective) {
  const Config& config = effective.config;
  std::vector<std::string> faults;
  const auto check = [&](absl::string_view name, const absl::Status& status) {
    if (status.ok()) return;
    const std::string& origin = OriginOf(effective, name);
    // A flag names its key already.
    faults.push_back(absl::StartsWith(origin, "--") ? absl::StrCat(origin, ": ", status.message())
                                                    : absl::StrCat(origin, ": ", name, ": ", status.message()));
  };
  check("listen.check", CheckSocketPath(config.listen_check, IsDefaultCheckAddress(config.listen_check)));
  check("listen.admin", CheckSocketPath(config.listen_admin, IsDefaultAdminAddress(config.listen_admin)));
  CheckAsking(config, check);
  CheckAdmin(config, check);
  if (config.doors.listen) check("doors.listen", CheckSocketPath(*config.doors.listen, /*make_folder=*/false));
  if (config.doors.spoe) check("doors.spoe", CheckSocketPath(*config.doors.spoe, /*make_folder=*/false));
  if (config.listen_check.is_unix() && config.listen_check.path == config.listen_admin.path) {
    check("listen.admin", absl::InvalidArgumentError("wanted another path than that of listen.check, got the same"));
  }
  check("store.path", CheckStorePath(config.store_path));
  check("pack", CheckPackPath(config.pack_path));
  return Refusal(faults);
}

absl::Status CheckInherited(const EffectiveConfig& effective, const InheritedSockets& sockets) {
  std::vector<std::string> faults;
  const auto check = [&](absl::string_view name, const ListenAddress& configured,
                         const absl::optional<InheritedSocket>& socket) {
    const std::string& origin = OriginOf(effective, name);
    if (!socket || origin == "default" || FormatListenAddress(configured) == FormatListenAddress(socket->address)) {
      return;
    }
    faults.push_back(absl::StrCat(origin, ": ", name, ": wanted ", FormatListenAddress(socket->address),
                                  ", where the socket listens that the service manager hands over, got ",
                                  FormatListenAddress(configured)));
  };
  check("listen.check", effective.config.listen_check, sockets.check);
  check("listen.admin", effective.config.listen_admin, sockets.admin);
  if (sockets.check) {
    CheckPlain(effective.config, "listen.check", sockets.check->address,
               [&](absl::string_view name, const absl::Status& status) {
                 faults.push_back(absl::StrCat("inherited sockets: ", name, ": ", status.message()));
               });
  }
  if (sockets.admin) {
    Config as_handed_over = effective.config;
    as_handed_over.listen_admin = sockets.admin->address;
    CheckAdmin(as_handed_over, [&](absl::string_view name, const absl::Status& status) {
      if (!status.ok()) faults.push_back(absl::StrCat("inherited sockets: ", name, ": ", status.message()));
    });
  }
  return Refusal(faults);
}

}  // namespace sluice
