// How each profile reads a check out of a request, and what it refuses to read.
#include "server/doors/mapping.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/doors/url.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Asked {
  std::string method, target, host;
  std::vector<HttpHeader> headers;
};

class MappingTest : public testing::Test {
 protected:
  absl::Status Try(Profile profile, const Asked& asked) {
    mapped_ = std::make_unique<MappedCheck>();
    asked_ = asked;
    GatewayRequest request;
    request.method = asked_.method;
    request.target = asked_.target;
    request.host = asked_.host;
    request.headers = asked_.headers;
    return Map(options_, profile, request, mapped_.get());
  }
  const CheckInput& Mapped(Profile profile, const Asked& asked) {
    const absl::Status status = Try(profile, asked);
    EXPECT_TRUE(status.ok()) << status << " " << asked.method << " " << asked.target;
    return mapped_->input;
  }
  // "OPERATION bucket/key".
  std::string S3(const std::string& method, const std::string& target, std::vector<HttpHeader> headers = {}) {
    const CheckInput& input = Mapped(Profile::kS3Path, {method, target, "", std::move(headers)});
    return std::string(Name(input.operation)) + " " + std::string(input.bucket) + "/" + std::string(input.key);
  }
  std::string Kodo(const std::string& method, const std::string& target, std::vector<HttpHeader> headers = {}) {
    const CheckInput& input = Mapped(Profile::kKodo, {method, target, "up.kodo.example.cn", std::move(headers)});
    return std::string(Name(input.operation)) + " " + std::string(input.bucket) + "/" + std::string(input.key);
  }

  MappingOptions options_;
  Asked asked_;
  std::unique_ptr<MappedCheck> mapped_;
};

const HttpHeader kSigned = {"authorization",
                            "AWS4-HMAC-SHA256 Credential=AK1/20260101/cn/s3/aws4_request, Signature=x"};

TEST_F(MappingTest, CdnReadsHostAndPath) {
  const CheckInput& input =
      Mapped(Profile::kCdn, {"GET", "/a%20b/c.jpg?sign=secret", "CDN.Example.CN:443", {{"x-request-id", "r1"}}});
  EXPECT_EQ(input.operation, Operation::kPublicRead);
  EXPECT_EQ(input.host, "cdn.example.cn");
  EXPECT_EQ(input.path, "/a%20b/c.jpg");
  EXPECT_EQ(input.bucket, "");
  EXPECT_EQ(input.request_id, "r1");
  EXPECT_EQ(input.dialect, Dialect::kGeneric);
  EXPECT_EQ(Mapped(Profile::kCdn, {"DELETE", "/a", "h.cn"}).operation, Operation::kDelete);
  EXPECT_EQ(Mapped(Profile::kCdn, {"POST", "/a", "h.cn"}).operation, Operation::kUpload);
  EXPECT_EQ(Mapped(Profile::kCdn, {"GET", "http://h2.cn/x?y", "h.cn"}).host, "h2.cn");
}

TEST_F(MappingTest, CdnRefusesWhatGatewaysResolveDifferently) {
  for (const char* target : {"/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/./b", "/a%2f..%2fb", "/.."}) {
    EXPECT_FALSE(Try(Profile::kCdn, {"GET", target, "h.cn"}).ok()) << target;
  }
  for (const char* target : {"/a..b", "/...", "/a/.well-known/x", "/x?y=/../z"}) {
    EXPECT_TRUE(Try(Profile::kCdn, {"GET", target, "h.cn"}).ok()) << target;
  }
  options_.merge_slashes = true;
  EXPECT_EQ(Mapped(Profile::kCdn, {"GET", "//a///b", "h.cn"}).path, "/a/b");
  // nginx decodes first.
  for (const char* path : {"/a/%2Fb%20c", "/a%2F/b%20c", "/a%2fb%20c", "%2F%2f/a%2F%2Fb%20c", "/a/b%20c"}) {
    EXPECT_EQ(Mapped(Profile::kCdn, {"GET", std::string("/") + path, "h.cn"}).path, "/a/b%20c") << path;
  }
  EXPECT_EQ(Mapped(Profile::kCdn, {"GET", "/a%2", "h.cn"}).path, "/a%2");
  options_.merge_slashes = false;
  EXPECT_EQ(Mapped(Profile::kCdn, {"GET", "/a/%2Fb", "h.cn"}).path, "/a/%2Fb");
}

// nginx cuts there for itself and hands it on to others, RGW takes it for a piece of the key.
TEST_F(MappingTest, AFragmentIsRefusedInEveryProfile) {
  options_.domains = {"kodo.example.cn"};
  for (const Profile profile : {Profile::kCdn, Profile::kS3Path, Profile::kS3Vhost, Profile::kKodo}) {
    for (const char* target : {"/b1/clip#1.mp4", "/b1/k#", "/b1/k?x#SECRET", "http://h.cn/b1/k#SECRET"}) {
      const absl::Status status = Try(profile, {"GET", target, "www.example.cn"});
      EXPECT_FALSE(status.ok()) << target;
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr("SECRET")));
    }
    EXPECT_TRUE(Try(profile, {"GET", "/b1/clip%231.mp4", "www.example.cn"}).ok());
  }
  EXPECT_EQ(S3("GET", "/b1/clip%231.mp4"), "PUBLIC_READ b1/clip#1.mp4");
}

TEST_F(MappingTest, ErrorsAreNeverAllowsAndNeverEchoQueries) {
  const absl::Status no_host = Try(Profile::kCdn, {"GET", "/a", ""});
  EXPECT_THAT(std::string(no_host.message()), HasSubstr("host: wanted"));
  EXPECT_FALSE(Try(Profile::kCdn, {"GET", "/a", "bad host"}).ok());
  EXPECT_FALSE(Try(Profile::kCdn, {"", "/a", "h.cn"}).ok());
  EXPECT_FALSE(Try(Profile::kCdn, {"BREW", "/a", "h.cn"}).ok());
  EXPECT_FALSE(Try(Profile::kCdn, {"GET", "*", "h.cn"}).ok());
  EXPECT_FALSE(Try(Profile::kS3Path, {"GET", "", ""}).ok());
  const absl::Status status = Try(Profile::kS3Path, {"GET", "b/k?X-Amz-Signature=SECRET", ""});
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("SECRET")));
}

TEST_F(MappingTest, S3OperationsByMethodKeyAndSubresource) {
  EXPECT_EQ(S3("GET", "/b1/dir/k%201"), "PUBLIC_READ b1/dir/k 1");
  EXPECT_EQ(S3("GET", "/b1/k", {kSigned}), "DOWNLOAD b1/k");
  EXPECT_EQ(S3("HEAD", "/b1/k", {kSigned}), "LIST b1/k");
  EXPECT_EQ(S3("HEAD", "/b1/k"), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F2026"), "DOWNLOAD b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?AWSAccessKeyId=AK&Signature=s"), "DOWNLOAD b1/k");
  EXPECT_EQ(S3("PUT", "/b1/k"), "UPLOAD b1/k");
  EXPECT_EQ(S3("PUT", "/b1/k?partNumber=1&uploadId=u"), "UPLOAD b1/k");
  EXPECT_EQ(S3("PUT", "/b1/k?tagging"), "MANAGE_WRITE b1/k");
  EXPECT_EQ(S3("POST", "/b1/k?uploads"), "UPLOAD b1/k");
  EXPECT_EQ(S3("POST", "/b1/k?uploadId=u"), "UPLOAD b1/k");
  EXPECT_EQ(S3("POST", "/b1/k?select&select-type=2"), "PROCESS b1/k");
  EXPECT_EQ(S3("POST", "/b1/k?restore"), "MANAGE_WRITE b1/k");
  EXPECT_EQ(S3("DELETE", "/b1/k"), "DELETE b1/k");
  EXPECT_EQ(S3("DELETE", "/b1/k?uploadId=u"), "DELETE b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?uploadId=u", {kSigned}), "LIST b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?%61cl"), "MANAGE_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/"), "LIST b1/");
  EXPECT_EQ(S3("GET", "/b1?list-type=2&prefix=x"), "LIST b1/");
  EXPECT_EQ(S3("GET", "/b1/?location"), "MANAGE_READ b1/");
  EXPECT_EQ(S3("GET", "/b1?uploads"), "LIST b1/");
  EXPECT_EQ(S3("PUT", "/b1"), "CREATE_BUCKET b1/");
  EXPECT_EQ(S3("PUT", "/b1?policy"), "MANAGE_WRITE b1/");
  EXPECT_EQ(S3("DELETE", "/b1"), "DELETE_BUCKET b1/");
  EXPECT_EQ(S3("POST", "/b1?delete"), "DELETE b1/");
  EXPECT_EQ(S3("POST", "/b1"), "UPLOAD b1/");
  EXPECT_EQ(S3("GET", "/"), "MANAGE_READ /");
  EXPECT_FALSE(Try(Profile::kS3Path, {"PATCH", "/b1/k", ""}).ok());
}

// Else any reader could turn a public read, which arrears close, into something that they leave open.
TEST_F(MappingTest, WhatAnS3ServerIgnoresChangesNothing) {
  EXPECT_EQ(S3("GET", "/b1/k?policy"), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?token=AK:x"), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?X-Amz-Credential=AK"), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k", {{"authorization", "Qiniu AK:x"}}), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?ACL"), "PUBLIC_READ b1/k");
  EXPECT_EQ(S3("GET", "/b1/k?tagging&uploadId=u", {kSigned}), "LIST b1/k");
  for (const char* name : {"acl", "retention", "legal-hold"}) {
    EXPECT_EQ(S3("GET", std::string("/b1/k?") + name), "MANAGE_READ b1/k") << name;
    EXPECT_EQ(S3("PUT", std::string("/b1/k?") + name), "MANAGE_WRITE b1/k") << name;
    EXPECT_EQ(S3("DELETE", std::string("/b1/k?") + name), "DELETE b1/k") << name;
  }
  EXPECT_EQ(S3("DELETE", "/b1/k?tagging"), "MANAGE_WRITE b1/k");
  EXPECT_EQ(S3("DELETE", "/b1/k?tagging&uploadId=u"), "DELETE b1/k");
  for (const char* name : {"acl", "tagging", "retention", "legal-hold"}) {
    EXPECT_EQ(S3("HEAD", std::string("/b1/k?") + name), "PUBLIC_READ b1/k") << name;
    EXPECT_EQ(S3("HEAD", std::string("/b1/k?") + name, {kSigned}), "LIST b1/k") << name;
  }
  EXPECT_EQ(S3("POST", "/b1/k"), "UPLOAD b1/k");  // RGW: a form
  EXPECT_EQ(S3("POST", "/b1/k?select"), "UPLOAD b1/k");
  EXPECT_EQ(S3("POST", "/b1/k?restore"), "MANAGE_WRITE b1/k");

  for (const char* name : {"accelerate", "encryption", "notification", "delete"}) {
    EXPECT_EQ(S3("GET", std::string("/b1?") + name), "LIST b1/") << name;
  }
  for (const char* name : {"acl", "location", "policy", "tagging"}) {
    EXPECT_EQ(S3("HEAD", std::string("/b1?") + name), "LIST b1/") << name;
  }
  for (const char* name : {"accelerate", "location", "policyStatus"}) {
    EXPECT_EQ(S3("PUT", std::string("/b1?") + name), "CREATE_BUCKET b1/") << name;
  }
  for (const char* name : {"accelerate", "acl", "location", "logging", "notification", "object-lock", "policyStatus",
                           "requestPayment", "versioning"}) {
    EXPECT_EQ(S3("DELETE", std::string("/b1?") + name), "DELETE_BUCKET b1/") << name;
  }
}

// And what it honours stays management, which a frozen account may do.
TEST_F(MappingTest, SettingsOfABucketByMethod) {
  for (const char* name : {"acl", "cors", "lifecycle", "location", "logging", "object-lock", "policy", "policyStatus",
                           "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning", "website"}) {
    EXPECT_EQ(S3("GET", std::string("/b1?") + name), "MANAGE_READ b1/") << name;
  }
  for (const char* name : {"acl", "cors", "encryption", "lifecycle", "logging", "notification", "object-lock", "policy",
                           "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning", "website"}) {
    EXPECT_EQ(S3("PUT", std::string("/b1?") + name), "MANAGE_WRITE b1/") << name;
  }
  for (const char* name :
       {"cors", "encryption", "lifecycle", "policy", "publicAccessBlock", "replication", "tagging", "website"}) {
    EXPECT_EQ(S3("DELETE", std::string("/b1?") + name), "MANAGE_WRITE b1/") << name;
  }
}

TEST_F(MappingTest, ACopyIsOneWhateverTheSubresource) {
  for (const char* name : {"acl", "retention", "legal-hold", "tagging"}) {
    EXPECT_EQ(S3("PUT", std::string("/b1/k?") + name, {{"x-amz-copy-source", "b2/k2"}}), "UPLOAD b1/k") << name;
    EXPECT_EQ(mapped_->input.copy_source.key, "k2");
  }
}

TEST_F(MappingTest, S3VersionCopySourceAndLength) {
  EXPECT_EQ(Mapped(Profile::kS3Path, {"GET", "/b1/k?versionId=v%2B1", ""}).version_id, "v+1");
  const CheckInput& copy =
      Mapped(Profile::kS3Path,
             {"PUT", "/b1/k", "", {{"x-amz-copy-source", "/b2/a%20b?versionId=v9"}, {"content-length", "0"}}});
  EXPECT_TRUE(copy.copy_source.set);
  EXPECT_EQ(copy.copy_source.bucket, "b2");
  EXPECT_EQ(copy.copy_source.key, "a b");
  EXPECT_EQ(copy.copy_source.version_id, "v9");
  EXPECT_EQ(Mapped(Profile::kS3Path, {"PUT", "/b1/k", "", {{"x-amz-copy-source", "b2%2Fk2"}}}).copy_source.key, "k2");
  EXPECT_EQ(Mapped(Profile::kS3Path, {"PUT", "/b1/k", "", {{"content-length", "70"}}}).bytes, 70);
  EXPECT_EQ(
      Mapped(Profile::kS3Path, {"PUT", "/b1/k", "", {{"content-length", "70"}, {"x-amz-decoded-content-length", "64"}}})
          .bytes,
      64);
  EXPECT_EQ(Mapped(Profile::kS3Path, {"PUT", "/b1/k", "", {{"content-length", "-7"}}}).bytes, 0);
}

// Decoded, then split, as servers do.
TEST_F(MappingTest, ACopySourceIsSplitAsServersSplitIt) {
  const auto copy = [this](const char* source) {
    const absl::Status status = Try(Profile::kS3Path, {"PUT", "/b9/k", "", {{"x-amz-copy-source", source}}});
    const ObjectView& read = mapped_->input.copy_source;
    return status.ok() ? std::string(read.bucket) + "|" + std::string(read.key) + "|" + std::string(read.version_id)
                       : "refused";
  };
  EXPECT_EQ(copy("b1/k"), "b1|k|");
  EXPECT_EQ(copy("/b1/k"), "b1|k|");
  EXPECT_EQ(copy("%2Fb1/k"), "b1|k|");
  EXPECT_EQ(copy("%2Fb1%2Fk"), "b1|k|");
  EXPECT_EQ(copy("b1%2Fdir/k"), "b1|dir/k|");
  EXPECT_EQ(copy("b1%2fdir%2Fk"), "b1|dir/k|");
  EXPECT_EQ(copy("b1/dir%2Fk"), "b1|dir/k|");
  EXPECT_EQ(copy("b1/a+b%20c"), "b1|a+b c|");
  EXPECT_EQ(copy("b1/k%3Fx"), "b1|k?x|");
  EXPECT_EQ(copy("b1/k%3FversionId=v"), "b1|k?versionId=v|");
  EXPECT_EQ(copy("b1/k?versionId=v%2B1"), "b1|k|v+1");
  EXPECT_EQ(copy("acme:b1/k"), "acme:b1|k|");  // RGW: of a tenant
  // RGW cuts at "?" for an object, and at "?versionId=" alone for a part of one; of two versions MinIO takes the first.
  for (const char* source : {"b1/k?x", "b1/k?", "b1/k?x=1&versionId=v", "b1/k?versionId=v&x",
                             "b1/k?versionId=v&versionId=w", "b1/k?versionid=v"}) {
    EXPECT_EQ(copy(source), "refused") << source;
  }
  // MinIO reads a URL.
  for (const char* source : {"b1/k#x", "//h/b1/k", "http://h/b1/k", "a:/b1/k", "/", "b1", "b1/", "%2F%2Fb1/k"}) {
    EXPECT_EQ(copy(source), "refused") << source;
  }
}

TEST_F(MappingTest, S3VirtualHosts) {
  options_.domains = {"s3.example.cn", "cn-east.s3.example.cn"};
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/k", "B1.s3.example.cn"}).bucket, "b1");
  EXPECT_EQ(mapped_->input.key, "k");
  EXPECT_EQ(mapped_->input.host, "");
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/k", "b.1.s3.example.cn"}).bucket, "b.1");
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/k", "b1.cn-east.s3.example.cn"}).bucket, "b1");
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/b1/k", "s3.example.cn"}).bucket, "b1");
  EXPECT_EQ(mapped_->input.key, "k");
  const CheckInput& own = Mapped(Profile::kS3Vhost, {"GET", "/k", "img.customer.cn"});
  EXPECT_EQ(own.host, "img.customer.cn");
  EXPECT_EQ(own.bucket, "");
  EXPECT_TRUE(own.bucket_of_host);
  EXPECT_EQ(own.operation, Operation::kPublicRead);
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/", "img.customer.cn"}).operation, Operation::kPublicRead);
  EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/", "b1.s3.example.cn"}).operation, Operation::kList);
  EXPECT_FALSE(mapped_->input.bucket_of_host);
  for (const char* address : {"10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80"}) {
    EXPECT_EQ(Mapped(Profile::kS3Vhost, {"GET", "/b1/k", address}).bucket, "b1") << address;
    EXPECT_EQ(mapped_->input.key, "k") << address;
    EXPECT_EQ(mapped_->input.host, "") << address;
    EXPECT_FALSE(mapped_->input.bucket_of_host) << address;
  }
}

TEST_F(MappingTest, KodoApisBelowTheDomainsAndReadsElsewhere) {
  options_.domains = {"kodo.example.cn"};
  EXPECT_EQ(Kodo("POST", "/put/100/key/azE="), "UPLOAD /k1");
  // {"scope":"b1:k1"}
  EXPECT_EQ(Kodo("POST", "/mkblk/4194304", {{"authorization", "UpToken AK:s:eyJzY29wZSI6ImIxOmsxIn0="}}),
            "UPLOAD b1/k1");
  EXPECT_EQ(Kodo("POST", "/"), "UPLOAD /");
  EXPECT_EQ(Kodo("PUT", "/buckets/b1/objects/azE=/uploads/u1/1"), "UPLOAD b1/k1");
  EXPECT_EQ(Kodo("POST", "/buckets/b1/objects/~/uploads"), "UPLOAD b1/");
  EXPECT_EQ(Kodo("POST", "/stat/YjE6azE="), "LIST b1/k1");
  EXPECT_EQ(Kodo("POST", "/delete/YjE6azE="), "DELETE b1/k1");
  EXPECT_EQ(Kodo("POST", "/chstatus/YjE6azE=/status/0"), "MANAGE_WRITE b1/k1");
  EXPECT_EQ(Kodo("POST", "/move/YjE6azE=/YjE6azI=/force/true"), "UPLOAD b1/k2");
  EXPECT_EQ(mapped_->input.copy_source.key, "k1");
  EXPECT_TRUE(mapped_->input.moves_source);
  EXPECT_EQ(Kodo("POST", "/copy/YjE6azE=/YjE6azI=/force/true"), "UPLOAD b1/k2");
  EXPECT_FALSE(mapped_->input.moves_source);
  EXPECT_FALSE(mapped_->input.deletes_unnamed);
  EXPECT_EQ(Kodo("POST", "/fetch/aHR0cDovL3g=/to/YjE6azE="), "FETCH b1/k1");
  EXPECT_EQ(Kodo("GET", "/list?bucket=b1&prefix=x"), "LIST b1/");
  EXPECT_EQ(Kodo("GET", "/v2/domains?tbl=b1"), "MANAGE_READ /");
  EXPECT_EQ(Kodo("GET", "/buckets"), "MANAGE_READ /");
  EXPECT_EQ(Kodo("POST", "/mkbucketv3/b1/region/z0"), "CREATE_BUCKET b1/");
  EXPECT_EQ(Kodo("POST", "/drop/b1"), "DELETE_BUCKET b1/");
  EXPECT_EQ(Kodo("POST", "/batch"), "MANAGE_WRITE /");
  EXPECT_TRUE(mapped_->input.deletes_unnamed);
  EXPECT_FALSE(Try(Profile::kKodo, {"POST", "/stat/%%%", "rs.kodo.example.cn"}).ok());
  EXPECT_FALSE(Try(Profile::kKodo, {"POST", "/unheard/of", "rs.kodo.example.cn"}).ok());

  const CheckInput& read = Mapped(Profile::kKodo, {"GET", "/stat/x?imageInfo", "dn.customer.cn"});
  EXPECT_EQ(read.operation, Operation::kPublicRead);
  EXPECT_EQ(read.host, "dn.customer.cn");
  EXPECT_FALSE(Try(Profile::kKodo, {"POST", "/stat/YjE6azE=", "dn.customer.cn"}).ok());
}

TEST_F(MappingTest, TrustedHeadersOnlyWhereTheyAreNamed) {
  const Asked asked = {"GET", "/b1/k", "", {{"x-account", "u9"}, {"x-owner", "u8"}, {"x-op", "PROCESS"}, kSigned}};
  EXPECT_EQ(Mapped(Profile::kS3Path, asked).requester, "");
  options_.requester_from_access_key = true;
  EXPECT_EQ(Mapped(Profile::kS3Path, asked).requester, "AK1");
  options_.requester_header = "x-account";
  options_.owner_header = "x-owner";
  options_.operation_header = "x-op";
  const CheckInput& input = Mapped(Profile::kS3Path, asked);
  EXPECT_EQ(input.requester, "u9");
  EXPECT_EQ(input.owner, "u8");
  EXPECT_EQ(input.operation, Operation::kProcess);
  EXPECT_FALSE(Try(Profile::kS3Path, {"GET", "/b1/k", "", {{"x-op", "NONSENSE"}}}).ok());
}

TEST_F(MappingTest, DeclaredLengths) {
  const auto bytes = [this](std::vector<HttpHeader> headers) {
    return Mapped(Profile::kCdn, {"PUT", "/k", "www.example.cn", std::move(headers)}).bytes;
  };
  EXPECT_EQ(bytes({}), 0);
  EXPECT_EQ(bytes({{"content-length", "7"}}), 7);
  EXPECT_EQ(bytes({{"content-length", "0"}, {"x-original-content-length", "8"}}), 8);
  EXPECT_EQ(bytes({{"content-length", "7"}, {"x-original-content-length", ""}}), 7);
  EXPECT_EQ(bytes({{"content-length", "7"}, {"x-original-content-length", "1"}}), 7);  // a client that says less
  EXPECT_EQ(bytes({{"x-original-content-length", "8"}, {"x-amz-decoded-content-length", "6"}}), 6);
  EXPECT_EQ(bytes({{"content-length", "-7"}}), 0);
  EXPECT_EQ(bytes({{"content-length", "much"}}), 0);
}

TEST_F(MappingTest, HostAndAddressInHeadersOfTheirOwn) {
  const Asked asked = {
      "GET", "/k", "proxy.example.cn", {{"x-host", "WWW.example.cn:80"}, {"x-address", "203.0.113.7"}}};
  EXPECT_EQ(Mapped(Profile::kCdn, asked).host, "proxy.example.cn");
  options_.host_header = "x-host";
  options_.address_header = "x-address";
  EXPECT_EQ(Mapped(Profile::kCdn, asked).host, "www.example.cn");
  EXPECT_EQ(Mapped(Profile::kCdn, asked).client_ip, "203.0.113.7");
  EXPECT_EQ(Mapped(Profile::kCdn, {"GET", "/k", "proxy.example.cn"}).host, "proxy.example.cn");
}

TEST(Url, ForwardedAddressCountsFromTheRight) {
  EXPECT_EQ(ForwardedAddress("1.1.1.1, 2.2.2.2", 1), "2.2.2.2");
  EXPECT_EQ(ForwardedAddress("1.1.1.1, 2.2.2.2", 2), "1.1.1.1");
  EXPECT_EQ(ForwardedAddress("1.1.1.1", 3), "1.1.1.1");
  EXPECT_EQ(ForwardedAddress("2.2.2.2:99", 1), "2.2.2.2");
  EXPECT_EQ(ForwardedAddress("[2001:db8::1]:99", 1), "2001:db8::1");
  EXPECT_EQ(ForwardedAddress("2001:db8::1", 1), "2001:db8::1");
  EXPECT_EQ(ForwardedAddress("", 1), "");
}

TEST(Url, Parameters) {
  std::string buffer;
  EXPECT_EQ(FindParameter("a=1&b=x%2By+z&b=2", "b", &buffer).value_or("none"), "x+y z");
  EXPECT_EQ(FindParameter("a&&c=", "c", &buffer).value_or("none"), "");
  EXPECT_EQ(FindParameter("a=1", "b", &buffer).value_or("none"), "none");
}

}  // namespace
}  // namespace sluice
