// Envoy's services as bytes: what each answer must have for Envoy to do what the decision says.
#include <map>

#include "envoy/service/auth/v3/external_auth.pb.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/doors/envoy_authorization.h"
#include "server/doors/envoy_rate_limit.h"
#include "tests/server/door_node.h"

namespace sluice {
namespace {

namespace auth = envoy::service::auth::v3;
namespace rls = envoy::service::ratelimit::v3;
using ::testing::HasSubstr;

class EnvoyDoorsTest : public DoorTest {
 protected:
  auth::CheckRequest Get(const std::string& path, const std::string& host = "s3.example.cn") {
    auth::CheckRequest request;
    auto* attributes = request.mutable_attributes();
    attributes->mutable_source()->mutable_address()->mutable_socket_address()->set_address("203.0.113.9");
    auto* http = attributes->mutable_request()->mutable_http();
    http->set_id("42");
    http->set_method("GET");
    http->set_path(path);
    http->set_host(host);
    return request;
  }
  auth::CheckResponse Authorize(const auth::CheckRequest& request) {
    EnvoyAuthorization method(&options_, &node_.checker());
    std::string bytes;
    EXPECT_TRUE(method.Call(request.SerializeAsString(), {}, &bytes).ok());
    auth::CheckResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_TRUE(response.has_status());  // an answer without one would let the request pass
    for (const auto& option : response.denied_response().headers()) {
      EXPECT_TRUE(option.has_append());
      EXPECT_FALSE(option.append().value());
    }
    return response;
  }
  static std::string HeaderOf(const auth::DeniedHttpResponse& denied, const std::string& name) {
    for (const auto& option : denied.headers()) {
      if (option.header().key() == name) return option.header().value();
    }
    return "(none)";
  }
  static std::string Metadata(const google::protobuf::Struct& metadata, const std::string& name) {
    const auto found = metadata.fields().find(name);
    return found == metadata.fields().end() ? "(none)" : found->second.string_value();
  }

  using Entries = std::vector<std::pair<std::string, std::string>>;
  static void AddDescriptor(rls::RateLimitRequest* request, const Entries& entries, int64_t hits = -1) {
    auto* descriptor = request->add_descriptors();
    for (const auto& [key, value] : entries) {
      auto* entry = descriptor->add_entries();
      entry->set_key(key);
      entry->set_value(value);
    }
    if (hits >= 0) descriptor->mutable_hits_addend()->set_value(static_cast<uint64_t>(hits));
  }
  absl::StatusOr<rls::RateLimitResponse> Limit(const rls::RateLimitRequest& request) {
    EnvoyRateLimit method(&options_, &node_.checker());
    std::string bytes;
    if (absl::Status status = method.Call(request.SerializeAsString(), {}, &bytes); !status.ok()) return status;
    rls::RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_EQ(response.statuses_size(), request.descriptors_size());
    return response;
  }
  absl::StatusOr<rls::RateLimitResponse> Limit(const Entries& entries, int64_t hits = -1) {
    rls::RateLimitRequest request;
    request.set_domain("sluice");
    AddDescriptor(&request, entries, hits);
    return Limit(request);
  }
};

TEST_F(EnvoyDoorsTest, AnAllowIsAnExplicitZero) {
  const auth::CheckResponse response = Authorize(Get("/b1/k"));
  EXPECT_EQ(response.status().code(), 0);
  EXPECT_TRUE(response.has_ok_response());
  EXPECT_EQ(Metadata(response.dynamic_metadata(), "verdict"), "ALLOW");
  EXPECT_GT(response.dynamic_metadata().fields().at("revision").number_value(), 0);
}

TEST_F(EnvoyDoorsTest, DenialsCarryStatusBodyHeadersAndMetadata) {
  const auth::CheckResponse frozen = Authorize(Get("/b2/k?sig=SECRET"));
  EXPECT_EQ(frozen.status().code(), 7);
  EXPECT_EQ(frozen.denied_response().status().code(), 403);
  EXPECT_THAT(frozen.denied_response().body(), HasSubstr("AccountProblem"));
  EXPECT_THAT(frozen.denied_response().body(), HasSubstr("<Resource>/b2/k</Resource>"));
  EXPECT_EQ(HeaderOf(frozen.denied_response(), "content-type"), "application/xml");
  EXPECT_EQ(Metadata(frozen.dynamic_metadata(), "reason"), "ACCOUNT_FROZEN");
  EXPECT_EQ(Metadata(frozen.dynamic_metadata(), "clause"), "7.2.1");

  const auth::CheckResponse ordered = Authorize(Get("/b1/ordered"));
  EXPECT_EQ(static_cast<int>(ordered.denied_response().status().code()), 451);
  EXPECT_THAT(HeaderOf(ordered.denied_response(), "Link"), HasSubstr("blocked-by"));
  EXPECT_EQ(HeaderOf(ordered.denied_response(), "Cache-Control"), "no-store");

  Authorize(Get("/b3/k"));
  const auth::CheckResponse throttled = Authorize(Get("/b3/k"));
  EXPECT_EQ(throttled.status().code(), 8);
  EXPECT_EQ(throttled.denied_response().status().code(), 503);
  EXPECT_EQ(HeaderOf(throttled.denied_response(), "Retry-After"), "4");
}

// 419 and 573 are in no list of Envoy's; proto3 enums are open, so they go over as numbers.
TEST_F(EnvoyDoorsTest, StatusesThatEnvoyHasNoNameFor) {
  auth::CheckRequest request = Get("/k", "www.example.cn");
  (*request.mutable_attributes()->mutable_context_extensions())["profile"] = "kodo";
  (*request.mutable_attributes()->mutable_context_extensions())["bucket"] = "b2";
  (*request.mutable_attributes()->mutable_context_extensions())["account"] = "u2";
  EXPECT_EQ(static_cast<int>(Authorize(request).denied_response().status().code()), 419);
}

TEST_F(EnvoyDoorsTest, ContextExtensionsGoBeforeTheRequest) {
  auth::CheckRequest request = Get("/b1/k");
  auto& extensions = *request.mutable_attributes()->mutable_context_extensions();
  extensions["bucket"] = "b2";
  EXPECT_EQ(Authorize(request).status().code(), 7);
  extensions["operation"] = "MANAGE_READ";
  EXPECT_EQ(Authorize(request).status().code(), 0);
  extensions["operation"] = "NONSENSE";
  EXPECT_EQ(Authorize(request).status().code(), 3);
  extensions.erase("operation");
  extensions["profile"] = "nonsense";
  const auth::CheckResponse unmapped = Authorize(request);
  EXPECT_EQ(unmapped.status().code(), 3);
  EXPECT_EQ(unmapped.denied_response().status().code(), 400);
}

TEST_F(EnvoyDoorsTest, HeadersOfBothForms) {
  auth::CheckRequest request = Get("/b1/flagged");
  (*request.mutable_attributes()->mutable_request()->mutable_http()->mutable_headers())["x-request-id"] = "r9";
  EXPECT_THAT(Authorize(request).denied_response().body(), HasSubstr("<RequestId>r9</RequestId>"));
  request = Get("/b1/flagged");
  auto* header = request.mutable_attributes()->mutable_request()->mutable_http()->mutable_header_map()->add_headers();
  header->set_key("x-request-id");
  header->set_raw_value("r10");
  EXPECT_THAT(Authorize(request).denied_response().body(), HasSubstr("<RequestId>r10</RequestId>"));
  EXPECT_THAT(Authorize(Get("/b1/flagged")).denied_response().body(), HasSubstr("<RequestId>42</RequestId>"));
}

// An answer that Envoy cannot read is an error to it, and an error lets the request pass where it fails open.
TEST_F(EnvoyDoorsTest, NoRequestIdMakesAnAnswerUnreadable) {
  const auto refused = [&](const std::string& id, bool of_header) {
    auth::CheckRequest request = Get("/b1/flagged");
    auto* const http = request.mutable_attributes()->mutable_request()->mutable_http();
    if (of_header) {
      auto* const header = http->mutable_header_map()->add_headers();
      header->set_key("x-request-id");
      header->set_raw_value(id);
    } else {
      http->set_id(id);
    }
    return Authorize(request).denied_response().body();  // fails where the answer is no message
  };
  // Not UTF-8: the id that Envoy itself gave.
  EXPECT_THAT(refused("\xe3R", true), HasSubstr("<RequestId>42</RequestId>"));
  // Cut between characters: 85 of three bytes fit into 256.
  std::string id, cut;
  for (int i = 0; i < 100; ++i) (i < 85 ? cut : id) += "\xe4\xb8\xad";
  id = cut + id;
  for (const bool of_header : {true, false}) {
    EXPECT_THAT(refused(id, of_header), HasSubstr("<RequestId>" + cut + "</RequestId>"));
  }
}

TEST_F(EnvoyDoorsTest, WhatIsEmptyOrBrokenIsNeverAllowed) {
  EXPECT_EQ(Authorize(auth::CheckRequest()).status().code(), 3);
  EnvoyAuthorization method(&options_, &node_.checker());
  std::string bytes;
  EXPECT_TRUE(absl::IsInvalidArgument(method.Call("\xff\xff", {}, &bytes)));
  EXPECT_EQ(bytes, "");
}

TEST_F(EnvoyDoorsTest, DescriptorsAreChecksThatSpend) {
  auto first = Limit({{"bucket", "b3"}, {"key", "k"}});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(first->statuses(0).code(), rls::RateLimitResponse::OK);
  auto second = Limit({{"bucket", "b3"}, {"key", "k"}});
  EXPECT_EQ(second->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(second->statuses(0).code(), rls::RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(second->statuses(0).duration_until_reset().seconds(), 4);
  // Envoy's X-RateLimit-Limit, -Remaining and -Reset: a quarter a second is fifteen a minute.
  EXPECT_EQ(second->statuses(0).current_limit().requests_per_unit(), 15u);
  EXPECT_EQ(second->statuses(0).current_limit().unit(), rls::RateLimitResponse::RateLimit::MINUTE);
  EXPECT_EQ(second->statuses(0).limit_remaining(), 0u);
  EXPECT_EQ(first->statuses(0).limit_remaining(), 0u);
  EXPECT_EQ(first->statuses(0).duration_until_reset().seconds(), 4);
  std::map<std::string, std::string> headers;
  for (const auto& header : second->response_headers_to_add()) headers[header.key()] = header.value();
  EXPECT_EQ(headers["Retry-After"], "4");
  EXPECT_THAT(second->raw_body(), HasSubstr("SlowDown"));
  EXPECT_EQ(Metadata(second->dynamic_metadata(), "reason"), "RATE_LIMITED");
}

TEST_F(EnvoyDoorsTest, NoughtHitsLookAndSpendNothing) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Limit({{"bucket", "b3"}}, 0)->overall_code(), rls::RateLimitResponse::OK);
  }
  EXPECT_EQ(Limit({{"bucket", "b3"}}, 1)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit({{"bucket", "b3"}}, 0)->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
}

TEST_F(EnvoyDoorsTest, AddendsAreBytesAndNeverRefused) {
  SetLimit limit;
  limit.limit_id = "l9";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u1";
  limit.dimension = Dimension::kBytesOut;
  limit.rate = 1000;
  node_.Apply(limit);
  EXPECT_EQ(Limit({{"bucket", "b1"}})->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit({{"bucket", "b1"}}, 1000000000)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit({{"bucket", "b1"}}, 1000000000)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit({{"bucket", "b1"}})->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
  // One byte is usage too where the descriptor says that it is.
  EXPECT_EQ(Limit({{"usage", "bytes_out"}, {"bucket", "b1"}}, 1)->overall_code(), rls::RateLimitResponse::OK);
}

TEST_F(EnvoyDoorsTest, AddendsNameAnObjectByThePathOfItsHost) {
  node_.Apply(LimitOfOneObject("b1", "a b"));
  const Entries about = {{"host", "www.example.cn"}, {"path", "/a%20b?x=1"}};
  EXPECT_EQ(Limit(about)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit(about, 5000)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Limit(about)->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Limit({{"host", "www.example.cn"}, {"path", "/k"}})->overall_code(), rls::RateLimitResponse::OK);
}

// Both services answer from one state.
TEST_F(EnvoyDoorsTest, WhatOneServiceSpendsTheOtherHasNot) {
  const Entries about = {{"bucket", "b3"}, {"key", "k"}};
  EXPECT_EQ(Limit(about)->overall_code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(Authorize(Get("/b3/k")).status().code(), 8);
  node_.clock().Advance(absl::Seconds(4));
  EXPECT_EQ(Authorize(Get("/b3/k")).status().code(), 0);
  EXPECT_EQ(Limit(about)->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
}

TEST_F(EnvoyDoorsTest, OverLimitWhereAnyDescriptorIs) {
  rls::RateLimitRequest request;
  AddDescriptor(&request, {{"bucket", "b1"}});
  AddDescriptor(&request, {{"bucket", "b2"}, {"operation", "DOWNLOAD"}});
  AddDescriptor(&request, {{"generic_key", "label"},
                           {"host", "www.example.cn"},
                           {"path", "/x?y"},
                           {"remote_address", "203.0.113.9"},
                           {"method", "GET"}});
  const auto response = Limit(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->overall_code(), rls::RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response->statuses(0).code(), rls::RateLimitResponse::OK);
  EXPECT_EQ(response->statuses(1).code(), rls::RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response->statuses(2).code(), rls::RateLimitResponse::OK);
}

TEST_F(EnvoyDoorsTest, DescriptorsThatCannotBeMappedAreErrors) {
  for (const Entries& entries :
       {Entries{}, Entries{{"generic_key", "x"}}, Entries{{"colour", "red"}, {"bucket", "b1"}},
        Entries{{"bucket", "b1"}, {"operation", "x"}}, Entries{{"bucket", "b1"}, {"path", "x"}},
        Entries{{"bucket", "b1"}, {"remote_address", "x"}}, Entries{{"bucket", "b1"}, {"usage", "x"}}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Limit(entries).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Limit(rls::RateLimitRequest()).status()));
}

}  // namespace
}  // namespace sluice
