// What a request to one of Kodo's APIs does: up, rs, rsf, uc and io. The paths are those of Kodo's public
// documentation; entries are "BUCKET:KEY" in url-safe Base64. Where bucket or key are in the body, which a gateway does
// not pass on, the check is made without them.
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "enforcement/names.h"
#include "server/doors/json_fields.h"
#include "server/doors/mapping.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

absl::Status BadEntry(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": wanted BUCKET or BUCKET:KEY in url-safe Base64"));
}

// "BUCKET:KEY" or "BUCKET", plain.
void TakeEntry(absl::string_view entry, std::string* bucket, std::string* key) {
  const size_t colon = entry.find(':');
  *bucket = std::string(entry.substr(0, colon));
  *key = colon == absl::string_view::npos ? "" : std::string(entry.substr(colon + 1));
}

bool DecodeEntry(absl::string_view encoded, std::string* bucket, std::string* key) {
  std::string entry;
  if (encoded.empty() || !absl::WebSafeBase64Unescape(encoded, &entry)) return false;
  TakeEntry(entry, bucket, key);
  return !bucket->empty();
}

// The scope of the policy in "UpToken KEY:SIGNATURE:POLICY".
bool ScopeOfUploadToken(absl::string_view token, std::string* bucket, std::string* key) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, ':');
  std::string policy;
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[2], &policy)) return false;
  JsonFields fields({"scope"});
  if (!fields.Read(policy).ok() || fields[0].empty()) return false;
  TakeEntry(fields[0], bucket, key);
  return !bucket->empty();
}

// The value behind "/name/" in the rest of a path such as "/1024/key/ENCODED/mimeType/...".
absl::string_view PathValue(const std::vector<absl::string_view>& parts, size_t from, absl::string_view name) {
  for (size_t i = from; i + 1 < parts.size(); i += 2) {
    if (parts[i] == name) return parts[i + 1];
  }
  return {};
}

struct Command {
  absl::string_view name;
  Operation operation;
  bool has_entry;  // "/name/ENTRY"
};
constexpr Command kCommands[] = {
    {"stat", Operation::kList, true},
    {"delete", Operation::kDelete, true},
    {"chgm", Operation::kManageWrite, true},
    {"chtype", Operation::kManageWrite, true},
    {"chstatus", Operation::kManageWrite, true},
    {"deleteAfterDays", Operation::kManageWrite, true},
    {"lifecycle", Operation::kManageWrite, true},
    {"restoreAr", Operation::kManageWrite, true},
    {"prefetch", Operation::kFetch, true},
    {"batch", Operation::kManageWrite, false},
    {"pfop", Operation::kProcess, false},
    {"sisyphus", Operation::kFetch, false},
    {"buckets", Operation::kManageRead, false},
    {"v2", Operation::kManageRead, false},
};

// Where bucket and key of an upload are: in the path, else in the token.
absl::Status MapUpload(const std::vector<absl::string_view>& parts, absl::string_view token, MappedCheck* mapped) {
  CheckInput& input = mapped->input;
  input.operation = Operation::kUpload;
  if (parts[0] == "buckets") {  // /buckets/BUCKET/objects/ENCODED/uploads[/ID[/PART]]
    mapped->bucket = std::string(PercentDecode(parts[1], &mapped->scratch));
    // "~" is a key that the service names itself.
    if (parts[3] != "~" && !absl::WebSafeBase64Unescape(parts[3], &mapped->key)) return BadEntry("path: object");
  } else {
    // The signature of a form upload is in its body: then nobody here knows the bucket.
    if (!token.empty() && !ScopeOfUploadToken(token, &mapped->bucket, &mapped->key)) {
      return absl::InvalidArgumentError("authorization: wanted an upload token whose policy has a scope");
    }
    const bool sized = parts[0] == "put" || parts[0] == "mkfile";  // /put/SIZE/key/ENCODED
    const absl::string_view key = sized ? PathValue(parts, 2, "key") : absl::string_view();
    if (!key.empty() && !absl::WebSafeBase64Unescape(key, &mapped->key)) return BadEntry("path: key");
  }
  input.bucket = mapped->bucket;
  input.key = mapped->key;
  return absl::OkStatus();
}

}  // namespace

absl::Status MapKodoApi(const GatewayRequest& request, absl::string_view path, absl::string_view query,
                        MappedCheck* mapped) {
  CheckInput& input = mapped->input;
  mapped->bucket.clear();
  mapped->key.clear();
  const std::vector<absl::string_view> parts = absl::StrSplit(absl::StripPrefix(path, "/"), '/');
  const absl::string_view command = parts[0];
  absl::string_view authorization = request.Header("authorization");
  const bool has_token = absl::ConsumePrefix(&authorization, "UpToken ");
  const absl::string_view token = has_token ? authorization : absl::string_view();
  const bool writes = request.method == "POST" || request.method == "PUT" || request.method == "DELETE";
  if (!writes && request.method != "GET" && request.method != "HEAD") {
    return absl::InvalidArgumentError(
        absl::StrCat("method: wanted GET, HEAD, POST, PUT or DELETE, got \"", request.method.substr(0, 16), "\""));
  }

  const bool part = command == "buckets" && parts.size() >= 5 && parts[2] == "objects" && parts[4] == "uploads";
  if (part && request.method == "GET") {
    input.operation = Operation::kList;
    input.bucket = PercentDecode(parts[1], &mapped->bucket);
    return absl::OkStatus();
  }
  if (writes &&
      (part || command.empty() || command == "put" || command == "mkblk" || command == "bput" || command == "mkfile")) {
    return MapUpload(parts, token, mapped);
  }
  if (command == "list" || command == "v2" || command == "listv2") {
    input.operation =
        command == "v2" && (parts.size() < 2 || parts[1] != "list") ? Operation::kManageRead : Operation::kList;
    if (writes && input.operation == Operation::kManageRead) input.operation = Operation::kManageWrite;
    if (const auto bucket = FindParameter(query, "bucket", &mapped->scratch)) mapped->bucket = std::string(*bucket);
    input.bucket = mapped->bucket;
    return absl::OkStatus();
  }
  if (command == "copy" || command == "move") {
    if (parts.size() < 3 || !DecodeEntry(parts[1], &mapped->source_bucket, &mapped->source_key) ||
        !DecodeEntry(parts[2], &mapped->bucket, &mapped->key)) {
      return BadEntry("path: entries");
    }
    input.operation = Operation::kUpload;
    input.copy_source = {mapped->source_bucket, mapped->source_key, {}, true};
    input.moves_source = command == "move";
    input.bucket = mapped->bucket;
    input.key = mapped->key;
    return absl::OkStatus();
  }
  if (command == "fetch") {  // /fetch/URL/to/ENTRY
    if (parts.size() < 4 || parts[2] != "to" || !DecodeEntry(parts[3], &mapped->bucket, &mapped->key)) {
      return BadEntry("path: entry");
    }
    input.operation = Operation::kFetch;
    input.bucket = mapped->bucket;
    input.key = mapped->key;
    return absl::OkStatus();
  }
  if (command == "mkbucketv2" || command == "mkbucketv3" || command == "drop") {
    if (parts.size() < 2) return BadEntry("path: bucket");
    input.operation = command == "drop" ? Operation::kDeleteBucket : Operation::kCreateBucket;
    // v2 encodes the name, the others write it plain.
    if (command != "mkbucketv2" || !absl::WebSafeBase64Unescape(parts[1], &mapped->bucket)) {
      mapped->bucket = std::string(PercentDecode(parts[1], &mapped->scratch));
    }
    input.bucket = mapped->bucket;
    return absl::OkStatus();
  }
  for (const Command& each : kCommands) {
    if (each.name != command) continue;
    input.operation = each.operation;
    if (writes && input.operation == Operation::kManageRead) input.operation = Operation::kManageWrite;
    input.deletes_unnamed = command == "batch";
    if (!each.has_entry) return absl::OkStatus();
    if (parts.size() < 2 || !DecodeEntry(parts[1], &mapped->bucket, &mapped->key)) return BadEntry("path: entry");
    input.bucket = mapped->bucket;
    input.key = mapped->key;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("path: wanted a call of up, rs, rsf, uc or io, got \"/",
                                                 absl::CHexEscape(command.substr(0, 32)), "\""));
}

absl::string_view KodoAccessKey(const GatewayRequest& request, absl::string_view query, std::string* buffer) {
  absl::string_view header = request.Header("authorization");
  for (const absl::string_view scheme : {"Qiniu ", "QBox ", "UpToken "}) {
    if (absl::ConsumePrefix(&header, scheme)) return header.substr(0, header.find(':'));
  }
  const absl::string_view token = FindParameter(query, "token", buffer).value_or(absl::string_view());
  return token.substr(0, token.find(':'));
}

}  // namespace sluice
