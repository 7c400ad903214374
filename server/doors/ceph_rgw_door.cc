#include "server/doors/ceph_rgw_door.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "enforcement/names.h"
#include "server/doors/json_fields.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

// Of the message, in the order of the constructor below.
enum Field : size_t { kMethod, kUri, kParams, kObject, kUser, kAccount, kUserType, kBucket, kTenant, kOwner };

// A user or bucket that RGW keeps below a tenant; "TENANT$USER" comes whole already.
std::string BucketName(absl::string_view tenant, absl::string_view name) {
  return tenant.empty() ? std::string(name) : absl::StrCat(tenant, ":", name);
}

// Whether the path is one of S3: a bucket, then the key as the message has it. In Swift's the bucket stands behind the
// version, and often the account, of its API, at the root too: "/v1/AUTH_x/BUCKET/KEY".
bool IsS3(absl::string_view path, absl::string_view key) {
  absl::ConsumePrefix(&path, "/");
  const size_t slash = path.find('/');
  return (slash == absl::string_view::npos ? absl::string_view() : path.substr(slash + 1)) == key;
}

absl::Status MapRgw(const JsonFields& fields, MappedCheck* mapped) {
  CheckInput& input = mapped->input;
  input.dialect = Dialect::kS3;
  if (fields[kMethod].empty()) {
    return absl::InvalidArgumentError("input.method: wanted the method of the request, got nothing");
  }
  const bool anonymous = fields[kUser].empty() || fields[kUser] == "anonymous" || fields[kUserType] == "none";
  if (!anonymous) input.requester = fields[kAccount].empty() ? fields[kUser] : fields[kAccount];
  input.owner = fields[kOwner];
  input.key = fields[kObject];
  // What RGW does not read as S3's must open nothing: Swift ignores S3's sub-resources, and a bucket that is not there
  // yet is made whatever they say; of others RGW says so without a question.
  absl::string_view params;
  const bool s3 = fields.has(kBucket) && IsS3(fields[kUri], fields[kObject]);
  if (s3) {
    params = fields[kParams];
  } else {
    // Swift's: names in the body, and the segments of a manifest.
    input.deletes_unnamed = FindParameter(fields[kParams], "bulk-delete", &mapped->scratch).has_value() ||
                            FindParameter(fields[kParams], "multipart-manifest", &mapped->scratch) == "delete";
  }
  if (fields.has(kBucket)) {
    mapped->bucket = BucketName(fields[kTenant], fields[kBucket]);
  } else {
    // No bucket of that name yet, or a call on the account: the path tells.
    absl::string_view path = fields[kUri];
    absl::ConsumePrefix(&path, "/");
    absl::ConsumeSuffix(&path, "/");
    if (path.find('/') != absl::string_view::npos) {  // "/v1/AUTH_x": an account of Swift, or a bucket to be made
      const bool reads = fields[kMethod] == "GET" || fields[kMethod] == "HEAD";
      input.operation = reads ? Operation::kManageRead : Operation::kManageWrite;
      return absl::OkStatus();
    }
    mapped->bucket = std::string(PercentDecode(path, &mapped->scratch));
  }
  input.bucket = mapped->bucket;
  return MapS3Operation(fields[kMethod], params, !anonymous, {}, mapped);
}

}  // namespace

bool CephRgwDoor::IsAllowed(const HttpRequest& request) {
  if (!options_->rgw_token.empty() && !SameSecret(request.Header("x-auth-token"), options_->rgw_token)) {
    checker_->OnUnreadable();
    return false;
  }
  JsonFields fields({"input.method", "input.relative_uri", "input.params", "input.object_name",
                     "input.user_info.user_id", "input.user_info.account_id", "input.user_info.type",
                     "input.bucket_info.bucket.name", "input.bucket_info.bucket.tenant", "input.bucket_info.owner"});
  MappedCheck mapped;
  Decision decision;
  if (!fields.Read(request.body).ok() || !MapRgw(fields, &mapped).ok()) {
    checker_->OnUnreadable();
    return false;
  }
  mapped.input.door = Door::kCephRgw;
  mapped.input.region = options_->region;
  mapped.input.trace_parent = request.trace_parent();
  return checker_->Check(&mapped.input, &decision).ok() && decision.verdict == Verdict::kAllow;
}

void CephRgwDoor::Answer(const HttpRequest& request, HttpResponse* response) {
  response->status = 200;
  response->body = IsAllowed(request) ? "{\"result\":true}" : "{\"result\":false}";
  AddHeader(response, "Content-Type", "application/json");
}

}  // namespace sluice
