// The configuration of sluiced: a YAML file, overridden key by key by flags. One table (config_keys.cc) makes both, the
// help text and the printed effective configuration, so that they cannot drift apart. docs/configuration.md explains.
//
// A wrong configuration is refused whole, with every fault at once; nothing is repaired in silence.
#ifndef SLUICE_SERVER_CONFIG_H_
#define SLUICE_SERVER_CONFIG_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "enforcement/failure_policy.h"
#include "enforcement/values.h"
#include "server/listen/address.h"
#include "server/listen/inherited_sockets.h"
#include "server/log/logger.h"

namespace sluice {

// How gateways are spoken to in their own protocols. Plain text here: what it means is server/doors/'s to say.
struct DoorsConfig {
  absl::optional<ListenAddress> listen;  // beside listen.check, for gateways that speak TCP alone; nothing = off
  uint32_t listen_mode = 0;
  absl::optional<ListenAddress> spoe;  // HAProxy's SPOE; nothing = off
  std::string profile, fallback;       // "cdn", ...; fallback "" = off
  std::vector<std::string> domains;    // canonical
  // Names of headers, in lower case.
  std::string requester_header, owner_header, bucket_header, key_header, operation_header, host_header, address_header;
  bool requester_from_access_key = false;
  int64_t forwarded_hops = 0;
  bool merge_slashes = false;
  std::string blocked_by;
  std::string rgw_token_file, minio_token_file;  // "" = no token is asked for
};

struct Config {
  ListenAddress listen_check;
  uint32_t listen_check_mode = 0;
  bool listen_check_by_grpc = false;                   // by gRPC's own server rather than the listener of server/listen
  std::string listen_check_owner, listen_check_group;  // empty = the process's own
  absl::optional<ListenAddress> listen_check_tls;      // beside listen_check, by mutual TLS; nothing = off
  bool listen_plain_beyond_host = false;   // whether checks may be asked for in the clear from other machines
  uint64_t listen_buffered_bytes_max = 0;  // of all connections of the data path together
  ListenAddress listen_admin;
  uint32_t listen_admin_mode = 0;
  std::string listen_admin_owner, listen_admin_group;
  absl::optional<ListenAddress> listen_http;  // nothing = off

  std::string admin_access;  // path of the access file; empty = the node's own user alone
  std::string admin_tls_certificate, admin_tls_key, admin_tls_client_ca;  // paths; empty = none
  std::string check_tls_certificate, check_tls_key, check_tls_client_ca;  // of listen_check_tls
  DoorsConfig doors;

  std::string store_path;
  uint64_t store_map_bytes = 0;
  enum class StoreCheck { kNever, kUnclean, kAlways };
  StoreCheck store_check = StoreCheck::kUnclean;

  std::string pack_path;  // empty = the built-in pack

  std::string node_region;
  Dialect node_dialect = Dialect::kUnspecified;
  std::string node_name;
  int64_t node_fleet_size = 0;
  absl::optional<absl::Duration> node_clock_error;  // nothing = unknown

  uint64_t limits_cells = 0;

  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;

  std::string decision_log_path;  // empty = "decisions" below store_path
  int64_t decision_log_sample = 0;
  uint64_t decision_log_ring_bytes = 0;
  uint64_t decision_log_segment_bytes = 0;
  absl::Duration decision_log_keep_for;
  uint64_t decision_log_keep_bytes = 0;  // 0 = no bound

  absl::Duration policy_max_age;  // zero = no bound

  FailurePolicy failure;
  absl::Duration overload_after;  // zero = never

  int64_t threads = 0;  // 0 = one a core
  bool confine = true;
  absl::Duration drain;
};

// One key. A member of the table below.
struct ConfigKey {
  const char* name;          // "listen.check"; as a flag "--listen-check"
  const char* default_text;  // what an absent key means
  const char* wanted;        // completes "wanted ..."
  const char* help;
  // INVALID_ARGUMENT with what is wrong, "wanted ..., got '...'", without the name of the key.
  absl::Status (*set)(absl::string_view text, Config* config);
  // As `set` would read it.
  std::string (*get)(const Config& config);
};
absl::Span<const ConfigKey> ConfigKeys();
std::string FlagOf(const ConfigKey& key);

struct CommandLine {
  std::string config_path;  // empty = no file
  bool check_config = false;
  std::string print;  // --help, --version: print this and exit with 0
  std::vector<std::pair<const ConfigKey*, std::string>> overrides;
};
// INVALID_ARGUMENT for a flag that there is not, or one without its value.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

struct EffectiveConfig {
  Config config;
  // By index in ConfigKeys(): where the value comes from. "sluiced.yaml:12", "--listen-check" or "default".
  std::vector<std::string> origins;
};
// Where the value of a key comes from. REQUIRES: there is such a key.
const std::string& OriginOf(const EffectiveConfig& effective, absl::string_view key);
// Defaults, then the file, then the flags; then CheckConfig. INVALID_ARGUMENT with a line for each fault:
// "sluiced.yaml:12: listen.check_mode: wanted an octal mode such as 0660, got 'rw'". Reads files; makes none.
absl::StatusOr<EffectiveConfig> LoadConfig(const CommandLine& command_line);
// The same from text that was read already. `file` is its name in messages. Does not look at paths.
absl::StatusOr<EffectiveConfig> ReadConfig(absl::string_view file, const std::string& yaml,
                                           const CommandLine& command_line);
// What only the whole can say: paths that cannot be used, a listener that must not be open to others.
absl::Status CheckConfig(const EffectiveConfig& effective);

// Where a listener's address was set and a socket was inherited for it, both must be the same: else it would listen
// where nobody asks. INVALID_ARGUMENT says where each comes from.
absl::Status CheckInherited(const EffectiveConfig& effective, const InheritedSockets& sockets);

// YAML that LoadConfig reads back as the same configuration; each line says where its value comes from.
std::string FormatConfig(const EffectiveConfig& effective);

// Whether `address` is the default of its key: then, and only then, its missing folder is made.
bool IsDefaultCheckAddress(const ListenAddress& address);
bool IsDefaultAdminAddress(const ListenAddress& address);

// The keys whose values differ and which a running node cannot change: all but log.level.
std::vector<absl::string_view> KeysForRestart(const Config& running, const Config& fresh);

// "0.1.0"
absl::string_view Version();

}  // namespace sluice

#endif  // SLUICE_SERVER_CONFIG_H_
