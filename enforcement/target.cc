#include "enforcement/target.h"

#include "absl/strings/ascii.h"

namespace sluice {

void Target::Resolve(const CheckInput& input, const Policy& policy, absl::Time now) {
  requester = input.requester;
  bucket = input.bucket;
  key = input.key;
  version_id = input.version_id;
  path = PercentDecode(input.path, &path_buffer_);
  if (!input.host.empty()) {
    const absl::StatusOr<absl::string_view> canonical = CanonicalHost(input.host, &host_buffer_);
    // A host that has no one form is nobody's: it is looked up as it came, and nothing is bound to it.
    host = canonical.ok() ? *canonical : input.host;
    domain = policy.FindDomain(host, now);
  }
  if (bucket.empty()) {
    // A key that comes without its bucket is one of the host's: what is set on the object meets it all the same.
    if (domain != nullptr) bucket = domain->bucket;
    if (key.empty()) key = KeyOfPath(input.path, &key_buffer_);
  }
  owner = input.owner;
  bucket_known = !owner.empty();
  if (owner.empty() && !bucket.empty()) {
    if (const Bucket* bound = policy.FindBucket(bucket, now)) {
      owner = bound->account;
      bucket_known = true;
    }
  }
  if (owner.empty() && domain != nullptr) owner = domain->account;
  if (input.owner.empty() && input.bucket.empty() && input.host.empty()) owner = requester;
  by_owner = input.principal == Principal::kLifecycle || (!requester.empty() && requester == owner);

  if (!owner.empty()) probes.push_back({Via::kOwner, SubjectHash(SubjectKind::kAccount, owner)});
  if (!requester.empty() && requester != owner) {
    probes.push_back({Via::kRequester, SubjectHash(SubjectKind::kAccount, requester)});
  }
  AddResourceProbes(policy);
  for (const HashView& hash : input.hashes) {
    probes.push_back({Via::kHash, SubjectHash(SubjectKind::kHash, absl::AsciiStrToLower(hash.algorithm),
                                              CanonicalDigest(hash.algorithm, hash.digest))});
  }
  if (!host.empty()) AddHostProbes(policy);
  address = ParseAddress(input.client_ip);
  if (address) AddAddressProbes(policy);
}

void Target::ResolveCopySource(const CheckInput& input, const Policy& policy, absl::Time now) {
  requester = input.requester;
  bucket = input.copy_source.bucket;
  key = input.copy_source.key;
  version_id = input.copy_source.version_id;
  if (const Bucket* bound = policy.FindBucket(bucket, now)) owner = bound->account;
  by_owner = input.principal == Principal::kLifecycle || (!requester.empty() && requester == owner);
  if (!owner.empty()) probes.push_back({Via::kOwner, SubjectHash(SubjectKind::kAccount, owner)});
  AddResourceProbes(policy);
}

void Target::AddResourceProbes(const Policy& policy) {
  if (bucket.empty()) return;
  const Hash128 bucket_hash = SubjectHash(SubjectKind::kBucket, bucket);
  probes.push_back({Via::kBucket, bucket_hash});
  if (key.empty()) return;
  probes.push_back({Via::kObject, SubjectHash(SubjectKind::kObject, bucket, key)});
  if (!version_id.empty()) {
    probes.push_back({Via::kObject, SubjectHash(SubjectKind::kObjectVersion, bucket, key, version_id)});
  }
  if (!policy.HasPrefixes(bucket_hash)) return;
  for (size_t slash = key.find('/'); slash != absl::string_view::npos; slash = key.find('/', slash + 1)) {
    probes.push_back({Via::kPrefix, SubjectHash(SubjectKind::kPrefix, bucket, key.substr(0, slash + 1))});
  }
}

void Target::AddHostProbes(const Policy& policy) {
  probes.push_back({Via::kHost, SubjectHash(SubjectKind::kHost, host)});
  if (!path.empty()) probes.push_back({Via::kHost, SubjectHash(SubjectKind::kUrl, host, path)});
  if (!policy.HasHostsBelow()) return;
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    probes.push_back({Via::kHost, SubjectHash(SubjectKind::kHostsBelow, host.substr(dot + 1))});
  }
}

void Target::AddAddressProbes(const Policy& policy) {
  probes.push_back({Via::kAddress, SubjectHash(*address)});
  for (const uint8_t bits : policy.BlockBits(address->v4)) {
    probes.push_back({Via::kAddress, SubjectHash(address->Widened(bits))});
  }
}

}  // namespace sluice
