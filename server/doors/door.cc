#include "server/doors/door.h"

#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status MapAndCheck(const DoorOptions& options, Profile profile, const GatewayRequest& request, Door door,
                         Checker* checker, MappedCheck* mapped, Decision* decision) {
  if (absl::Status status = Map(options.mapping, profile, request, mapped); !status.ok()) {
    checker->OnUnreadable();
    return status;
  }
  mapped->input.door = door;
  mapped->input.region = options.region;
  mapped->input.tell_rate = true;
  return checker->Check(&mapped->input, decision);
}

absl::Status ReadDescription(const HttpRequest& request, absl::string_view header, absl::string_view* value) {
  *value = request.Header(header);
  if (!value->empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("header ", header, ": wanted what the client asked its gateway for, got no such header"));
}

bool SameSecret(absl::string_view a, absl::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  }
  return difference == 0;
}

}  // namespace sluice
