#include "server/doors/minio_door.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "server/doors/json_fields.h"

namespace sluice {
namespace {

// Of the message, in the order of the constructor below.
enum Field : size_t { kAccount, kAction, kBucket, kObject, kRoot, kDenyOnly, kSourceIp, kVersion };

// Those whose name does not say it: everything else is by its verb.
constexpr std::pair<absl::string_view, Operation> kActions[] = {
    {"AbortMultipartUpload", Operation::kDelete},
    {"BypassGovernanceRetention", Operation::kManageWrite},
    {"CreateBucket", Operation::kCreateBucket},
    {"DeleteBucket", Operation::kDeleteBucket},
    {"DeleteObject", Operation::kDelete},
    {"DeleteObjectVersion", Operation::kDelete},
    {"ForceDeleteBucket", Operation::kDeleteBucket},
    {"GetObject", Operation::kDownload},
    {"GetObjectAttributes", Operation::kDownload},
    {"GetObjectVersion", Operation::kDownload},
    {"GetObjectVersionAttributes", Operation::kDownload},
    {"GetObjectVersionForReplication", Operation::kDownload},
    {"HeadBucket", Operation::kList},
    {"ListAllMyBuckets", Operation::kManageRead},
    {"ListenBucketNotification", Operation::kManageRead},
    {"ListenNotification", Operation::kManageRead},
    {"PutObject", Operation::kUpload},
    {"PutObjectFanOut", Operation::kUpload},
    {"ReplicateDelete", Operation::kDelete},
    {"ReplicateObject", Operation::kUpload},
    {"RestoreObject", Operation::kManageWrite},
};

bool IsTrue(absl::string_view text) { return text == "true"; }

}  // namespace

absl::optional<Operation> OperationOfMinioAction(absl::string_view action) {
  if (absl::ConsumePrefix(&action, "s3:")) {
    for (const auto& [name, operation] : kActions) {
      if (name == action) return operation;
    }
    if (absl::StartsWith(action, "List")) return Operation::kList;
    if (absl::StartsWith(action, "Get")) return Operation::kManageRead;
    if (absl::StartsWith(action, "Put") || absl::StartsWith(action, "Delete") || absl::StartsWith(action, "Reset")) {
      return Operation::kManageWrite;
    }
    return absl::nullopt;
  }
  if (!absl::ConsumePrefix(&action, "admin:") && !absl::ConsumePrefix(&action, "kms:") &&
      !absl::ConsumePrefix(&action, "sts:")) {
    return absl::nullopt;
  }
  if (action.empty()) return absl::nullopt;
  const bool reads = absl::StartsWith(action, "List") || absl::StartsWith(action, "Get") ||
                     absl::EndsWith(action, "Info") || absl::EndsWith(action, "Status");
  return reads ? Operation::kManageRead : Operation::kManageWrite;
}

bool MinioDoor::IsAllowed(const HttpRequest& request) {
  if (request.body.empty()) return false;  // MinIO reads its configuration, and takes any answer
  JsonFields fields({"input.account", "input.action", "input.bucket", "input.object", "input.owner", "input.denyOnly",
                     "input.conditions.SourceIp", "input.conditions.versionid"});
  const bool trusted =
      options_->minio_token.empty() || SameSecret(request.Header("authorization"), options_->minio_token);
  const absl::optional<Operation> operation =
      trusted && fields.Read(request.body).ok() ? OperationOfMinioAction(fields[kAction]) : absl::nullopt;
  if (!operation || fields[kAccount].empty()) {
    checker_->OnUnreadable();
    return false;
  }
  CheckInput input;
  input.dialect = Dialect::kS3;
  input.door = Door::kMinio;
  input.region = options_->region;
  input.trace_parent = request.trace_parent();
  input.operation = *operation;
  input.requester = fields[kAccount];
  input.bucket = fields[kBucket];
  input.key = fields[kObject];
  input.version_id = fields[kVersion];
  input.client_ip = fields[kSourceIp];
  Decision decision;
  if (!checker_->Check(&input, &decision).ok() || decision.verdict != Verdict::kAllow) return false;
  if (IsTrue(fields[kRoot]) || IsTrue(fields[kDenyOnly])) return true;
  if (!absl::StartsWith(fields[kAction], "s3:")) return false;  // administration is the root account's
  // A new bucket has no owner yet, and a list of buckets no bucket.
  if (input.bucket.empty()) return *operation == Operation::kManageRead;
  if (*operation == Operation::kCreateBucket) return decision.owner.empty() || decision.owner == input.requester;
  return decision.owner == input.requester;
}

void MinioDoor::Answer(const HttpRequest& request, HttpResponse* response) {
  response->status = 200;
  response->body = IsAllowed(request) ? "{\"result\":true}" : "{\"result\":false}";
  AddHeader(response, "Content-Type", "application/json");
}

}  // namespace sluice
