#include "server/doors/mapping.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "enforcement/address_block.h"
#include "enforcement/names.h"
#include "enforcement/trace_context.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

constexpr std::pair<Profile, absl::string_view> kProfiles[] = {
    {Profile::kCdn, "cdn"}, {Profile::kS3Path, "s3-path"}, {Profile::kS3Vhost, "s3-vhost"}, {Profile::kKodo, "kodo"}};

constexpr size_t kMethodBytesMax = 32;

absl::Status Wanted(absl::string_view what, absl::string_view wanted, absl::string_view got) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": wanted ", wanted, ", got \"", absl::CHexEscape(got.substr(0, 64)), "\""));
}

// "/BUCKET/KEY": both decoded.
void SplitBucketAndKey(absl::string_view path, MappedCheck* mapped) {
  path.remove_prefix(1);
  const size_t slash = path.find('/');
  mapped->input.bucket = PercentDecode(path.substr(0, slash), &mapped->bucket);
  if (slash != absl::string_view::npos) mapped->input.key = PercentDecode(path.substr(slash + 1), &mapped->key);
}

// The bucket of "BUCKET.DOMAIN", an empty one of the domain itself; nothing for a host that is not below a domain.
absl::optional<absl::string_view> BucketOfHost(const MappingOptions& options, absl::string_view host) {
  absl::optional<absl::string_view> bucket;
  for (const std::string& domain : options.domains) {
    if (host == domain) return absl::string_view();
    if (host.size() > domain.size() + 1 && absl::EndsWith(host, domain) &&
        host[host.size() - domain.size() - 1] == '.') {
      const absl::string_view found = host.substr(0, host.size() - domain.size() - 1);
      if (!bucket || found.size() < bucket->size()) bucket = found;  // the longest domain speaks
    }
  }
  return bucket;
}

absl::Status MapOverrides(const MappingOptions& options, const GatewayRequest& request, CheckInput* input) {
  const auto take = [&](const std::string& name, absl::string_view* field) {
    if (const absl::string_view value = request.Header(name); !value.empty()) *field = value;
  };
  take(options.requester_header, &input->requester);
  take(options.owner_header, &input->owner);
  take(options.bucket_header, &input->bucket);
  take(options.key_header, &input->key);
  const absl::string_view word = request.Header(options.operation_header);
  if (word.empty()) return absl::OkStatus();
  const absl::optional<Operation> operation = ParseOperation(word);
  if (!operation || *operation == Operation::kUnspecified) {
    return Wanted(options.operation_header, "an operation such as DOWNLOAD", word);
  }
  input->operation = *operation;
  return absl::OkStatus();
}

absl::Status MapS3(const GatewayRequest& request, absl::string_view query, MappedCheck* mapped) {
  const bool is_signed = !S3AccessKey(request, query, &mapped->scratch).empty();
  return MapS3Operation(request.method, query, is_signed, request.Header("x-amz-copy-source"), mapped);
}

int64_t LengthIn(const GatewayRequest& request, absl::string_view header) {
  int64_t bytes = 0;
  return absl::SimpleAtoi(request.Header(header), &bytes) && bytes > 0 ? bytes : 0;
}

// The declared length of the body: S3's own, of what is inside its framing; else the request's, or that of a gateway
// whose question has no body. The greater, so that no client makes itself smaller where its gateway does not set the
// latter.
void MapBytes(const GatewayRequest& request, CheckInput* input) {
  input->bytes = LengthIn(request, "x-amz-decoded-content-length");
  if (input->bytes > 0) return;
  input->bytes = std::max(LengthIn(request, "content-length"), LengthIn(request, "x-original-content-length"));
}

}  // namespace

absl::string_view Name(Profile profile) {
  for (const auto& [value, name] : kProfiles) {
    if (value == profile) return name;
  }
  return "?";
}

absl::optional<Profile> ParseProfile(absl::string_view name) {
  for (const auto& [value, word] : kProfiles) {
    if (word == name) return value;
  }
  return absl::nullopt;
}

Dialect DialectOf(Profile profile) {
  switch (profile) {
    case Profile::kS3Path:
    case Profile::kS3Vhost:
      return Dialect::kS3;
    case Profile::kKodo:
      return Dialect::kKodo;
    case Profile::kCdn:
      break;
  }
  return Dialect::kGeneric;
}

absl::string_view GatewayRequest::Header(absl::string_view name) const {
  if (name.empty()) return {};
  for (const HttpHeader& header : headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

absl::Status MapMethod(absl::string_view method, MappedCheck* mapped) {
  static constexpr std::pair<absl::string_view, Operation> kMethods[] = {
      {"GET", Operation::kPublicRead},    {"HEAD", Operation::kPublicRead}, {"OPTIONS", Operation::kList},
      {"PUT", Operation::kUpload},        {"POST", Operation::kUpload},     {"PATCH", Operation::kUpload},
      {"DELETE", Operation::kDelete},     {"PROPFIND", Operation::kList},   {"COPY", Operation::kUpload},
      {"MOVE", Operation::kUpload},       {"MKCOL", Operation::kUpload},    {"PROPPATCH", Operation::kUpload},
      {"PURGE", Operation::kManageWrite},
  };
  for (const auto& [name, operation] : kMethods) {
    if (name == method) {
      mapped->input.operation = operation;
      return absl::OkStatus();
    }
  }
  return Wanted("method", "one that reads, writes, deletes or lists", method.substr(0, kMethodBytesMax));
}

absl::string_view RequestIdOf(absl::string_view given) {
  if (!IsUtf8(given)) return {};
  size_t size = std::min(given.size(), kIdBytesMax);
  while (size < given.size() && (given[size] & 0xC0) == 0x80) --size;  // within a character
  return given.substr(0, size);
}

absl::Status Map(const MappingOptions& options, Profile profile, const GatewayRequest& request, MappedCheck* mapped) {
  CheckInput& input = mapped->input;
  input.dialect = DialectOf(profile);
  input.request_id = RequestIdOf(request.Header("x-request-id"));
  input.trace_parent = ParseTraceParent(request.Header("traceparent"));
  const absl::string_view address = request.Header(options.address_header);
  input.client_ip = address.empty() ? request.client_ip : address;

  const absl::optional<UrlParts> url = SplitTarget(request.target);
  if (!url) {
    return Wanted("target", "a path with a leading \"/\", or an http URL, without \"#\"",
                  request.target.substr(0, request.target.find_first_of("?#")));
  }
  // The host as the engine would write it: what it cannot write, nobody may be asked for.
  absl::string_view said_host = request.Header(options.host_header);
  if (said_host.empty()) said_host = url->host.empty() ? request.host : url->host;
  absl::string_view host;
  if (!said_host.empty()) {
    const absl::StatusOr<absl::string_view> canonical = CanonicalHost(said_host, &mapped->host);
    if (!canonical.ok()) return Wanted("host", "the name of a host", said_host);
    host = *canonical;
  }

  absl::Status status;
  switch (profile) {
    case Profile::kCdn:
      if (host.empty()) return Wanted("host", "the domain that was asked for", "");
      if (HasDotSegment(url->path)) return Wanted("path", "no \".\" and \"..\" segments", url->path);
      input.host = host;
      input.path = options.merge_slashes ? MergeSlashes(url->path, &mapped->path) : url->path;
      status = MapMethod(request.method, mapped);
      break;
    case Profile::kS3Path:
      SplitBucketAndKey(url->path, mapped);
      status = MapS3(request, url->query, mapped);
      break;
    case Profile::kS3Vhost: {
      if (host.empty()) return Wanted("host", "BUCKET.DOMAIN or a domain that is bound to a bucket", "");
      const absl::optional<absl::string_view> bucket = BucketOfHost(options, host);
      // Servers take an address for one of their own names.
      if (bucket ? bucket->empty() : ParseAddress(absl::StripSuffix(absl::StripPrefix(host, "["), "]")).has_value()) {
        SplitBucketAndKey(url->path, mapped);
      } else {
        input.key = PercentDecode(url->path.substr(1), &mapped->key);
        if (bucket) {
          input.bucket = *bucket;
        } else {
          input.host = host;  // the engine finds its bucket
          input.path = url->path;
          input.bucket_of_host = true;
        }
      }
      status = MapS3(request, url->query, mapped);
      break;
    }
    case Profile::kKodo:
      if (host.empty()) return Wanted("host", "an endpoint or a download domain", "");
      if (BucketOfHost(options, host)) {
        status = MapKodoApi(request, url->path, url->query, mapped);
      } else if (request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS") {
        input.host = host;
        input.path = url->path;
        input.operation = Operation::kPublicRead;
      } else {
        status = Wanted("method", "GET or HEAD of a download domain (doors.domains names the endpoints)",
                        request.method.substr(0, kMethodBytesMax));
      }
      break;
  }
  if (!status.ok()) return status;
  MapBytes(request, &input);
  if (options.requester_from_access_key && options.requester_header.empty()) {
    input.requester = profile == Profile::kKodo  ? KodoAccessKey(request, url->query, &mapped->scratch)
                      : profile == Profile::kCdn ? absl::string_view()
                                                 : S3AccessKey(request, url->query, &mapped->scratch);
  }
  return MapOverrides(options, request, &input);
}

}  // namespace sluice
