// What an S3 request does, by method, key and sub-resource. A sub-resource counts only on the methods on which servers
// honour it: one that is ignored would otherwise turn a deletion or a read into something that no hold or state closes.
// Where servers differ the graver reading counts; docs/gateways/s3.md has the table and what was read for it.
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

// The methods on which a sub-resource is management. HEAD is on none: it is served as a plain one.
enum Methods : uint8_t { kNone = 0, kGet = 1, kPut = 2, kDelete = 4, kAll = kGet | kPut | kDelete };
struct Setting {
  absl::string_view name;
  int methods;
};
constexpr Setting kBucketSettings[] = {
    {"acl", kGet | kPut},
    {"cors", kAll},
    {"encryption", kPut | kDelete},  // older ones of RGW and MinIO list
    {"lifecycle", kAll},
    {"location", kGet},
    {"logging", kGet | kPut},
    {"notification", kPut},  // RGW lists, and deletes, unless its topics are on
    {"object-lock", kGet | kPut},
    {"policy", kAll},
    {"policyStatus", kGet},
    {"publicAccessBlock", kAll},
    {"replication", kAll},
    {"requestPayment", kGet | kPut},
    {"tagging", kAll},
    {"versioning", kGet | kPut},
    {"website", kAll},
};
constexpr Setting kObjectSettings[] = {
    {"acl", kGet | kPut}, {"legal-hold", kGet | kPut}, {"retention", kGet | kPut}, {"tagging", kAll}};

Methods BitOf(absl::string_view method) {
  return method == "GET" ? kGet : method == "PUT" ? kPut : method == "DELETE" ? kDelete : kNone;
}

template <size_t n>
bool IsSetting(const Setting (&settings)[n], absl::string_view name, Methods method) {
  return std::any_of(std::begin(settings), std::end(settings),
                     [&](const Setting& each) { return each.name == name && (each.methods & method) != 0; });
}

// What a query says, each name looked at once.
struct Query {
  bool bucket_setting = false, object_setting = false, upload_id = false, uploads = false, delete_many = false,
       restore = false, select = false, select_type = false;
};

Query ReadQuery(absl::string_view method, absl::string_view query, MappedCheck* mapped) {
  Query result;
  const Methods bit = BitOf(method);
  absl::string_view raw, value;
  while (NextParameter(&query, &raw, &value)) {
    const absl::string_view name = FormDecode(raw, &mapped->scratch);
    result.bucket_setting |= IsSetting(kBucketSettings, name, bit);
    result.object_setting |= IsSetting(kObjectSettings, name, bit);
    result.upload_id |= name == "uploadId";
    result.uploads |= name == "uploads";
    result.delete_many |= name == "delete";
    result.restore |= name == "restore";
    result.select |= name == "select";
    result.select_type |= name == "select-type";
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

Operation OfObject(absl::string_view method, const Query& query, bool is_signed, bool copies) {
  if (method == "OPTIONS") return Operation::kList;
  // Of an upload of parts: MinIO looks for the upload first, RGW for the setting.
  const bool setting = query.object_setting && !query.upload_id;
  if (method == "GET" || method == "HEAD") {
    if (setting) return Operation::kManageRead;
    if (!is_signed) return Operation::kPublicRead;
    return method == "HEAD" || query.upload_id ? Operation::kList : Operation::kDownload;
  }
  // MinIO copies whatever the sub-resource.
  if (method == "PUT") return setting && !copies ? Operation::kManageWrite : Operation::kUpload;
  if (method == "DELETE") return setting ? Operation::kManageWrite : Operation::kDelete;
  if (query.uploads || query.upload_id) return Operation::kUpload;
  if (query.select && query.select_type) return Operation::kProcess;
  // RGW takes any other POST for a form upload.
  return query.restore ? Operation::kManageWrite : Operation::kUpload;
}

// "/BUCKET/KEY?versionId=ID", percent-encoded as a whole; the leading "/" may be missing. Decoded first, then split, as
// RGW and MinIO do. What these two, or RGW for an object and for a part of one, would split in different ways is
// refused: a query that is not one version, a fragment, a URL.
absl::Status MapCopySource(absl::string_view source, MappedCheck* mapped) {
  const auto refused = [] {
    return absl::InvalidArgumentError("x-amz-copy-source: wanted BUCKET/KEY or BUCKET/KEY?versionId=ID");
  };
  if (absl::StrContains(source, '#')) return refused();
  ObjectView& copy = mapped->input.copy_source;
  const size_t question = source.find('?');
  if (question != absl::string_view::npos) {
    absl::string_view query = source.substr(question + 1), name, value;
    if (!NextParameter(&query, &name, &value) || name != "versionId" || !query.empty()) return refused();
    copy.version_id = FormDecode(value, &mapped->source_version);
  }
  absl::string_view path = PercentDecode(source.substr(0, question), &mapped->source_key);
  absl::ConsumePrefix(&path, "/");
  const size_t slash = path.find('/');
  if (slash == absl::string_view::npos || slash + 1 == path.size()) return refused();
  copy.bucket = path.substr(0, slash);
  copy.key = path.substr(slash + 1);
  // "//HOST/BUCKET/KEY" and "SCHEME://HOST/BUCKET/KEY": MinIO reads a URL.
  if (copy.bucket.empty() || absl::EndsWith(copy.bucket, ":")) return refused();
  copy.set = true;
  return absl::OkStatus();
}

}  // namespace

absl::Status MapS3Operation(absl::string_view method, absl::string_view query, bool is_signed,
                            absl::string_view copy_source, MappedCheck* mapped) {
  static constexpr absl::string_view kMethods[] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};
  if (std::find(std::begin(kMethods), std::end(kMethods), method) == std::end(kMethods)) {
    return absl::InvalidArgumentError(
        absl::StrCat("method: wanted GET, HEAD, PUT, POST, DELETE or OPTIONS, got \"", method.substr(0, 16), "\""));
  }
  CheckInput& input = mapped->input;
  const Query subresources = ReadQuery(method, query, mapped);
  const bool has_bucket = !input.bucket.empty() || !input.host.empty();
  if (input.key.empty()) {
    // The root of a domain of one's own is a page, not a listing.
    const bool page = !input.host.empty() && input.path == "/" && query.empty();
    input.operation = page ? OfObject(method, subresources, false, false) : OfBucket(method, subresources, has_bucket);
    return absl::OkStatus();
  }
  const bool copies = method == "PUT" && !copy_source.empty();
  input.operation = OfObject(method, subresources, is_signed, copies);
  return copies ? MapCopySource(copy_source, mapped) : absl::OkStatus();
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
