// Whom a check meets: the names it gives, in their one form, and the subjects that rules and limits may be set on.
#ifndef SLUICE_ENFORCEMENT_TARGET_H_
#define SLUICE_ENFORCEMENT_TARGET_H_

#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/names.h"
#include "enforcement/policy.h"

namespace sluice {

// Through which of its subjects a check meets a rule.
enum class Via : uint8_t {
  kOwner,
  kRequester,
  kBucket,
  kPrefix,
  kObject,  // a version too
  kHash,
  kHost,  // exact, below a wildcard, or a URL
  kAddress,
};

struct Probe {
  Via via;
  SubjectKind kind;
  Hash128 hash;
};

// One resource that a request touches: what it asks for, or the source it copies from.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;  // views its own buffers
  Target& operator=(const Target&) = delete;

  // Resolves `input` against `policy`. Both must outlive the target.
  void Resolve(const CheckInput& input, const Policy& policy, absl::Time now);
  // The same in steps, in this order and with the same arguments. Each asks the memory for what the next one reads, so
  // that a step of several targets, one after the other, waits for the memory once (Engine::CheckTogether).
  void Name(const CheckInput& input, const Policy& policy);
  void ReachNames(const Policy& policy) const;  // may be left out
  void Bind(const Policy& policy, absl::Time now);
  void Own(const CheckInput& input, const Policy& policy, absl::Time now);
  // Resolves the object that `input` copies from. REQUIRES: input.copy_source.set.
  void ResolveCopySource(const CheckInput& input, const Policy& policy, absl::Time now);

  absl::string_view owner, requester, bucket, key, version_id, host, path;
  // SubjectHash of owner, requester, bucket, bucket and key, host, address; of those that are not empty.
  Hash128 owner_hash, requester_hash, bucket_hash, object_hash, host_hash, address_hash;
  const Domain* domain = nullptr;
  absl::optional<AddressBlock> address;
  // The bucket is bound to somebody, or its owner is vouched for: not a name that anybody can make up.
  bool bucket_known = false;
  bool by_owner = false;  // the requester is the owner, or the storage system acts for it

  // Every subject that a flag, order, hold or restriction can be set on and that this request meets.
  absl::InlinedVector<Probe, 12> probes;

 private:
  void ResolvePath(absl::string_view given);
  void NameResource(const Policy& policy);
  void ResolveOwner(const CheckInput& input, const Policy& policy, absl::Time now);
  void AddOwnerProbes();
  void AddResourceProbes(const Policy& policy);
  void AddHashProbes(const CheckInput& input);
  void AddHostProbes(const Policy& policy);
  void AddAddressProbes(const Policy& policy);
  void Add(Via via, SubjectKind kind, Hash128 hash) { probes.push_back({via, kind, hash}); }

  static constexpr size_t kPathRoom = 1024;
  Domain domain_;
  Hash128 url_hash_, domain_owner_hash_;  // of host and path; of the account that the host is bound to
  std::string host_buffer_, path_buffer_;
  char path_room_[kPathRoom];
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_TARGET_H_
