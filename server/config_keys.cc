// The table of keys: each with its name, default, form and place in Config.
#include <unistd.h>

#include <bit>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "enforcement/check.h"
#include "server/config.h"
#include "server/config_values.h"

namespace sluice {
namespace {

constexpr char kFailure[] = "deny, allow, or the operations to allow, such as DOWNLOAD,LIST";
constexpr char kStaleFailure[] =
    "deny, allow, the operations to allow, such as DOWNLOAD,LIST, or decide (by the old policy, with a warning)";
constexpr char kDuration[] = "a duration such as 500ms, 10s or 48h";

absl::Status SetFailure(absl::string_view text, Reason reason, Config* config) {
  const absl::optional<FailureChoice> choice = ParseFailureChoice(text);
  const bool stale = reason == Reason::kStalePolicy;
  if (!choice || (choice->decide && !stale)) return Wanted(stale ? kStaleFailure : kFailure, text);
  config->failure.of(reason) = *choice;
  return absl::OkStatus();
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

constexpr char kDefaultCheck[] = "unix:/run/sluice/check.sock";
constexpr char kDefaultAdmin[] = "unix:/run/sluice/admin.sock";
constexpr char kFleetSize[] = "a whole number from 1 to 100000";
constexpr char kCells[] = "a whole number from 1024 to 4294967296";
constexpr char kSample[] = "a whole number from 0 to 1000000000";
constexpr char kRingBytes[] = "a power of two from 1MiB to 1GiB";
constexpr char kKeepFor[] = "a duration such as 4320h, up to ten years";
constexpr char kThreads[] = "a whole number from 0 to 1024";
constexpr char kClockError[] = "a duration such as 500ms, or unknown";
constexpr char kDrain[] = "a duration from 0s to 10m";

constexpr char kStoreCheck[] = "unclean, always or never";
constexpr const char* kStoreChecks[] = {"never", "unclean", "always"};  // as in Config::StoreCheck

constexpr char kProfile[] = "cdn, s3-path, s3-vhost or kodo";
constexpr char kHops[] = "a whole number from 1 to 16";

using Text = absl::string_view;

const ConfigKey kKeys[] = {
    {"listen.check", kDefaultCheck, kAddress, "Where checks are answered (gRPC).",
     [](Text text, Config* c) { return SetAddress(text, &c->listen_check); },
     [](const Config& c) { return FormatListenAddress(c.listen_check); }},
    {"listen.check_mode", "0660", kMode, "Permissions of the check socket, where it is a Unix socket.",
     [](Text text, Config* c) { return SetMode(text, &c->listen_check_mode); },
     [](const Config& c) { return absl::StrFormat("%04o", c.listen_check_mode); }},
    {"listen.check_engine", "own", "own or grpc",
     "What serves checks: Sluice's own listener (gRPC and HTTP, all doors), or gRPC's server (gRPC alone).",
     [](Text text, Config* c) -> absl::Status {
       if (text != "own" && text != "grpc") return Wanted("own or grpc", text);
       c->listen_check_by_grpc = text == "grpc";
       return absl::OkStatus();
     },
     [](const Config& c) -> std::string { return c.listen_check_by_grpc ? "grpc" : "own"; }},
    {"listen.check_owner", "", kName,
     "User who owns the check socket; nothing = the node's own. Root alone can give it away.",
     [](Text text, Config* c) { return SetName(text, &c->listen_check_owner); },
     [](const Config& c) { return c.listen_check_owner; }},
    {"listen.check_group", "", kName, "Group of the check socket, for a mode such as 0660; nothing = the node's own.",
     [](Text text, Config* c) { return SetName(text, &c->listen_check_group); },
     [](const Config& c) { return c.listen_check_group; }},
    {"listen.check_tls", "off", kTcpAddress,
     "Where checks of other machines are answered, by mutual TLS (check_tls.*), beside listen.check.",
     [](Text text, Config* c) { return SetTcpAddress(text, &c->listen_check_tls); },
     [](const Config& c) { return FormatOptionalAddress(c.listen_check_tls); }},
    {"listen.plain_beyond_host", "false", "true or false",
     "Whether listen.check, doors.listen and doors.spoe may be reached from other machines: without TLS, by anybody.",
     [](Text text, Config* c) { return SetBool(text, &c->listen_plain_beyond_host); },
     [](const Config& c) -> std::string { return c.listen_plain_beyond_host ? "true" : "false"; }},
    {"listen.buffered_bytes_max", "256MiB", kBytes,
     "What all connections together may hold of requests that are not whole and answers that are not taken.",
     [](Text text, Config* c) { return SetBytes(text, &c->listen_buffered_bytes_max); },
     [](const Config& c) { return FormatBytes(c.listen_buffered_bytes_max); }},
    {"listen.admin", kDefaultAdmin, kAddress,
     "Where policy is administered (gRPC). TCP wants admin.access, and beyond this machine TLS.",
     [](Text text, Config* c) { return SetAddress(text, &c->listen_admin); },
     [](const Config& c) { return FormatListenAddress(c.listen_admin); }},
    {"listen.admin_mode", "0600", kMode, "Permissions of the admin socket, where it is a Unix socket.",
     [](Text text, Config* c) { return SetMode(text, &c->listen_admin_mode); },
     [](const Config& c) { return absl::StrFormat("%04o", c.listen_admin_mode); }},
    {"listen.admin_owner", "", kName,
     "User who owns the admin socket; nothing = the node's own. Root alone can give it away.",
     [](Text text, Config* c) { return SetName(text, &c->listen_admin_owner); },
     [](const Config& c) { return c.listen_admin_owner; }},
    {"listen.admin_group", "", kName, "Group of the admin socket, for a mode such as 0660; nothing = the node's own.",
     [](Text text, Config* c) { return SetName(text, &c->listen_admin_group); },
     [](const Config& c) { return c.listen_admin_group; }},
    {"listen.http", "127.0.0.1:9464", kTcpAddress, "Where /metrics, /healthz and /readyz are served.",
     [](Text text, Config* c) { return SetTcpAddress(text, &c->listen_http); },
     [](const Config& c) { return FormatOptionalAddress(c.listen_http); }},
    {"admin.access", "", kPath,
     "File that says who may send and read what; nothing = root and the node's own user, over the Unix socket, "
     "everything.",
     [](Text text, Config* c) { return SetPath(text, &c->admin_access); },
     [](const Config& c) { return c.admin_access; }},
    {"admin.tls_certificate", "", kPath, "Certificate chain (PEM) of the admin listener on TCP; nothing = no TLS.",
     [](Text text, Config* c) { return SetPath(text, &c->admin_tls_certificate); },
     [](const Config& c) { return c.admin_tls_certificate; }},
    {"admin.tls_key", "", kPath, "Private key (PEM) of admin.tls_certificate.",
     [](Text text, Config* c) { return SetPath(text, &c->admin_tls_key); },
     [](const Config& c) { return c.admin_tls_key; }},
    {"admin.tls_client_ca", "", kPath,
     "Authorities (PEM) that sign the certificates of callers; with it every caller has to show one.",
     [](Text text, Config* c) { return SetPath(text, &c->admin_tls_client_ca); },
     [](const Config& c) { return c.admin_tls_client_ca; }},
    {"check_tls.certificate", "", kPath, "Certificate chain (PEM) of listen.check_tls.",
     [](Text text, Config* c) { return SetPath(text, &c->check_tls_certificate); },
     [](const Config& c) { return c.check_tls_certificate; }},
    {"check_tls.key", "", kPath, "Private key (PEM) of check_tls.certificate.",
     [](Text text, Config* c) { return SetPath(text, &c->check_tls_key); },
     [](const Config& c) { return c.check_tls_key; }},
    {"check_tls.client_ca", "", kPath,
     "Authorities (PEM) that sign the certificates of those who ask; whoever shows none of theirs is refused.",
     [](Text text, Config* c) { return SetPath(text, &c->check_tls_client_ca); },
     [](const Config& c) { return c.check_tls_client_ca; }},
    {"doors.listen", "off", kOptionalAddress,
     "The same as listen.check on a second address, for gateways that speak TCP alone.",
     [](Text text, Config* c) { return SetOptionalAddress(text, &c->doors.listen); },
     [](const Config& c) { return FormatOptionalAddress(c.doors.listen); }},
    {"doors.listen_mode", "0660", kMode, "Permissions of that, where it is a Unix socket.",
     [](Text text, Config* c) { return SetMode(text, &c->doors.listen_mode); },
     [](const Config& c) { return absl::StrFormat("%04o", c.doors.listen_mode); }},
    {"doors.spoe", "off", kOptionalAddress, "Where HAProxy's SPOE is answered.",
     [](Text text, Config* c) { return SetOptionalAddress(text, &c->doors.spoe); },
     [](const Config& c) { return FormatOptionalAddress(c.doors.spoe); }},
    {"doors.profile", "cdn", kProfile, "How requests are read whose door names no profile.",
     [](Text text, Config* c) { return SetProfile(text, kProfile, &c->doors.profile); },
     [](const Config& c) { return c.doors.profile; }},
    {"doors.fallback", "off", "cdn, s3-path, s3-vhost, kodo or off",
     "Judge requests outside of every door's path as they stand, by this profile.",
     [](Text text, Config* c) {
       c->doors.fallback.clear();
       return text == "off" ? absl::OkStatus()
                            : SetProfile(text, "cdn, s3-path, s3-vhost, kodo or off", &c->doors.fallback);
     },
     [](const Config& c) { return c.doors.fallback.empty() ? std::string("off") : c.doors.fallback; }},
    {"doors.domains", "", kDomains,
     "Domains of the storage endpoints, all of them: BUCKET.DOMAIN, and the APIs of Kodo.",
     [](Text text, Config* c) { return SetDomains(text, &c->doors.domains); },
     [](const Config& c) { return absl::StrJoin(c.doors.domains, ","); }},
    {"doors.requester_header", "", kHeader, "Header in which gateways name the account that they authenticated.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.requester_header); },
     [](const Config& c) { return c.doors.requester_header; }},
    {"doors.owner_header", "", kHeader, "Header in which gateways name the account that owns what is asked for.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.owner_header); },
     [](const Config& c) { return c.doors.owner_header; }},
    {"doors.bucket_header", "", kHeader, "Header in which gateways name the bucket.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.bucket_header); },
     [](const Config& c) { return c.doors.bucket_header; }},
    {"doors.key_header", "", kHeader, "Header in which gateways name the key.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.key_header); },
     [](const Config& c) { return c.doors.key_header; }},
    {"doors.operation_header", "", kHeader, "Header in which gateways name the operation.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.operation_header); },
     [](const Config& c) { return c.doors.operation_header; }},
    {"doors.host_header", "", kHeader, "Header in which gateways name the host that was asked for.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.host_header); },
     [](const Config& c) { return c.doors.host_header; }},
    {"doors.address_header", "", kHeader, "Header in which gateways name the client's address.",
     [](Text text, Config* c) { return SetHeader(text, &c->doors.address_header); },
     [](const Config& c) { return c.doors.address_header; }},
    {"doors.requester_from_access_key", "false", "true or false",
     "Take the access key in a signature for the account, where no header names it.",
     [](Text text, Config* c) { return SetBool(text, &c->doors.requester_from_access_key); },
     [](const Config& c) -> std::string { return c.doors.requester_from_access_key ? "true" : "false"; }},
    {"doors.forwarded_hops", "1", kHops, "Which address of X-Forwarded-For is the client's, from the right.",
     [](Text text, Config* c) { return SetNumber<int64_t>(text, kHops, 1, 16, &c->doors.forwarded_hops); },
     [](const Config& c) { return absl::StrCat(c.doors.forwarded_hops); }},
    {"doors.merge_slashes", "false", "true or false", "Read \"//\" in the path of a CDN request as \"/\".",
     [](Text text, Config* c) { return SetBool(text, &c->doors.merge_slashes); },
     [](const Config& c) -> std::string { return c.doors.merge_slashes ? "true" : "false"; }},
    {"doors.blocked_by", "", "an http or https URL, or nothing", "Who blocks, for the Link field of a 451 (RFC 7725).",
     [](Text text, Config* c) -> absl::Status {
       const bool url = absl::StartsWith(text, "http://") || absl::StartsWith(text, "https://");
       if ((!text.empty() && !url) || text.find_first_of("<> \"\r\n\t") != Text::npos) {
         return Wanted("an http or https URL, or nothing", text);
       }
       c->doors.blocked_by = std::string(text);
       return absl::OkStatus();
     },
     [](const Config& c) { return c.doors.blocked_by; }},
    {"doors.rgw_token_file", "", kPath, "File with the token that Ceph RGW sends; without one none is asked for.",
     [](Text text, Config* c) { return SetPath(text, &c->doors.rgw_token_file); },
     [](const Config& c) { return c.doors.rgw_token_file; }},
    {"doors.minio_token_file", "", kPath,
     "File with the Authorization that MinIO sends; without one none is asked for.",
     [](Text text, Config* c) { return SetPath(text, &c->doors.minio_token_file); },
     [](const Config& c) { return c.doors.minio_token_file; }},
    {"store.path", "/var/lib/sluice", "an absolute path", "Folder of the policy store.",
     [](Text text, Config* c) -> absl::Status {
       if (!absl::StartsWith(text, "/")) return Wanted("an absolute path", text);
       c->store_path = std::string(text);
       return absl::OkStatus();
     },
     [](const Config& c) { return c.store_path; }},
    {"store.map_bytes", "16GiB", kBytes, "The most that the store can grow to. Address space, not memory.",
     [](Text text, Config* c) { return SetBytes(text, &c->store_map_bytes); },
     [](const Config& c) { return FormatBytes(c.store_map_bytes); }},
    {"store.check_at_start", "unclean", kStoreCheck,
     "When every page of the store is looked at before it is used: unless the last process closed it in good order, "
     "always or never. Costs one read of the file.",
     [](Text text, Config* c) -> absl::Status {
       for (size_t i = 0; i < std::size(kStoreChecks); ++i) {
         if (text != kStoreChecks[i]) continue;
         c->store_check = static_cast<Config::StoreCheck>(i);
         return absl::OkStatus();
       }
       return Wanted(kStoreCheck, text);
     },
     [](const Config& c) -> std::string { return kStoreChecks[static_cast<size_t>(c.store_check)]; }},
    {"pack", "", "a path, or nothing for the built-in pack", "Agreement pack to decide by.",
     [](Text text, Config* c) {
       c->pack_path = std::string(text);
       return absl::OkStatus();
     },
     [](const Config& c) { return c.pack_path; }},
    {"node.region", "cn", kName, "Where answers are served, for checks that do not say; cn is the mainland.",
     [](Text text, Config* c) { return SetName(text, &c->node_region); },
     [](const Config& c) { return c.node_region; }},
    {"node.dialect", "generic", "generic, s3 or kodo", "HTTP dialect of answers to checks that name none.",
     [](Text text, Config* c) -> absl::Status {
       const absl::optional<Dialect> dialect = ParseDialect(absl::AsciiStrToUpper(text));
       if (!dialect || *dialect == Dialect::kUnspecified) return Wanted("generic, s3 or kodo", text);
       c->node_dialect = *dialect;
       return absl::OkStatus();
     },
     [](const Config& c) { return absl::AsciiStrToLower(Name(c.node_dialect)); }},
    {"node.name", "", kName, "Name of this node in the decision log; nothing = the host's name.",
     [](Text text, Config* c) { return SetName(text.empty() ? Text(HostName()) : text, &c->node_name); },
     [](const Config& c) { return c.node_name; }},
    {"node.fleet_size", "1", kFleetSize, "How many sidecars share the limits that are fleet-wide.",
     [](Text text, Config* c) { return SetNumber<int64_t>(text, kFleetSize, 1, 100000, &c->node_fleet_size); },
     [](const Config& c) { return absl::StrCat(c.node_fleet_size); }},
    {"node.clock_error", "1s", kClockError,
     "How far the wall clock may be off; while unknown, nothing is relaxed by time.",
     [](Text text, Config* c) -> absl::Status {
       c->node_clock_error = absl::nullopt;
       if (text == "unknown") return absl::OkStatus();
       absl::Duration error;
       if (absl::Status status = SetDuration(text, kClockError, absl::Hours(24), &error); !status.ok()) return status;
       c->node_clock_error = error;
       return absl::OkStatus();
     },
     [](const Config& c) { return c.node_clock_error ? absl::FormatDuration(*c.node_clock_error) : "unknown"; }},
    {"limits.cells", "1048576", kCells, "Rates that can be counted at once, at 16 bytes each.",
     [](Text text, Config* c) { return SetNumber<uint64_t>(text, kCells, 1024, uint64_t{1} << 32, &c->limits_cells); },
     [](const Config& c) { return absl::StrCat(c.limits_cells); }},
    {"log.level", "info", "debug, info, warning or error", "The least level that is logged.",
     [](Text text, Config* c) -> absl::Status {
       const absl::optional<LogLevel> level = ParseLogLevel(text);
       if (!level) return Wanted("debug, info, warning or error", text);
       c->log_level = *level;
       return absl::OkStatus();
     },
     [](const Config& c) { return std::string(Name(c.log_level)); }},
    {"log.format", "json", "json or text", "Form of the log on stderr.",
     [](Text text, Config* c) -> absl::Status {
       const absl::optional<LogFormat> format = ParseLogFormat(text);
       if (!format) return Wanted("json or text", text);
       c->log_format = *format;
       return absl::OkStatus();
     },
     [](const Config& c) { return std::string(Name(c.log_format)); }},
    {"decision_log.path", "", "an absolute path, or nothing for decisions below store.path",
     "Folder of the decision log.",
     [](Text text, Config* c) -> absl::Status {
       if (!text.empty() && !absl::StartsWith(text, "/")) return Wanted("an absolute path", text);
       c->decision_log_path = std::string(text);
       return absl::OkStatus();
     },
     [](const Config& c) { return c.decision_log_path; }},
    {"decision_log.sample", "100", kSample, "Of plain allows one in so many is logged; 1 = all, 0 = none.",
     [](Text text, Config* c) { return SetNumber<int64_t>(text, kSample, 0, 1000000000, &c->decision_log_sample); },
     [](const Config& c) { return absl::StrCat(c.decision_log_sample); }},
    {"decision_log.ring_bytes", "4MiB", kRingBytes, "Memory between checks and the log's disk, for each core.",
     [](Text text, Config* c) -> absl::Status {
       uint64_t bytes = 0;
       if (absl::Status status = SetBytes(text, &bytes); !status.ok()) return status;
       if (!std::has_single_bit(bytes) || bytes > (uint64_t{1} << 30)) return Wanted(kRingBytes, text);
       c->decision_log_ring_bytes = bytes;
       return absl::OkStatus();
     },
     [](const Config& c) { return FormatBytes(c.decision_log_ring_bytes); }},
    {"decision_log.segment_bytes", "64MiB", kBytes, "Size at which a file of the log is closed and the next one begun.",
     [](Text text, Config* c) { return SetBytes(text, &c->decision_log_segment_bytes); },
     [](const Config& c) { return FormatBytes(c.decision_log_segment_bytes); }},
    {"decision_log.keep_for", "4320h", kKeepFor, "How long decisions are kept; clause 3.1.7 wants six months.",
     [](Text text, Config* c) {
       return SetDuration(text, kKeepFor, absl::Hours(24 * 3660), &c->decision_log_keep_for);
     },
     [](const Config& c) { return absl::FormatDuration(c.decision_log_keep_for); }},
    {"decision_log.keep_bytes", "0", "a number of bytes, also as 512MiB or 16GiB, or 0 for no bound",
     "The most that the log may use; the oldest goes first, held evidence never.",
     [](Text text, Config* c) -> absl::Status {
       c->decision_log_keep_bytes = 0;
       return text == "0" ? absl::OkStatus() : SetBytes(text, &c->decision_log_keep_bytes);
     },
     [](const Config& c) -> std::string {
       return c.decision_log_keep_bytes == 0 ? "0" : FormatBytes(c.decision_log_keep_bytes);
     }},
    {"policy.max_age", "0s", kDuration,
     "Answer STALE_POLICY once nothing from outside was applied for so long; 0s = never.",
     [](Text text, Config* c) { return SetDuration(text, kDuration, absl::Hours(24 * 3660), &c->policy_max_age); },
     [](const Config& c) { return absl::FormatDuration(c.policy_max_age); }},
    {"failure.not_ready", "deny", kFailure, "Checks before the first policy.",
     [](Text text, Config* c) { return SetFailure(text, Reason::kNotReady, c); },
     [](const Config& c) { return FormatFailureChoice(c.failure.of(Reason::kNotReady)); }},
    {"failure.stale_policy", "deny", kStaleFailure,
     "Checks once policy.max_age has passed, or below the revision that they ask for.",
     [](Text text, Config* c) { return SetFailure(text, Reason::kStalePolicy, c); },
     [](const Config& c) { return FormatFailureChoice(c.failure.of(Reason::kStalePolicy)); }},
    {"failure.store_unreadable", "deny", kFailure, "Checks that a rule on disk may bear on which cannot be read.",
     [](Text text, Config* c) { return SetFailure(text, Reason::kStoreUnreadable, c); },
     [](const Config& c) { return FormatFailureChoice(c.failure.of(Reason::kStoreUnreadable)); }},
    {"failure.overload", "deny", kFailure, "Checks beyond what the node can answer in time.",
     [](Text text, Config* c) { return SetFailure(text, Reason::kOverloaded, c); },
     [](const Config& c) { return FormatFailureChoice(c.failure.of(Reason::kOverloaded)); }},
    {"overload.after", "1s", kDuration,
     "Checks that may have waited for longer are not decided, but answered OVERLOADED (failure.overload); 0s = never.",
     [](Text text, Config* c) { return SetDuration(text, kDuration, absl::Minutes(10), &c->overload_after); },
     [](const Config& c) { return absl::FormatDuration(c.overload_after); }},
    {"threads", "0", kThreads, "Threads that answer checks; 0 = one a core.",
     [](Text text, Config* c) { return SetNumber<int64_t>(text, kThreads, 0, 1024, &c->threads); },
     [](const Config& c) { return absl::StrCat(c.threads); }},
    {"confine", "true", "true or false",
     "Whether the process gives up at its start what it never needs: new privileges, capabilities, system calls.",
     [](Text text, Config* c) { return SetBool(text, &c->confine); },
     [](const Config& c) -> std::string { return c.confine ? "true" : "false"; }},
    {"drain", "10s", kDrain, "At SIGTERM: how long calls under way may take to finish.",
     [](Text text, Config* c) { return SetDuration(text, kDrain, absl::Minutes(10), &c->drain); },
     [](const Config& c) { return absl::FormatDuration(c.drain); }},
};

}  // namespace

absl::Span<const ConfigKey> ConfigKeys() { return kKeys; }

std::string FlagOf(const ConfigKey& key) {
  return absl::StrCat("--", absl::StrReplaceAll(key.name, {{".", "-"}, {"_", "-"}}));
}

bool IsDefaultCheckAddress(const ListenAddress& address) { return FormatListenAddress(address) == kDefaultCheck; }
bool IsDefaultAdminAddress(const ListenAddress& address) { return FormatListenAddress(address) == kDefaultAdmin; }

}  // namespace sluice
