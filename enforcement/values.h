// The closed sets of words that Sluice decides with. Numbers are those of proto/sluice/v1, so that a translation is a
// cast; proto/translate.cc asserts it. Zero is never a permission.
#ifndef SLUICE_ENFORCEMENT_VALUES_H_
#define SLUICE_ENFORCEMENT_VALUES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

enum class Operation : uint8_t {
  kUnspecified = 0,
  kUpload = 1,
  kDownload = 2,
  kPublicRead = 3,
  kDelete = 4,
  kList = 5,
  kProcess = 6,
  kFetch = 7,
  kManageRead = 8,
  kManageWrite = 9,
  kPay = 10,
  kCreateBucket = 11,
  kDeleteBucket = 12,
  kStreamPublish = 13,
  kStreamPlay = 14,
};
inline constexpr int kOperationCount = 15;

// What `operation` is judged as: UPLOAD to PAY. An unknown value is judged as MANAGE_WRITE, the strictest.
constexpr Operation JudgedAs(Operation operation) {
  switch (operation) {
    case Operation::kUpload:
    case Operation::kDownload:
    case Operation::kPublicRead:
    case Operation::kDelete:
    case Operation::kList:
    case Operation::kProcess:
    case Operation::kFetch:
    case Operation::kManageRead:
    case Operation::kManageWrite:
    case Operation::kPay:
      return operation;
    case Operation::kStreamPublish:
      return Operation::kUpload;
    case Operation::kStreamPlay:
      return Operation::kPublicRead;
    default:
      return Operation::kManageWrite;
  }
}

enum class Principal : uint8_t { kUnspecified = 0, kModeration = 1, kLifecycle = 2, kEvidenceReader = 3 };

enum class Dialect : uint8_t { kUnspecified = 0, kGeneric = 1, kS3 = 2, kKodo = 3 };

enum class Verdict : uint8_t { kUnspecified = 0, kAllow = 1, kThrottle = 2, kDeny = 3 };

// In the order of precedence, but for those for which a node cannot decide, which stand before all.
enum class Reason : uint8_t {
  kUnspecified = 0,
  kLegalOrder = 1,
  kEvidenceHold = 2,
  kContentProhibited = 3,
  kContentUnderReview = 4,
  kSpam = 5,
  kSecurityThreat = 6,
  kSecuritySuspended = 7,
  kPendingPayment = 8,
  kServiceWithheld = 9,
  kAccountFrozen = 10,
  kAgreementEnded = 11,
  kReclaimed = 12,
  kPermitInvalid = 13,
  kDomainUnknown = 14,
  kReadOnly = 15,
  kMaintenance = 16,
  kQuotaExceeded = 17,
  kRateLimited = 18,
  kSandboxed = 19,
  kTerminationNotice = 20,
  kViolationWarning = 21,
  kPermitOutdated = 22,
  kUnknownAccount = 23,
  kNotReady = 24,
  kStalePolicy = 25,
  kPermitUnverified = 26,
  kTermsChanged = 27,
  kStoreUnreadable = 28,
  kOverloaded = 29,
};
inline constexpr int kReasonCount = 30;

enum class Fault : uint8_t { kUnspecified = 0, kCustomer = 1, kLaw = 2, kThirdParty = 3, kProvider = 4 };

enum class Role : uint8_t {
  kUnspecified = 0,
  kBilling = 1,
  kModeration = 2,
  kSecurity = 3,
  kLegal = 4,
  kCompliance = 5,
  kOperations = 6,
  kStorage = 7,
};

enum class TerminationCause : uint8_t {
  kUnspecified = 0,
  kMutual = 1,
  kBreach = 2,
  kSecurity = 3,
  kNotice = 4,
  kTermsRejected = 5,
  kViolation = 6,
  kArrears = 7,
  kExpired = 8,
};

enum class Geo : uint8_t { kUnspecified = 0, kChina = 1, kForeign = 2, kGlobal = 3 };
enum class PermitStatus : uint8_t { kUnspecified = 0, kValid = 1, kOutdated = 2, kRevoked = 3, kNone = 4 };
enum class Severity : uint8_t { kUnspecified = 0, kReview = 1, kBlock = 2, kCritical = 3 };
enum class RestrictionKind : uint8_t { kUnspecified = 0, kWarn = 1, kSandbox = 2, kReadOnly = 3, kSuspend = 4 };
enum class Level : uint8_t { kUnspecified = 0, kAgreement = 1, kWebPage = 2, kAttachment = 3, kContract = 4 };
enum class LimitScope : uint8_t {
  kUnspecified = 0,
  kAccount = 1,
  kBucket = 2,
  kObject = 3,
  kDomain = 4,
  kClientIp = 5,
};
inline constexpr int kLimitScopeCount = 6;
enum class Dimension : uint8_t {
  kUnspecified = 0,
  kRequests = 1,
  kBytesIn = 2,
  kBytesOut = 3,
  kCpu = 4,
  kMemory = 5,
  kConnections = 6,
  kStoredBytes = 7,
  kStoredObjects = 8,
  kBuckets = 9,
  kTrafficPerDay = 10,
};
inline constexpr int kDimensionCount = 11;
enum class Sharing : uint8_t { kUnspecified = 0, kNode = 1, kFleet = 2 };

enum class AccountState : uint8_t {
  kUnspecified = 0,
  kPending = 1,
  kActive = 2,
  kNotice = 3,
  kWithheld = 4,
  kFrozen = 5,
  kRetention = 6,
  kReclaimable = 7,
  kReclaimed = 8,
};

enum class AnnouncementKind : uint8_t {
  kUnspecified = 0,
  kReclaimable = 1,
  kReclaimCancelled = 2,
  kDeleteRequested = 3,
  kEventRejected = 4,
  kAutoSandboxed = 5,
};

enum class Outcome : uint8_t { kUnspecified = 0, kApplied = 1, kDuplicate = 2, kStale = 3, kRejected = 4 };

// The word of the contract without its prefix: "PUBLIC_READ", "ACCOUNT_FROZEN". "?" for a number that has none.
absl::string_view Name(Operation value);
absl::string_view Name(Verdict value);
absl::string_view Name(Reason value);
absl::string_view Name(Fault value);
absl::string_view Name(Role value);
absl::string_view Name(Severity value);
absl::string_view Name(AccountState value);
absl::string_view Name(TerminationCause value);
absl::string_view Name(Dimension value);
absl::string_view Name(LimitScope value);
absl::string_view Name(Level value);
absl::string_view Name(RestrictionKind value);
absl::string_view Name(Dialect value);
absl::string_view Name(Outcome value);
absl::string_view Name(AnnouncementKind value);

// The value of a word of the contract; nothing for any other text. UNSPECIFIED is a word too.
absl::optional<Operation> ParseOperation(absl::string_view name);
absl::optional<Reason> ParseReason(absl::string_view name);
absl::optional<Fault> ParseFault(absl::string_view name);
absl::optional<Role> ParseRole(absl::string_view name);
absl::optional<Severity> ParseSeverity(absl::string_view name);
absl::optional<AccountState> ParseAccountState(absl::string_view name);
absl::optional<TerminationCause> ParseTerminationCause(absl::string_view name);
absl::optional<Dialect> ParseDialect(absl::string_view name);
absl::optional<Verdict> ParseVerdict(absl::string_view name);

// Where `reason` stands in the order of precedence: smaller decides first.
constexpr int Precedence(Reason reason) {
  if (reason == Reason::kOverloaded) return -4;  // nothing was looked at
  if (reason == Reason::kNotReady) return -3;
  if (reason == Reason::kStalePolicy) return -2;
  if (reason == Reason::kStoreUnreadable) return -1;
  return static_cast<int>(reason);
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_VALUES_H_
