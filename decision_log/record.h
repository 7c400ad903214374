// One decision as the log keeps it: a run of bytes that a check's thread writes in one go, and that goes through the
// ring and into a block of a segment as it is. Little-endian; lengths of names are varints.
//
// Who asked, what, where and when, and the whole answer: verdict, every reason, clause, rule, revision, lease, door and
// trace. Owner, bucket, key and host are those that the engine resolved. Names are kept byte for byte.
#ifndef SLUICE_DECISION_LOG_RECORD_H_
#define SLUICE_DECISION_LOG_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "enforcement/check.h"

namespace sluice {

// What a record is worth. Where there is no room for all, samples and overloads are given up first, denials last. The
// numbers are those of the format.
enum class LogClass : uint8_t {
  kSample = 0,    // a plain allow
  kWarning = 1,   // allowed with a remark, or what a rule on trial would have refused
  kThrottle = 2,  // not now
  kEvidence = 3,  // asked by an evidence reader or the content scanner, who see what a flag denies
  kDenial = 4,
  kOverload = 5,  // OVERLOADED, whatever the failure policy made of it: nothing was looked at
};
inline constexpr int kLogClassCount = 6;
// "sample", "warning", "throttle", "evidence", "denial", "overload".
absl::string_view Name(LogClass value);

LogClass ClassOf(const CheckInput& input, const Decision& decision);

// Where a name of a record is. Order is that of the bytes.
enum class LogName : uint8_t {
  kRequestId,
  kRequester,
  kOwner,
  kBucket,
  kKey,
  kVersionId,
  kHost,
  kPath,
  kClientIp,
  kRegion,
  kLeaseAsked,
  kCopyBucket,
  kCopyKey,
  kCopyVersionId,
  kClause,
  kRuleId,
  kLeaseId,
  kHttpCode,
  kHttpMessage,
  kTraceParent,
  kTrialRuleId,
};
inline constexpr int kLogNameCount = 21;

// Numbers of a record, at fixed places. No padding: the bytes are the format.
struct RecordNumbers {
  uint32_t size = 0;  // of the whole record, these numbers included
  uint32_t retry_after_ms = 0;
  int64_t at_ns = 0;  // Unix time
  int64_t revision = 0;
  int64_t min_revision = 0;
  int64_t bytes = 0;
  int64_t shape_bytes_per_second = 0;
  uint32_t cache_for_ms = 0;
  uint32_t recheck_after_ms = 0;
  uint16_t http_status = 0;
  uint8_t operation = 0, principal = 0, dialect = 0, door = 0;
  uint8_t verdict = 0, reason = 0, fault = 0, set_by = 0;
  uint8_t log_class = 0;
  uint8_t flags = 0;
  uint8_t warnings = 0, all_reasons = 0, hashes = 0;  // how many
  uint8_t trial_verdict = 0, trial_reason = 0;
  uint8_t reserved[7] = {};
};
static_assert(sizeof(RecordNumbers) == 80);

// Bits of RecordNumbers::flags.
inline constexpr uint8_t kRecordTookLease = 1, kRecordDetail = 2, kRecordNewKey = 4, kRecordCopies = 8;

// The largest record that a validated check can make; a larger one is not taken.
inline constexpr size_t kRecordBytesMax = 32 << 10;

// Makes the record of one decision, which has to outlive it: first how large it is, then its bytes. Never allocates.
class RecordWriter {
 public:
  RecordWriter(const CheckInput& input, const Decision& decision);
  size_t bytes() const { return bytes_; }
  // Writes the record at `out`, which has room for bytes().
  void Write(absl::Time at, LogClass log_class, char* out) const;

 private:
  const CheckInput& input_;
  const Decision& decision_;
  const std::array<absl::string_view, kLogNameCount> names_;
  size_t bytes_;
};

// A record, as views into its bytes.
struct RecordView {
  RecordNumbers numbers;
  absl::InlinedVector<uint8_t, 8> warnings, all_reasons;
  std::array<absl::string_view, kLogNameCount> names;
  absl::InlinedVector<HashView, 2> hashes;

  absl::string_view name(LogName which) const { return names[static_cast<size_t>(which)]; }
  LogClass log_class() const { return static_cast<LogClass>(numbers.log_class); }
};
// Reads the record at the start of `bytes`; false where there is no whole one. `*view` is overwritten.
bool ReadRecord(absl::string_view bytes, RecordView* view);

// What a query can name, and a filter holds: the hash of a kind and a name in its one form. Part of the format on disk.
enum class LogTerm : uint8_t {
  kAccount = 1,
  kBucket = 2,
  kKey = 3,
  kHost = 4,
  kAddress = 5,
  kRequestId = 6,
  kTrace = 7,
};
uint64_t TermHash(LogTerm term, absl::string_view name);
// Of a record: owner, requester, bucket, host, address, then key, request and trace; those that are there. Returns how
// many come before the key. The others are in filters of blocks alone: there are as many as records.
using TermHashes = absl::InlinedVector<uint64_t, 8>;
size_t TermsOf(const RecordView& record, TermHashes* terms);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_RECORD_H_
