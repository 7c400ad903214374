// What an S3 request does, by method, key and sub-resource. A sub-resource counts only where every gateway honours it:
// one that is ignored would otherwise turn a read into something that is open in every state.
#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "enforcement/names.h"
#include "server/doors/mapping.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

// Of a bucket: reading and changing them is management.
constexpr absl::string_view kBucketSettings[] = {
    "accelerate",  "acl",        "cors",         "encryption",   "lifecycle",         "location",    "logging",
    "object-lock", "policy",     "notification", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
    "tagging",     "versioning", "website"};
// Of an object.
constexpr absl::string_view kObjectSettings[] = {"acl", "legal-hold", "retention", "tagging"};

// What a query says, each name looked at once.
struct Query {
  bool bucket_setting = false, object_setting = false, upload_id = false, uploads = false, delete_many = false,
       restore = false, select = false;
};

template <size_t n>
bool Has(const absl::string_view (&names)[n], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Query ReadQuery(absl::string_view query, MappedCheck* mapped) {
  Query result;
  absl::string_view raw, value;
  while (NextParameter(&query, &raw, &value)) {
    const absl::string_view name = FormDecode(raw, &mapped->scratch);
    result.bucket_setting |= Has(kBucketSettings, name);
    result.object_setting |= Has(kObjectSettings, name);
    result.upload_id |= name == "uploadId";
    result.uploads |= name == "uploads";
    result.delete_many |= name == "delete";
    result.restore |= name == "restore";
    result.select |= name == "select";
    if (name == "versionId") mapped->input.version_id = FormDecode(value, &mapped->version);
  }
  return result;
}

Operation OfBucket(absl::string_view method, const Query& query, bool has_bucket) {
  if (!has_bucket) return method == "GET" || method == "HEAD" ? Operation::kManageRead : Operation::kManageWrite;
  if (method == "OPTIONS") return Operation::kList;
  if (method == "GET" || method == "HEAD") {
    return query.bucket_setting && !query.uploads ? Operation::kManageRead : Operation::kList;
  }
  if (method == "PUT") return query.bucket_setting ? Operation::kManageWrite : Operation::kCreateBucket;
  if (method == "DELETE") return query.bucket_setting ? Operation::kManageWrite : Operation::kDeleteBucket;
  // POST: many keys deleted, whose names are in the body; or a form upload, whose key is.
  return query.delete_many ? Operation::kDelete : Operation::kUpload;
}

Operation OfObject(absl::string_view method, const Query& query, bool is_signed) {
  if (method == "OPTIONS") return Operation::kList;
  if (method == "GET" || method == "HEAD") {
    if (query.object_setting) return Operation::kManageRead;
    if (!is_signed) return Operation::kPublicRead;
    return method == "HEAD" || query.upload_id ? Operation::kList : Operation::kDownload;
  }
  if (method == "PUT") return query.object_setting && !query.upload_id ? Operation::kManageWrite : Operation::kUpload;
  if (method == "DELETE") {
    return query.object_setting && !query.upload_id ? Operation::kManageWrite : Operation::kDelete;
  }
  if (query.uploads || query.upload_id) return Operation::kUpload;
  return query.select ? Operation::kProcess : Operation::kManageWrite;
}

// "/BUCKET/KEY?versionId=ID", percent-encoded; the leading "/" may be missing.
void MapCopySource(absl::string_view source, MappedCheck* mapped) {
  ObjectView& copy = mapped->input.copy_source;
  absl::ConsumePrefix(&source, "/");
  if (const size_t question = source.rfind("?versionId="); question != absl::string_view::npos) {
    copy.version_id = PercentDecode(source.substr(question + 11), &mapped->source_version);
    source = source.substr(0, question);
  }
  size_t slash = source.find('/');
  size_t skip = 1;
  if (slash == absl::string_view::npos) {  // the separator may be encoded too
    slash = std::min(source.find("%2F"), source.find("%2f"));
    skip = 3;
  }
  copy.set = true;
  copy.bucket = PercentDecode(source.substr(0, slash), &mapped->source_bucket);
  if (slash != absl::string_view::npos) copy.key = PercentDecode(source.substr(slash + skip), &mapped->source_key);
}

}  // namespace

absl::Status MapS3Operation(absl::string_view method, absl::string_view query, bool is_signed,
                            absl::string_view copy_source, MappedCheck* mapped) {
  static constexpr absl::string_view kMethods[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
  if (!Has(kMethods, method)) {
    return absl::InvalidArgumentError(
        absl::StrCat("method: wanted GET, HEAD, PUT, POST, DELETE or OPTIONS, got \"", method.substr(0, 16), "\""));
  }
  CheckInput& input = mapped->input;
  const Query subresources = ReadQuery(query, mapped);
  const bool has_bucket = !input.bucket.empty() || !input.host.empty();
  if (input.key.empty()) {
    // The root of a domain of one's own is a page, not a listing.
    const bool page = !input.host.empty() && input.path == "/" && query.empty();
    input.operation = page ? OfObject(method, subresources, false) : OfBucket(method, subresources, has_bucket);
    return absl::OkStatus();
  }
  input.operation = OfObject(method, subresources, is_signed);
  if (method == "PUT" && !copy_source.empty()) MapCopySource(copy_source, mapped);
  return absl::OkStatus();
}

absl::string_view S3AccessKey(const GatewayRequest& request, absl::string_view query, std::string* buffer) {
  absl::string_view header = request.Header("authorization");
  // "AWS4-HMAC-SHA256 Credential=KEY/20260101/cn/s3/aws4_request, SignedHeaders=..., Signature=..."
  if (absl::ConsumePrefix(&header, "AWS4-HMAC-SHA256")) {
    const size_t at = header.find("Credential=");
    if (at == absl::string_view::npos) return "-";  // signed by nobody that can be named
    header.remove_prefix(at + 11);
    return header.substr(0, header.find('/'));
  }
  if (absl::ConsumePrefix(&header, "AWS ")) return header.substr(0, header.find(':'));
  if (FindParameter(query, "X-Amz-Algorithm", buffer)) {
    if (const absl::optional<absl::string_view> credential = FindParameter(query, "X-Amz-Credential", buffer)) {
      return credential->substr(0, credential->find('/'));
    }
  }
  return FindParameter(query, "AWSAccessKeyId", buffer).value_or(absl::string_view());
}

}  // namespace sluice
