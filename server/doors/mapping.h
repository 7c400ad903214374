// How a door reads a check out of the request that a gateway describes: operation, account, bucket, key and host. One
// mapping for all doors, by profile; what it trusts besides method, target and host is configuration.
//
// A request that cannot be mapped is an error that says what, wanted and got, and never an allow. Errors name neither
// queries nor header values: signatures and tokens are in them.
#ifndef SLUICE_SERVER_DOORS_MAPPING_H_
#define SLUICE_SERVER_DOORS_MAPPING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "enforcement/check.h"
#include "server/listen/http_message.h"

namespace sluice {

// What kind of requests a gateway serves.
enum class Profile : uint8_t {
  kCdn,      // "cdn": any host; the key is the path
  kS3Path,   // "s3-path": /BUCKET/KEY
  kS3Vhost,  // "s3-vhost": BUCKET.DOMAIN, the key is the path; an address is a domain, and any other host has to be
             // bound to a bucket
  kKodo,     // "kodo": the APIs of up, rs, rsf, uc and io below the domains; every other host is a download domain
};
absl::string_view Name(Profile profile);
absl::optional<Profile> ParseProfile(absl::string_view name);
// The dialect in which a profile's clients are refused.
Dialect DialectOf(Profile profile);

// Configuration, one for all doors. Header names are in lower case; an empty one is trusted nowhere. A header that is
// named here must be set or removed by the gateway in every request: else its clients would say who they are.
struct MappingOptions {
  std::vector<std::string> domains;  // all names of the storage endpoints, canonical: "s3.example.cn"
  std::string requester_header;      // the account that the gateway authenticated
  std::string owner_header;
  std::string bucket_header;
  std::string key_header;
  std::string operation_header;  // a word of the contract: "DOWNLOAD"
  std::string host_header;       // the host that was asked for, in place of what the door takes for it
  std::string address_header;    // the client's address, in place of what the door takes for it
  // Without requester_header: whether the access key in a signature is the name of the account.
  bool requester_from_access_key = false;
  // Which address of X-Forwarded-For is the client's, from the right: how many proxies before Sluice add to it.
  int forwarded_hops = 1;
  // Whether "//" in the path of a "cdn" request is one "/", as it is for a server of files.
  bool merge_slashes = false;
};

// The client's request, as its gateway describes it. Views, which must outlive what is mapped from it.
struct GatewayRequest {
  absl::string_view method;
  absl::string_view target;  // path and query, percent-encoded
  absl::string_view host;
  absl::string_view client_ip;  // a literal; empty = unknown
  absl::Span<const HttpHeader> headers;

  absl::string_view Header(absl::string_view name) const;  // empty where there is none, or `name` is empty
};

// A check, with the memory of what had to be decoded for it. `input` views that, the request and the options.
struct MappedCheck {
  CheckInput input;
  std::string bucket, key, version, path, source_bucket, source_key, source_version, scratch, host;
};

// Fills `*mapped`. INVALID_ARGUMENT where the request cannot be mapped. REQUIRES: `*mapped` is new.
absl::Status Map(const MappingOptions& options, Profile profile, const GatewayRequest& request, MappedCheck* mapped);

// A request id as answers and logs may repeat it: kIdBytesMax at most, cut between characters, and empty where it is
// not UTF-8, which whoever asks may send and which no message of Envoy can carry.
absl::string_view RequestIdOf(absl::string_view given);

// ---- One for each family of storage APIs.
// ----------------------------------------------------------------------------

// Operation, version and copy source of an S3 request on `mapped->input.bucket` (or `.host`) and `.key`, which are set.
// `copy_source` is the header of that name.
absl::Status MapS3Operation(absl::string_view method, absl::string_view query, bool is_signed,
                            absl::string_view copy_source, MappedCheck* mapped);
// All of a Kodo API request: operation, bucket, key, copy source.
absl::Status MapKodoApi(const GatewayRequest& request, absl::string_view path, absl::string_view query,
                        MappedCheck* mapped);
// "Operation by method" of what is neither: GET and HEAD read, PUT, POST and PATCH write, DELETE deletes.
absl::Status MapMethod(absl::string_view method, MappedCheck* mapped);

// The access key in the signature of a request, of header or query; empty where no server of that kind would take the
// request for signed. Whether the signature is right, the server says.
absl::string_view S3AccessKey(const GatewayRequest& request, absl::string_view query, std::string* buffer);
absl::string_view KodoAccessKey(const GatewayRequest& request, absl::string_view query, std::string* buffer);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_MAPPING_H_
