// What the HTTP doors share: options, and one round of map, ask and count. A door is only a translation; the decision,
// its metrics and its log are the Checker's.
#ifndef SLUICE_SERVER_DOORS_DOOR_H_
#define SLUICE_SERVER_DOORS_DOOR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "server/doors/mapping.h"
#include "server/doors/render.h"
#include "server/listen/checker.h"

namespace sluice {

struct DoorOptions {
  MappingOptions mapping;
  RenderOptions render;
  Profile profile = Profile::kCdn;   // of requests whose door does not name one
  absl::optional<Profile> fallback;  // of requests outside of every door's path; nothing = they are 404
  std::string region;                // of every check; empty = the node's
  std::string rgw_token;             // what X-Auth-Token of Ceph RGW must be; empty = not looked at
  std::string minio_token;           // what Authorization of MinIO must be, verbatim; empty = not looked at
};

// Maps `request` and asks. An error means that nothing was decided: it cannot be mapped, or a name is over its bound.
// Either way `*mapped` has what could be read. Counts what is malformed.
absl::Status MapAndCheck(const DoorOptions& options, Profile profile, const GatewayRequest& request, Door door,
                         Checker* checker, MappedCheck* mapped, Decision* decision);

// The header in which a gateway says what it was asked. INVALID_ARGUMENT, naming it, where there is none: a gateway
// that is not told to send it would else be told of a target or method that nobody sees.
absl::Status ReadDescription(const HttpRequest& request, absl::string_view header, absl::string_view* value);

// Takes the time of an honest comparison whatever the texts share.
bool SameSecret(absl::string_view a, absl::string_view b);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_DOOR_H_
