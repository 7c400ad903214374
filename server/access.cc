#include "server/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

template <typename Value>
bool Has(const std::vector<Value>& values, const Value& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// Looks at every digest to its end, whichever fits.
bool HasToken(const Access::Entry& entry, const std::string& digest) {
  bool found = false;
  for (const std::string& each : entry.token_digests) {
    found |= CRYPTO_memcmp(each.data(), digest.data(), digest.size()) == 0;
  }
  return found;
}

bool HasCertificate(const Access::Entry& entry, const Credential::Certificate& certificate) {
  for (const std::string& name : certificate.names) {
    if (Has(entry.certificate_names, name)) return true;
  }
  return !certificate.common_name.empty() && Has(entry.common_names, certificate.common_name);
}

bool HasPeer(const Access::Entry& entry, const Credential::Peer& peer) {
  return Has(entry.uids, peer.uid) ||
         std::any_of(peer.gids.begin(), peer.gids.end(), [&](uint32_t gid) { return Has(entry.gids, gid); });
}

void Add(const Grants& from, Grants* to) {
  absl::StrAppend(&to->caller, to->caller.empty() ? "" : "+", from.caller);
  to->roles |= from.roles;
  to->reads_policy |= from.reads_policy;
  to->reads_log |= from.reads_log;
  to->imports |= from.imports;
}

}  // namespace

std::string Describe(const Credential& credential) {
  if (credential.token) return "token";
  if (credential.certificate) {
    const Credential::Certificate& certificate = *credential.certificate;
    if (!certificate.names.empty()) return absl::StrCat("certificate ", absl::StrJoin(certificate.names, ","));
    return absl::StrCat("certificate CN=", certificate.common_name);
  }
  if (credential.peer) return absl::StrCat("uid ", credential.peer->uid);
  return "none";
}

std::string RolesText(uint8_t roles) {
  std::string text;
  for (int role = 1; role < 8; ++role) {
    if ((roles >> role & 1) != 0) absl::StrAppend(&text, text.empty() ? "" : " or ", Name(static_cast<Role>(role)));
  }
  return text.empty() ? "no role at all" : text;
}

std::string TokenDigest(absl::string_view token) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::shared_ptr<const Access> Access::OwnUserAlone(uint32_t own_uid) {
  auto access = std::make_shared<Access>();
  Entry entry;
  entry.uids = {0, own_uid};
  entry.grants = {"node's own user", kAllRoles, true, true, true};
  access->entries_.push_back(std::move(entry));
  return access;
}

absl::optional<Grants> Access::Of(const Credential& credential) const {
  absl::optional<Grants> grants;
  const std::string digest = credential.token ? TokenDigest(*credential.token) : "";
  for (const Entry& entry : entries_) {
    bool fits = false;
    if (credential.token) {
      fits = HasToken(entry, digest);
    } else if (credential.certificate) {
      fits = HasCertificate(entry, *credential.certificate);
    } else if (credential.peer) {
      fits = HasPeer(entry, *credential.peer);
    }
    if (!fits) continue;
    if (!grants) grants.emplace();
    Add(entry.grants, &*grants);
  }
  return grants;
}

bool Access::takes_tokens() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return !entry.token_digests.empty(); });
}

bool Access::takes_certificates() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
    return !entry.certificate_names.empty() || !entry.common_names.empty();
  });
}

bool Authorize(const Grants& grants, const Pack& pack, PolicyEvent* event) {
  event->refusal.clear();
  if (event->role != Role::kUnspecified) {
    if (grants.Holds(event->role)) return true;
    event->refusal = absl::StrCat(ChangeName(event->change.index()), ": ", grants.caller, " may send as ",
                                  RolesText(grants.roles), ", not as ", Name(event->role));
    return false;
  }
  const std::vector<Role>& allowed = pack.RolesFor(event->change);
  for (const Role role : allowed) {
    if (!grants.Holds(role)) continue;
    event->role = role;
    return true;
  }
  // What nobody may send, or nothing at all, is refused by its form, with better words.
  if (allowed.empty()) return true;
  uint8_t wanted = 0;
  for (const Role role : allowed) wanted |= static_cast<uint8_t>(1 << static_cast<int>(role));
  event->refusal = absl::StrCat(ChangeName(event->change.index()), ": wanted role ", RolesText(wanted), "; ",
                                grants.caller, " may send as ", RolesText(grants.roles));
  return false;
}

}  // namespace sluice
