// One form for every name, and one 128-bit key for every subject. Events and checks go through the same functions, so
// that a flag on "CDN.Example.CN.:443" meets a request for "cdn.example.cn" (domain.md, section 7, Whom a rule meets).
#ifndef SLUICE_ENFORCEMENT_NAMES_H_
#define SLUICE_ENFORCEMENT_NAMES_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/address_block.h"
#include "enforcement/event.h"

namespace sluice {

// Port and trailing dot dropped, lower case, IDN as punycode (UTS 46, non-transitional, by libidn2); an IPv6 address
// between brackets in its shortest form (RFC 5952), an IPv4-mapped one as the IPv4 address. The form of this form is
// itself. The result views `*buffer` or `host`. INVALID_ARGUMENT for a host over 253 bytes, with an empty label, a bad
// port, an IDN that has no ASCII form, or an IPv6 address without brackets (its last group could be a port: RFC 3986
// 3.2.2). A leading "*." is kept. Allocates only where `*buffer` has to grow.
absl::StatusOr<absl::string_view> CanonicalHost(absl::string_view host, std::string* buffer);

// Percent-decoded once; a malformed escape is taken as it stands. Views `*buffer`, or `text` where nothing is escaped.
absl::string_view PercentDecode(absl::string_view text, std::string* buffer);
// The same into `room`, which has text.size() bytes. Does not allocate.
absl::string_view PercentDecodeTo(absl::string_view text, char* room);

// The key that `path` names: percent-decoded, one leading "/" dropped, nothing else normalised.
absl::string_view KeyOfPath(absl::string_view path, std::string* buffer);

// True for well-formed UTF-8 without surrogates, up to U+10FFFF.
bool IsUtf8(absl::string_view text);

// ASCII in lower case. Views `*buffer`, or `text` where nothing is upper case.
absl::string_view LowerCase(absl::string_view text, std::string* buffer);
// Hex digests in lower case, others as they are. Views `*buffer`, or `digest`.
absl::string_view CanonicalDigest(absl::string_view algorithm, absl::string_view digest, std::string* buffer);

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(Hash128 a, Hash128 b) { return a.low == b.low && a.high == b.high; }
  template <typename H>
  friend H AbslHashValue(H h, Hash128 hash) {
    return H::combine(std::move(h), hash.low);  // one half is uniform already
  }
};

enum class SubjectKind : uint8_t {
  kNone = 0,
  kAccount,
  kBucket,
  kObject,         // bucket, key
  kObjectVersion,  // bucket, key, version
  kPrefix,         // bucket, prefix
  kHash,           // algorithm, digest
  kHost,           // exact
  kHostsBelow,     // "*.x" by x
  kUrl,            // host, decoded path
  kAddressBlock,
};
inline constexpr int kSubjectKindCount = 11;

// The key of a subject in the index: XXH3-128 of kind and names, under a secret drawn at random for each node, so
// that nobody can prepare two names with one key. Stored beside the secret alone, by the policy's store and the usage
// store, for their owner's eyes only. Thread-safe; does not allocate below 6 kB of names.
Hash128 SubjectHash(SubjectKind kind, absl::string_view a, absl::string_view b = {}, absl::string_view c = {});
Hash128 SubjectHash(const AddressBlock& block);
// The secret, drawn if it was not yet. Whoever knows it can prepare two names with one key.
std::string HashSecret();
// Takes over the secret of an earlier process, whose keys are then this one's. False, and nothing changed, where this
// process has another one already, or `secret` is none. Thread-safe; call it before anything else here.
bool AdoptHashSecret(absl::string_view secret);

struct SubjectKey {
  SubjectKind kind = SubjectKind::kNone;
  Hash128 hash;
};

// Brings every name in `subject` into its one form. INVALID_ARGUMENT that says what, wanted and got, where the fields
// name no scope, or more than one, or are malformed or over their bound.
absl::StatusOr<Subject> CanonicalSubject(const Subject& subject);
// The key of a canonical subject. REQUIRES: CanonicalSubject returned it.
SubjectKey KeyOf(const Subject& subject);
// A short name for people: "object b1/k1", "host *.example.cn".
std::string Describe(const Subject& subject);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_NAMES_H_
