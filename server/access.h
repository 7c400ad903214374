// Who may tell this node what: callers by the credential that they show, with the roles as which they may send events
// and what else they may do. Read from a file of its own (docs/security.md has the form), strict and whole: one fault
// refuses the file. Plain values; no gRPC here, so that configuration and every listener can use it.
#ifndef SLUICE_SERVER_ACCESS_H_
#define SLUICE_SERVER_ACCESS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"

namespace sluice {

// What a caller proved to be. At most one of the three counts, the first that is there: a token, which was sent for
// this call; a certificate, which the connection was opened with; what the kernel says of the other end of a Unix
// socket.
struct Credential {
  absl::optional<std::string> token;
  struct Certificate {
    std::string common_name;
    std::vector<std::string> names;  // subject alternative names: DNS names, URIs, addresses
  };
  absl::optional<Certificate> certificate;
  struct Peer {
    uint32_t uid = 0;
    std::vector<uint32_t> gids;  // the process's own group and its supplementary ones
  };
  absl::optional<Peer> peer;
};
// For logs: "uid 1000", "certificate spiffe://example.cn/billing", "token", "none". Never the token.
std::string Describe(const Credential& credential);

// What one caller may do.
struct Grants {
  std::string caller;         // name in the file, for logs; of several entries that fit, joined by "+"
  uint8_t roles = 0;          // a bit for each Role: 1 << role
  bool reads_policy = false;  // Describe, Explain, List, Watch, Export
  bool reads_log = false;     // the decision log, and who is asked for most
  bool imports = false;       // Import: a whole policy at once, whatever roles set it
  bool Holds(Role role) const { return role != Role::kUnspecified && (roles >> static_cast<int>(role) & 1) != 0; }
};
inline constexpr uint8_t kAllRoles = 0xFE;
// "BILLING or LEGAL"; "no role at all".
std::string RolesText(uint8_t roles);

class Access {
 public:
  // INVALID_ARGUMENT with a line for each fault: "access.yaml:7: callers[1].roles: wanted ..., got ...". `file` is its
  // name in messages. Looks up users and groups.
  static absl::StatusOr<std::shared_ptr<const Access>> Parse(absl::string_view file, const std::string& yaml);
  // The same from a file. FAILED_PRECONDITION where others than its owner may write to it.
  static absl::StatusOr<std::shared_ptr<const Access>> Load(const std::string& path);
  // What holds without a file: root and `own_uid`, over a Unix socket, may do everything; nobody else anything.
  static std::shared_ptr<const Access> OwnUserAlone(uint32_t own_uid);

  // What `credential` may do: of every entry that it fits, the union. Nothing where none fits. A token is compared in a
  // time that does not depend on how much of it is right. Thread-safe.
  absl::optional<Grants> Of(const Credential& credential) const;

  bool takes_tokens() const;
  bool takes_certificates() const;

  struct Entry {
    Grants grants;
    std::vector<uint32_t> uids, gids;
    std::vector<std::string> certificate_names, common_names;
    std::vector<std::string> token_digests;  // SHA-256, 32 bytes each
  };

 private:
  std::vector<Entry> entries_;
};

// SHA-256 of a token: 32 bytes. Tokens are 256 random bits (`sluicectl token`), so that a plain hash keeps them.
std::string TokenDigest(absl::string_view token);

// Settles as which role the sender of `*event` sends it. Without a role it takes the first that both the pack and
// `grants` allow for the change. Where there is none, or the role is not one of the sender's, event->refusal says why,
// and the event will be rejected. True where it may be sent.
bool Authorize(const Grants& grants, const Pack& pack, PolicyEvent* event);

}  // namespace sluice

#endif  // SLUICE_SERVER_ACCESS_H_
