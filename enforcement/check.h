// What a check asks and what a decision answers, as plain values. Every door fills a CheckInput from its own wire
// format without copying, and renders a Decision into it.
#ifndef SLUICE_ENFORCEMENT_CHECK_H_
#define SLUICE_ENFORCEMENT_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/address_block.h"
#include "enforcement/values.h"

namespace sluice {

// Monotonic time in nanoseconds since an epoch of the process. A type of its own, so that it is never mixed with dates.
struct MonotonicTime {
  int64_t ns = 0;
  friend bool operator<(MonotonicTime a, MonotonicTime b) { return a.ns < b.ns; }
  friend bool operator==(MonotonicTime a, MonotonicTime b) { return a.ns == b.ns; }
};

// When a check is judged. Read once a check, passed by value.
struct Moment {
  absl::Time wall;     // policy time: never goes back
  MonotonicTime mono;  // rates, debts and leases
  // How far the wall clock may be off; nothing = unknown, and then nothing is relaxed by time.
  absl::optional<absl::Duration> clock_error = absl::Seconds(1);
  // What had passed for certain once, stays so when the clock error grows. Kept by PolicyClock.
  absl::Time passed_mark = absl::InfinitePast();

  // Restrictions start at wall >= t; what time relaxes waits until t has passed by the slowest clock.
  bool Passed(absl::Time t) const { return t <= passed_mark || (clock_error && t <= wall - *clock_error); }
};

// Through which door a check came in: a label of metrics and a field of the decision log. Nothing is decided by it.
enum class Door : uint8_t {
  kGrpc,  // sluice.v1.Enforcement
  kHttp,  // POST /v1/check
  kEnvoyAuthorization,
  kEnvoyRateLimit,
  kNginx,
  kForwardAuth,  // Traefik, Caddy, Envoy's HTTP mode and others that pass the answer on as it is
  kHaproxy,      // SPOE
  kCephRgw,
  kMinio,
  kNginxRtmp,
  kSrs,
};
inline constexpr int kDoorCount = 11;
// "GRPC", "ENVOY_RATE_LIMIT". "?" for a number that has none.
absl::string_view Name(Door value);

struct HashView {
  absl::string_view algorithm;
  absl::string_view digest;
};
struct ObjectView {
  absl::string_view bucket, key, version_id;
  bool set = false;
};

// One question. Views into the caller's memory, which must outlive the call. Names are as received: the engine brings
// hosts, paths, addresses and digests into their one form itself. Field by field as in check.proto.
struct CheckInput {
  absl::string_view request_id;
  Operation operation = Operation::kUnspecified;
  absl::string_view requester;
  absl::string_view owner;
  absl::string_view bucket;
  absl::string_view key;
  absl::string_view version_id;
  absl::InlinedVector<HashView, 2> hashes;
  absl::string_view host;
  absl::string_view path;
  absl::string_view client_ip;
  absl::string_view region;
  int64_t bytes = 0;
  Principal principal = Principal::kUnspecified;
  ObjectView copy_source;
  int64_t min_revision = 0;
  Dialect dialect = Dialect::kUnspecified;
  bool take_lease = false;
  bool detail = false;
  absl::string_view lease_id;
  bool new_key = false;
  bool tell_rate = false;  // not of the message: fill Decision::rate, for doors that tell clients what is left
  // Not of the message: the bucket is the one to which `host` is bound, and there is no other way to learn it. Without
  // one nobody can say whose object it is: DOMAIN_UNKNOWN, whatever the operation and the region.
  bool bucket_of_host = false;
  // Not of the message: the source of the copy is deleted.
  bool moves_source = false;
  // Not of the message: it may delete objects whose names are in a body that nobody here reads, anywhere in the buckets
  // of the owner.
  bool deletes_unnamed = false;
  // Not of the message: client_ip as Engine::Validate read it; nothing where nobody has. Whoever changes the one clears
  // the other.
  absl::optional<AddressBlock> address;
  // Not of the message: how it came.
  Door door = Door::kGrpc;
  absl::string_view trace_parent;  // as ParseTraceParent gives it (trace_context.h); empty where there was none
};

// How a limit on requests stands, after this check.
struct RateLeft {
  double requests_per_second = 0;
  int64_t burst = 0;          // requests that a full bucket grants
  int64_t remaining = 0;      // requests that it grants now
  int64_t full_after_ms = 0;  // without further requests
};

// Bounds on names, in bytes. A longer one is an error of the call, never a decision.
inline constexpr size_t kAccountBytesMax = 256;
inline constexpr size_t kBucketBytesMax = 256;
inline constexpr size_t kKeyBytesMax =
    4096;  // S3 has 1,024, Kodo 750; percent-encoded paths take up to three times that
inline constexpr size_t kHostBytesMax = 261;  // 253 of DNS, a trailing dot, a port
inline constexpr size_t kIdBytesMax = 256;    // flag, order, hold, limit, request, lease, event, version, region
inline constexpr size_t kHashesMax = 8;
inline constexpr size_t kBatchMax = 1024;

struct HttpHint {
  int32_t status = 0;
  absl::string_view code;     // of static storage
  absl::string_view message;  // of static storage
};

// Names that nothing else keeps for as long as a decision lives: room for the usual ones in place, then the heap.
class KeptNames {
 public:
  KeptNames() {}  // leaves the room as it is
  KeptNames(const KeptNames&) = delete;
  KeptNames& operator=(const KeptNames&) = delete;

  // A copy of `name`, which stays where it is until this object goes.
  absl::string_view Keep(absl::string_view name);
  // Whether `name` is such a copy.
  bool Holds(absl::string_view name) const;
  void Clear() {
    used_ = 0;
    more_.clear();
  }

 private:
  static constexpr size_t kRoom = 320;  // a host, or an account and a bucket, as long as they are in practice
  size_t used_ = 0;
  char room_[kRoom];
  absl::InlinedVector<std::unique_ptr<std::string>, 1> more_;
};

struct Decision {
  Decision() = default;
  Decision(const Decision& other) { *this = other; }
  Decision& operator=(const Decision& other);
  // As one that was just made, but for the memory that its texts have: what decides many keeps one.
  void Clear();

  Verdict verdict = Verdict::kUnspecified;
  Reason reason = Reason::kUnspecified;
  Fault fault = Fault::kUnspecified;
  Role set_by = Role::kUnspecified;  // with detail
  std::string clause;
  std::string rule_id;
  std::string lease_id;
  absl::InlinedVector<Reason, 4> warnings;     // on ALLOW only
  absl::InlinedVector<Reason, 4> all_reasons;  // with detail, and always for the decision log
  int64_t retry_after_ms = 0;
  int64_t shape_bytes_per_second = 0;
  int64_t cache_for_ms = 0;
  int64_t recheck_after_ms = 0;
  int64_t revision = 0;
  HttpHint http;
  // With tell_rate, where limits on requests were looked at: the one that has the least left.
  absl::optional<RateLeft> rate;
  // What rules on trial would have made of the answer; UNSPECIFIED where they would have left it as it is.
  Verdict trial_verdict = Verdict::kUnspecified;
  Reason trial_reason = Reason::kUnspecified;
  std::string trial_rule_id;
  Dimension dimension = Dimension::kUnspecified;  // of the limit that decided, where one did
  // Whom the check met, for the decision log: the resolved owner, bucket, key and host. They view the names of the
  // check where they can, which must outlive the decision and its copies; else `kept`.
  absl::string_view owner, bucket, key, host;
  KeptNames kept;
};

// One rule that Explain looked at.
struct ExplainStep {
  std::string rule;  // "flag f1", "account state", "limit l1"
  bool matched = false;
  std::string clause;
  std::string text;  // a sentence in Chinese and one in English
};

// What a request turned out to use, reported after it was served. As Usage in check.proto.
struct UsageInput {
  absl::string_view owner, bucket, key, host, client_ip;
  Operation operation = Operation::kUnspecified;
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  int64_t cpu_microseconds = 0;
  int64_t memory_byte_seconds = 0;
  int64_t stored_bytes_delta = 0;
  int64_t stored_objects_delta = 0;
  absl::string_view lease_id;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_CHECK_H_
