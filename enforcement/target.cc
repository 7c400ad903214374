#include "enforcement/target.h"

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace sluice {

void Target::Resolve(const CheckInput& input, const Policy& policy, absl::Time now) {
  Name(input, policy);
  Bind(policy, now);
  Own(input, policy, now);
}

void Target::Name(const CheckInput& input, const Policy& policy) {
  requester = input.requester;
  bucket = input.bucket;
  key = input.key;
  version_id = input.version_id;
  // What is certain to be looked up is asked for first, so that the memory answers all at once.
  if (!requester.empty()) {
    requester_hash = SubjectHash(SubjectKind::kAccount, requester);
    policy.PrefetchAccount(requester_hash);
  }
  ResolvePath(input.path);
  if (!input.host.empty()) {
    const absl::StatusOr<absl::string_view> canonical = CanonicalHost(input.host, &host_buffer_);
    // A host that has no one form is nobody's: it is looked up as it came, and nothing is bound to it.
    host = canonical.ok() ? *canonical : input.host;
    host_hash = SubjectHash(SubjectKind::kHost, host);
    policy.PrefetchDomain(host_hash);
    policy.PrefetchPermits(host_hash);
    if (!path.empty()) {
      url_hash_ = SubjectHash(SubjectKind::kUrl, host, path);
      policy.PrefetchFlags(url_hash_);
    }
  }
  NameResource(policy);
  address = input.address ? input.address : ParseAddress(input.client_ip);
}

void Target::ReachNames(const Policy& policy) const {
  if (!host.empty()) policy.PrefetchDomainNames(host_hash);
}

void Target::Bind(const Policy& policy, absl::Time now) {
  if (!host.empty() && policy.FindDomain(host, host_hash, now, &domain_)) {
    domain = &domain_;
    domain_owner_hash_ = SubjectHash(SubjectKind::kAccount, domain_.account);
    policy.PrefetchAccount(domain_owner_hash_);
  }
  if (!bucket.empty()) return;
  // A key that comes without its bucket is one of the host's: what is set on the object meets it all the same.
  if (domain != nullptr) bucket = domain->bucket;
  if (key.empty()) key = absl::StripPrefix(path, "/");
  NameResource(policy);
}

void Target::Own(const CheckInput& input, const Policy& policy, absl::Time now) {
  ResolveOwner(input, policy, now);
  by_owner = input.principal == Principal::kLifecycle || (!requester.empty() && requester == owner);

  AddOwnerProbes();
  if (!requester.empty() && requester != owner) Add(Via::kRequester, SubjectKind::kAccount, requester_hash);
  AddResourceProbes(policy);
  AddHashProbes(input);
  if (!host.empty()) AddHostProbes(policy);
  if (address) AddAddressProbes(policy);
}

void Target::NameResource(const Policy& policy) {
  if (bucket.empty()) return;
  bucket_hash = SubjectHash(SubjectKind::kBucket, bucket);
  policy.PrefetchBucket(bucket_hash);
  if (key.empty()) return;
  object_hash = SubjectHash(SubjectKind::kObject, bucket, key);
  policy.PrefetchFlags(object_hash);
}

void Target::ResolvePath(absl::string_view given) {
  if (!absl::StrContains(given, '%')) {
    path = given;
  } else if (given.size() <= kPathRoom) {
    path = PercentDecodeTo(given, path_room_);
  } else {
    path = PercentDecode(given, &path_buffer_);
  }
}

void Target::ResolveOwner(const CheckInput& input, const Policy& policy, absl::Time now) {
  owner = input.owner;
  bucket_known = !owner.empty();
  if (owner.empty() && !bucket.empty()) {
    if (const absl::optional<Hash128> bound = policy.FindBucketOwner(bucket_hash, now)) {
      owner_hash = *bound;
      // Nearly always the name is at hand: one's own bucket, or that of the host's owner.
      owner = !requester.empty() && owner_hash == requester_hash      ? requester
              : domain != nullptr && owner_hash == domain_owner_hash_ ? domain->account
                                                                      : policy.AccountName(owner_hash);
      bucket_known = true;
      return;
    }
  }
  if (owner.empty() && domain != nullptr) owner = domain->account;
  if (input.owner.empty() && input.bucket.empty() && input.host.empty()) owner = requester;
  if (owner.empty()) return;
  owner_hash = owner == requester                              ? requester_hash
               : domain != nullptr && owner == domain->account ? domain_owner_hash_
                                                               : SubjectHash(SubjectKind::kAccount, owner);
}

void Target::ResolveCopySource(const CheckInput& input, const Policy& policy, absl::Time now) {
  requester = input.requester;
  bucket = input.copy_source.bucket;
  key = input.copy_source.key;
  version_id = input.copy_source.version_id;
  bucket_hash = SubjectHash(SubjectKind::kBucket, bucket);
  if (!key.empty()) object_hash = SubjectHash(SubjectKind::kObject, bucket, key);
  if (const absl::optional<Hash128> bound = policy.FindBucketOwner(bucket_hash, now)) {
    owner_hash = *bound;
    owner = policy.AccountName(owner_hash);
  }
  by_owner = input.principal == Principal::kLifecycle || (!requester.empty() && requester == owner);
  AddOwnerProbes();
  AddResourceProbes(policy);
}

void Target::AddOwnerProbes() {
  if (!owner.empty()) Add(Via::kOwner, SubjectKind::kAccount, owner_hash);
}

void Target::AddResourceProbes(const Policy& policy) {
  if (bucket.empty()) return;
  Add(Via::kBucket, SubjectKind::kBucket, bucket_hash);
  if (key.empty()) return;
  Add(Via::kObject, SubjectKind::kObject, object_hash);
  if (!version_id.empty()) {
    Add(Via::kObject, SubjectKind::kObjectVersion, SubjectHash(SubjectKind::kObjectVersion, bucket, key, version_id));
  }
  if (!policy.HasPrefixes(bucket_hash)) return;
  for (size_t slash = key.find('/'); slash != absl::string_view::npos; slash = key.find('/', slash + 1)) {
    Add(Via::kPrefix, SubjectKind::kPrefix, SubjectHash(SubjectKind::kPrefix, bucket, key.substr(0, slash + 1)));
  }
}

void Target::AddHashProbes(const CheckInput& input) {
  std::string algorithm_buffer, digest_buffer;
  for (const HashView& hash : input.hashes) {
    const absl::string_view algorithm = LowerCase(hash.algorithm, &algorithm_buffer);
    Add(Via::kHash, SubjectKind::kHash,
        SubjectHash(SubjectKind::kHash, algorithm, CanonicalDigest(algorithm, hash.digest, &digest_buffer)));
  }
}

void Target::AddHostProbes(const Policy& policy) {
  Add(Via::kHost, SubjectKind::kHost, host_hash);
  if (!path.empty()) Add(Via::kHost, SubjectKind::kUrl, url_hash_);
  if (!policy.HasHostsBelow()) return;
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    Add(Via::kHost, SubjectKind::kHostsBelow, SubjectHash(SubjectKind::kHostsBelow, host.substr(dot + 1)));
  }
}

void Target::AddAddressProbes(const Policy& policy) {
  address_hash = SubjectHash(*address);
  Add(Via::kAddress, SubjectKind::kAddressBlock, address_hash);
  for (const uint8_t bits : policy.BlockBits(address->v4)) {
    Add(Via::kAddress, SubjectKind::kAddressBlock, SubjectHash(address->Widened(bits)));
  }
}

}  // namespace sluice
