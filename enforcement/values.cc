#include "enforcement/values.h"

#include <cstddef>

#include "enforcement/check.h"

namespace sluice {
namespace {

constexpr absl::string_view kOperations[] = {"UNSPECIFIED",   "UPLOAD",         "DOWNLOAD",   "PUBLIC_READ",
                                             "DELETE",        "LIST",           "PROCESS",    "FETCH",
                                             "MANAGE_READ",   "MANAGE_WRITE",   "PAY",        "CREATE_BUCKET",
                                             "DELETE_BUCKET", "STREAM_PUBLISH", "STREAM_PLAY"};
constexpr absl::string_view kVerdicts[] = {"UNSPECIFIED", "ALLOW", "THROTTLE", "DENY"};
constexpr absl::string_view kReasons[] = {"UNSPECIFIED",
                                          "LEGAL_ORDER",
                                          "EVIDENCE_HOLD",
                                          "CONTENT_PROHIBITED",
                                          "CONTENT_UNDER_REVIEW",
                                          "SPAM",
                                          "SECURITY_THREAT",
                                          "SECURITY_SUSPENDED",
                                          "PENDING_PAYMENT",
                                          "SERVICE_WITHHELD",
                                          "ACCOUNT_FROZEN",
                                          "AGREEMENT_ENDED",
                                          "RECLAIMED",
                                          "PERMIT_INVALID",
                                          "DOMAIN_UNKNOWN",
                                          "READ_ONLY",
                                          "MAINTENANCE",
                                          "QUOTA_EXCEEDED",
                                          "RATE_LIMITED",
                                          "SANDBOXED",
                                          "TERMINATION_NOTICE",
                                          "VIOLATION_WARNING",
                                          "PERMIT_OUTDATED",
                                          "UNKNOWN_ACCOUNT",
                                          "NOT_READY",
                                          "STALE_POLICY",
                                          "PERMIT_UNVERIFIED",
                                          "TERMS_CHANGED",
                                          "STORE_UNREADABLE",
                                          "OVERLOADED"};
constexpr absl::string_view kFaults[] = {"UNSPECIFIED", "CUSTOMER", "LAW", "THIRD_PARTY", "PROVIDER"};
constexpr absl::string_view kRoles[] = {"UNSPECIFIED", "BILLING",    "MODERATION", "SECURITY",
                                        "LEGAL",       "COMPLIANCE", "OPERATIONS", "STORAGE"};
constexpr absl::string_view kSeverities[] = {"UNSPECIFIED", "REVIEW", "BLOCK", "CRITICAL"};
constexpr absl::string_view kStates[] = {"UNSPECIFIED", "PENDING",   "ACTIVE",      "NOTICE",   "WITHHELD",
                                         "FROZEN",      "RETENTION", "RECLAIMABLE", "RECLAIMED"};
constexpr absl::string_view kCauses[] = {"UNSPECIFIED",    "MUTUAL",    "BREACH",  "SECURITY", "NOTICE",
                                         "TERMS_REJECTED", "VIOLATION", "ARREARS", "EXPIRED"};
constexpr absl::string_view kDimensions[] = {
    "UNSPECIFIED",  "REQUESTS",       "BYTES_IN", "BYTES_OUT",      "CPU", "MEMORY", "CONNECTIONS",
    "STORED_BYTES", "STORED_OBJECTS", "BUCKETS",  "TRAFFIC_PER_DAY"};
constexpr absl::string_view kScopes[] = {"UNSPECIFIED", "ACCOUNT", "BUCKET", "OBJECT", "DOMAIN", "CLIENT_IP"};
constexpr absl::string_view kLevels[] = {"UNSPECIFIED", "AGREEMENT", "WEB_PAGE", "ATTACHMENT", "CONTRACT"};
constexpr absl::string_view kRestrictions[] = {"UNSPECIFIED", "WARN", "SANDBOX", "READ_ONLY", "SUSPEND"};
constexpr absl::string_view kDialects[] = {"UNSPECIFIED", "GENERIC", "S3", "KODO"};
constexpr absl::string_view kOutcomes[] = {"UNSPECIFIED", "APPLIED", "DUPLICATE", "STALE", "REJECTED"};
constexpr absl::string_view kAnnouncements[] = {"UNSPECIFIED",      "RECLAIMABLE",    "RECLAIM_CANCELLED",
                                                "DELETE_REQUESTED", "EVENT_REJECTED", "AUTO_SANDBOXED"};
constexpr absl::string_view kDoors[kDoorCount] = {"GRPC",
                                                  "HTTP",
                                                  "ENVOY_AUTHORIZATION",
                                                  "ENVOY_RATE_LIMIT",
                                                  "NGINX",
                                                  "FORWARD_AUTH",
                                                  "HAPROXY",
                                                  "CEPH_RGW",
                                                  "MINIO",
                                                  "NGINX_RTMP",
                                                  "SRS"};

template <typename Enum, size_t kSize>
absl::string_view NameIn(const absl::string_view (&names)[kSize], Enum value) {
  const auto index = static_cast<size_t>(value);
  return index < kSize ? names[index] : absl::string_view("?");
}

template <typename Enum, size_t kSize>
absl::optional<Enum> ParseIn(const absl::string_view (&names)[kSize], absl::string_view name) {
  for (size_t i = 0; i < kSize; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return absl::nullopt;
}

}  // namespace

absl::string_view Name(Operation value) { return NameIn(kOperations, value); }
absl::string_view Name(Verdict value) { return NameIn(kVerdicts, value); }
absl::string_view Name(Reason value) { return NameIn(kReasons, value); }
absl::string_view Name(Fault value) { return NameIn(kFaults, value); }
absl::string_view Name(Role value) { return NameIn(kRoles, value); }
absl::string_view Name(Severity value) { return NameIn(kSeverities, value); }
absl::string_view Name(AccountState value) { return NameIn(kStates, value); }
absl::string_view Name(TerminationCause value) { return NameIn(kCauses, value); }
absl::string_view Name(Dimension value) { return NameIn(kDimensions, value); }
absl::string_view Name(LimitScope value) { return NameIn(kScopes, value); }
absl::string_view Name(Level value) { return NameIn(kLevels, value); }
absl::string_view Name(RestrictionKind value) { return NameIn(kRestrictions, value); }
absl::string_view Name(Dialect value) { return NameIn(kDialects, value); }
absl::string_view Name(Outcome value) { return NameIn(kOutcomes, value); }
absl::string_view Name(Door value) { return NameIn(kDoors, value); }
absl::string_view Name(AnnouncementKind value) { return NameIn(kAnnouncements, value); }

absl::optional<Operation> ParseOperation(absl::string_view name) { return ParseIn<Operation>(kOperations, name); }
absl::optional<Reason> ParseReason(absl::string_view name) { return ParseIn<Reason>(kReasons, name); }
absl::optional<Fault> ParseFault(absl::string_view name) { return ParseIn<Fault>(kFaults, name); }
absl::optional<Role> ParseRole(absl::string_view name) { return ParseIn<Role>(kRoles, name); }
absl::optional<Severity> ParseSeverity(absl::string_view name) { return ParseIn<Severity>(kSeverities, name); }
absl::optional<AccountState> ParseAccountState(absl::string_view name) { return ParseIn<AccountState>(kStates, name); }
absl::optional<TerminationCause> ParseTerminationCause(absl::string_view name) {
  return ParseIn<TerminationCause>(kCauses, name);
}
absl::optional<Dialect> ParseDialect(absl::string_view name) { return ParseIn<Dialect>(kDialects, name); }
absl::optional<Verdict> ParseVerdict(absl::string_view name) { return ParseIn<Verdict>(kVerdicts, name); }

}  // namespace sluice
