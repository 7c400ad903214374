#include "server/doors/door_options.h"

#include <errno.h>

#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::Status ReadToken(absl::string_view key, const std::string& path, std::string* token) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat(key, ": cannot read ", path));
  std::getline(file, *token);
  absl::StripAsciiWhitespace(token);
  if (token->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": wanted a token in the first line of ", path, ", got none"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DoorOptions> ReadDoorOptions(const DoorsConfig& config) {
  DoorOptions options;
  // The configuration has been checked: each is a profile, or nothing.
  options.profile = ParseProfile(config.profile).value_or(Profile::kCdn);
  options.fallback = ParseProfile(config.fallback);
  options.mapping.domains = config.domains;
  options.mapping.requester_header = config.requester_header;
  options.mapping.owner_header = config.owner_header;
  options.mapping.bucket_header = config.bucket_header;
  options.mapping.key_header = config.key_header;
  options.mapping.operation_header = config.operation_header;
  options.mapping.host_header = config.host_header;
  options.mapping.address_header = config.address_header;
  options.mapping.requester_from_access_key = config.requester_from_access_key;
  options.mapping.forwarded_hops = static_cast<int>(config.forwarded_hops);
  options.mapping.merge_slashes = config.merge_slashes;
  options.render.blocked_by = config.blocked_by;
  absl::Status status = ReadToken("doors.rgw_token_file", config.rgw_token_file, &options.rgw_token);
  status.Update(ReadToken("doors.minio_token_file", config.minio_token_file, &options.minio_token));
  if (!status.ok()) return status;
  return options;
}

}  // namespace sluice
