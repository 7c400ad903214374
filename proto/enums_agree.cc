// Holds the numbers of enforcement/values.h and of the contract together: a translation is a cast, so one that drifts
// must not compile. The array sizes catch a value that only the contract has.
#include "enforcement/values.h"
#include "sluice/v1/admin.pb.h"
#include "sluice/v1/check.pb.h"
#include "sluice/v1/policy.pb.h"

namespace sluice {
namespace {

template <typename Value, typename Number>
constexpr bool Same(Value value, Number number) {
  return static_cast<int>(value) == static_cast<int>(number);
}

static_assert(v1::Operation_ARRAYSIZE == 15);
static_assert(Same(Operation::kUnspecified, v1::OPERATION_UNSPECIFIED));
static_assert(Same(Operation::kUpload, v1::OPERATION_UPLOAD));
static_assert(Same(Operation::kDownload, v1::OPERATION_DOWNLOAD));
static_assert(Same(Operation::kPublicRead, v1::OPERATION_PUBLIC_READ));
static_assert(Same(Operation::kDelete, v1::OPERATION_DELETE));
static_assert(Same(Operation::kList, v1::OPERATION_LIST));
static_assert(Same(Operation::kProcess, v1::OPERATION_PROCESS));
static_assert(Same(Operation::kFetch, v1::OPERATION_FETCH));
static_assert(Same(Operation::kManageRead, v1::OPERATION_MANAGE_READ));
static_assert(Same(Operation::kManageWrite, v1::OPERATION_MANAGE_WRITE));
static_assert(Same(Operation::kPay, v1::OPERATION_PAY));
static_assert(Same(Operation::kCreateBucket, v1::OPERATION_CREATE_BUCKET));
static_assert(Same(Operation::kDeleteBucket, v1::OPERATION_DELETE_BUCKET));
static_assert(Same(Operation::kStreamPublish, v1::OPERATION_STREAM_PUBLISH));
static_assert(Same(Operation::kStreamPlay, v1::OPERATION_STREAM_PLAY));

static_assert(v1::Principal_ARRAYSIZE == 4);
static_assert(Same(Principal::kUnspecified, v1::PRINCIPAL_UNSPECIFIED));
static_assert(Same(Principal::kModeration, v1::PRINCIPAL_MODERATION));
static_assert(Same(Principal::kLifecycle, v1::PRINCIPAL_LIFECYCLE));
static_assert(Same(Principal::kEvidenceReader, v1::PRINCIPAL_EVIDENCE_READER));

static_assert(v1::Dialect_ARRAYSIZE == 4);
static_assert(Same(Dialect::kUnspecified, v1::DIALECT_UNSPECIFIED));
static_assert(Same(Dialect::kGeneric, v1::DIALECT_GENERIC));
static_assert(Same(Dialect::kS3, v1::DIALECT_S3));
static_assert(Same(Dialect::kKodo, v1::DIALECT_KODO));

static_assert(v1::Verdict_ARRAYSIZE == 4);
static_assert(Same(Verdict::kUnspecified, v1::VERDICT_UNSPECIFIED));
static_assert(Same(Verdict::kAllow, v1::VERDICT_ALLOW));
static_assert(Same(Verdict::kThrottle, v1::VERDICT_THROTTLE));
static_assert(Same(Verdict::kDeny, v1::VERDICT_DENY));

static_assert(v1::Reason_ARRAYSIZE == 30);
static_assert(Same(Reason::kUnspecified, v1::REASON_UNSPECIFIED));
static_assert(Same(Reason::kLegalOrder, v1::REASON_LEGAL_ORDER));
static_assert(Same(Reason::kEvidenceHold, v1::REASON_EVIDENCE_HOLD));
static_assert(Same(Reason::kContentProhibited, v1::REASON_CONTENT_PROHIBITED));
static_assert(Same(Reason::kContentUnderReview, v1::REASON_CONTENT_UNDER_REVIEW));
static_assert(Same(Reason::kSpam, v1::REASON_SPAM));
static_assert(Same(Reason::kSecurityThreat, v1::REASON_SECURITY_THREAT));
static_assert(Same(Reason::kSecuritySuspended, v1::REASON_SECURITY_SUSPENDED));
static_assert(Same(Reason::kPendingPayment, v1::REASON_PENDING_PAYMENT));
static_assert(Same(Reason::kServiceWithheld, v1::REASON_SERVICE_WITHHELD));
static_assert(Same(Reason::kAccountFrozen, v1::REASON_ACCOUNT_FROZEN));
static_assert(Same(Reason::kAgreementEnded, v1::REASON_AGREEMENT_ENDED));
static_assert(Same(Reason::kReclaimed, v1::REASON_RECLAIMED));
static_assert(Same(Reason::kPermitInvalid, v1::REASON_PERMIT_INVALID));
static_assert(Same(Reason::kDomainUnknown, v1::REASON_DOMAIN_UNKNOWN));
static_assert(Same(Reason::kReadOnly, v1::REASON_READ_ONLY));
static_assert(Same(Reason::kMaintenance, v1::REASON_MAINTENANCE));
static_assert(Same(Reason::kQuotaExceeded, v1::REASON_QUOTA_EXCEEDED));
static_assert(Same(Reason::kRateLimited, v1::REASON_RATE_LIMITED));
static_assert(Same(Reason::kSandboxed, v1::REASON_SANDBOXED));
static_assert(Same(Reason::kTerminationNotice, v1::REASON_TERMINATION_NOTICE));
static_assert(Same(Reason::kViolationWarning, v1::REASON_VIOLATION_WARNING));
static_assert(Same(Reason::kPermitOutdated, v1::REASON_PERMIT_OUTDATED));
static_assert(Same(Reason::kUnknownAccount, v1::REASON_UNKNOWN_ACCOUNT));
static_assert(Same(Reason::kNotReady, v1::REASON_NOT_READY));
static_assert(Same(Reason::kStalePolicy, v1::REASON_STALE_POLICY));
static_assert(Same(Reason::kPermitUnverified, v1::REASON_PERMIT_UNVERIFIED));
static_assert(Same(Reason::kTermsChanged, v1::REASON_TERMS_CHANGED));
static_assert(Same(Reason::kStoreUnreadable, v1::REASON_STORE_UNREADABLE));
static_assert(Same(Reason::kOverloaded, v1::REASON_OVERLOADED));

static_assert(v1::Fault_ARRAYSIZE == 5);
static_assert(Same(Fault::kUnspecified, v1::FAULT_UNSPECIFIED));
static_assert(Same(Fault::kCustomer, v1::FAULT_CUSTOMER));
static_assert(Same(Fault::kLaw, v1::FAULT_LAW));
static_assert(Same(Fault::kThirdParty, v1::FAULT_THIRD_PARTY));
static_assert(Same(Fault::kProvider, v1::FAULT_PROVIDER));

static_assert(v1::Role_ARRAYSIZE == 8);
static_assert(Same(Role::kUnspecified, v1::ROLE_UNSPECIFIED));
static_assert(Same(Role::kBilling, v1::ROLE_BILLING));
static_assert(Same(Role::kModeration, v1::ROLE_MODERATION));
static_assert(Same(Role::kSecurity, v1::ROLE_SECURITY));
static_assert(Same(Role::kLegal, v1::ROLE_LEGAL));
static_assert(Same(Role::kCompliance, v1::ROLE_COMPLIANCE));
static_assert(Same(Role::kOperations, v1::ROLE_OPERATIONS));
static_assert(Same(Role::kStorage, v1::ROLE_STORAGE));

static_assert(v1::TerminationCause_ARRAYSIZE == 9);
static_assert(Same(TerminationCause::kUnspecified, v1::TERMINATION_CAUSE_UNSPECIFIED));
static_assert(Same(TerminationCause::kMutual, v1::TERMINATION_CAUSE_MUTUAL));
static_assert(Same(TerminationCause::kBreach, v1::TERMINATION_CAUSE_BREACH));
static_assert(Same(TerminationCause::kSecurity, v1::TERMINATION_CAUSE_SECURITY));
static_assert(Same(TerminationCause::kNotice, v1::TERMINATION_CAUSE_NOTICE));
static_assert(Same(TerminationCause::kTermsRejected, v1::TERMINATION_CAUSE_TERMS_REJECTED));
static_assert(Same(TerminationCause::kViolation, v1::TERMINATION_CAUSE_VIOLATION));
static_assert(Same(TerminationCause::kArrears, v1::TERMINATION_CAUSE_ARREARS));
static_assert(Same(TerminationCause::kExpired, v1::TERMINATION_CAUSE_EXPIRED));

static_assert(v1::Geo_ARRAYSIZE == 4);
static_assert(Same(Geo::kUnspecified, v1::GEO_UNSPECIFIED));
static_assert(Same(Geo::kChina, v1::GEO_CHINA));
static_assert(Same(Geo::kForeign, v1::GEO_FOREIGN));
static_assert(Same(Geo::kGlobal, v1::GEO_GLOBAL));

static_assert(v1::PermitStatus_ARRAYSIZE == 5);
static_assert(Same(PermitStatus::kUnspecified, v1::PERMIT_STATUS_UNSPECIFIED));
static_assert(Same(PermitStatus::kValid, v1::PERMIT_STATUS_VALID));
static_assert(Same(PermitStatus::kOutdated, v1::PERMIT_STATUS_OUTDATED));
static_assert(Same(PermitStatus::kRevoked, v1::PERMIT_STATUS_REVOKED));
static_assert(Same(PermitStatus::kNone, v1::PERMIT_STATUS_NONE));

static_assert(v1::Severity_ARRAYSIZE == 4);
static_assert(Same(Severity::kUnspecified, v1::SEVERITY_UNSPECIFIED));
static_assert(Same(Severity::kReview, v1::SEVERITY_REVIEW));
static_assert(Same(Severity::kBlock, v1::SEVERITY_BLOCK));
static_assert(Same(Severity::kCritical, v1::SEVERITY_CRITICAL));

static_assert(v1::RestrictionKind_ARRAYSIZE == 5);
static_assert(Same(RestrictionKind::kUnspecified, v1::RESTRICTION_KIND_UNSPECIFIED));
static_assert(Same(RestrictionKind::kWarn, v1::RESTRICTION_KIND_WARN));
static_assert(Same(RestrictionKind::kSandbox, v1::RESTRICTION_KIND_SANDBOX));
static_assert(Same(RestrictionKind::kReadOnly, v1::RESTRICTION_KIND_READ_ONLY));
static_assert(Same(RestrictionKind::kSuspend, v1::RESTRICTION_KIND_SUSPEND));

static_assert(v1::Level_ARRAYSIZE == 5);
static_assert(Same(Level::kUnspecified, v1::LEVEL_UNSPECIFIED));
static_assert(Same(Level::kAgreement, v1::LEVEL_AGREEMENT));
static_assert(Same(Level::kWebPage, v1::LEVEL_WEB_PAGE));
static_assert(Same(Level::kAttachment, v1::LEVEL_ATTACHMENT));
static_assert(Same(Level::kContract, v1::LEVEL_CONTRACT));

static_assert(v1::LimitScope_ARRAYSIZE == 6);
static_assert(Same(LimitScope::kUnspecified, v1::LIMIT_SCOPE_UNSPECIFIED));
static_assert(Same(LimitScope::kAccount, v1::LIMIT_SCOPE_ACCOUNT));
static_assert(Same(LimitScope::kBucket, v1::LIMIT_SCOPE_BUCKET));
static_assert(Same(LimitScope::kObject, v1::LIMIT_SCOPE_OBJECT));
static_assert(Same(LimitScope::kDomain, v1::LIMIT_SCOPE_DOMAIN));
static_assert(Same(LimitScope::kClientIp, v1::LIMIT_SCOPE_CLIENT_IP));

static_assert(v1::Dimension_ARRAYSIZE == 11);
static_assert(Same(Dimension::kUnspecified, v1::DIMENSION_UNSPECIFIED));
static_assert(Same(Dimension::kRequests, v1::DIMENSION_REQUESTS));
static_assert(Same(Dimension::kBytesIn, v1::DIMENSION_BYTES_IN));
static_assert(Same(Dimension::kBytesOut, v1::DIMENSION_BYTES_OUT));
static_assert(Same(Dimension::kCpu, v1::DIMENSION_CPU));
static_assert(Same(Dimension::kMemory, v1::DIMENSION_MEMORY));
static_assert(Same(Dimension::kConnections, v1::DIMENSION_CONNECTIONS));
static_assert(Same(Dimension::kStoredBytes, v1::DIMENSION_STORED_BYTES));
static_assert(Same(Dimension::kStoredObjects, v1::DIMENSION_STORED_OBJECTS));
static_assert(Same(Dimension::kBuckets, v1::DIMENSION_BUCKETS));
static_assert(Same(Dimension::kTrafficPerDay, v1::DIMENSION_TRAFFIC_PER_DAY));

static_assert(v1::Sharing_ARRAYSIZE == 3);
static_assert(Same(Sharing::kUnspecified, v1::SHARING_UNSPECIFIED));
static_assert(Same(Sharing::kNode, v1::SHARING_NODE));
static_assert(Same(Sharing::kFleet, v1::SHARING_FLEET));

static_assert(v1::AccountState_ARRAYSIZE == 9);
static_assert(Same(AccountState::kUnspecified, v1::ACCOUNT_STATE_UNSPECIFIED));
static_assert(Same(AccountState::kPending, v1::ACCOUNT_STATE_PENDING));
static_assert(Same(AccountState::kActive, v1::ACCOUNT_STATE_ACTIVE));
static_assert(Same(AccountState::kNotice, v1::ACCOUNT_STATE_NOTICE));
static_assert(Same(AccountState::kWithheld, v1::ACCOUNT_STATE_WITHHELD));
static_assert(Same(AccountState::kFrozen, v1::ACCOUNT_STATE_FROZEN));
static_assert(Same(AccountState::kRetention, v1::ACCOUNT_STATE_RETENTION));
static_assert(Same(AccountState::kReclaimable, v1::ACCOUNT_STATE_RECLAIMABLE));
static_assert(Same(AccountState::kReclaimed, v1::ACCOUNT_STATE_RECLAIMED));

static_assert(v1::AnnouncementKind_ARRAYSIZE == 6);
static_assert(Same(AnnouncementKind::kUnspecified, v1::ANNOUNCEMENT_KIND_UNSPECIFIED));
static_assert(Same(AnnouncementKind::kReclaimable, v1::ANNOUNCEMENT_KIND_RECLAIMABLE));
static_assert(Same(AnnouncementKind::kReclaimCancelled, v1::ANNOUNCEMENT_KIND_RECLAIM_CANCELLED));
static_assert(Same(AnnouncementKind::kDeleteRequested, v1::ANNOUNCEMENT_KIND_DELETE_REQUESTED));
static_assert(Same(AnnouncementKind::kEventRejected, v1::ANNOUNCEMENT_KIND_EVENT_REJECTED));
static_assert(Same(AnnouncementKind::kAutoSandboxed, v1::ANNOUNCEMENT_KIND_AUTO_SANDBOXED));

static_assert(v1::Outcome_ARRAYSIZE == 5);
static_assert(Same(Outcome::kUnspecified, v1::OUTCOME_UNSPECIFIED));
static_assert(Same(Outcome::kApplied, v1::OUTCOME_APPLIED));
static_assert(Same(Outcome::kDuplicate, v1::OUTCOME_DUPLICATE));
static_assert(Same(Outcome::kStale, v1::OUTCOME_STALE));
static_assert(Same(Outcome::kRejected, v1::OUTCOME_REJECTED));

}  // namespace
}  // namespace sluice
