// The doors that answer a proxy: nginx's auth_request, forward auth, and the JSON of sluice.v1.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/doors/check_door.h"
#include "server/doors/forward_auth_door.h"
#include "server/doors/nginx_door.h"
#include "tests/server/door_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HttpDoorsTest : public DoorTest {
 protected:
  HttpResponse Nginx(const std::string& target, Profile profile = Profile::kS3Path) {
    HttpResponse response;
    NginxDoor door(&options_, &node_.checker());
    door.Answer(profile,
                Request("GET", "/nginx",
                        {{"x-original-uri", target},
                         {"x-original-method", "GET"},
                         {"x-original-host", "www.example.cn"},
                         {"x-real-ip", "203.0.113.9"}}),
                &response);
    return response;
  }
  HttpResponse Forward(const std::string& target, Profile profile = Profile::kS3Path, const char* accept = "*/*") {
    HttpResponse response;
    ForwardAuthDoor door(&options_, &node_.checker());
    door.Answer(profile,
                Request("GET", "/forward",
                        {{"x-forwarded-uri", target},
                         {"x-forwarded-method", "GET"},
                         {"accept", accept},
                         {"x-forwarded-host", "www.example.cn"},
                         {"x-forwarded-for", "198.51.100.1, 203.0.113.9"},
                         {"x-request-id", "r1"}}),
                &response);
    return response;
  }
};

TEST_F(HttpDoorsTest, NginxGetsTwoHundredOrForbiddenAndTheRestInHeaders) {
  HttpResponse allowed = Nginx("/b1/k");
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(HeaderOf(allowed, "X-Sluice-Verdict"), "ALLOW");
  EXPECT_EQ(HeaderOf(allowed, "X-Sluice-Rate"), "");
  EXPECT_EQ(HeaderOf(allowed, "Cache-Control"), "max-age=1");

  HttpResponse frozen = Nginx("/b2/k");
  EXPECT_EQ(frozen.status, 403);
  EXPECT_EQ(HeaderOf(frozen, "X-Sluice-Status"), "403");
  EXPECT_EQ(HeaderOf(frozen, "X-Sluice-Reason"), "ACCOUNT_FROZEN");
  EXPECT_EQ(HeaderOf(frozen, "X-Sluice-Code"), "AccountProblem");
  EXPECT_EQ(HeaderOf(frozen, "X-Sluice-Clause"), "7.2.1");
  EXPECT_EQ(HeaderOf(frozen, "Cache-Control"), "no-store");

  HttpResponse ordered = Nginx("/b1/ordered");
  EXPECT_EQ(ordered.status, 403);
  EXPECT_EQ(HeaderOf(ordered, "X-Sluice-Status"), "451");
  EXPECT_EQ(HeaderOf(ordered, "Link"), "<https://provider.example.cn/legal>; rel=\"blocked-by\"");

  EXPECT_EQ(Nginx("/b3/k").status, 200);
  HttpResponse throttled = Nginx("/b3/k");
  EXPECT_EQ(throttled.status, 403);
  EXPECT_EQ(HeaderOf(throttled, "X-Sluice-Status"), "503");
  EXPECT_EQ(HeaderOf(throttled, "RateLimit-Policy"), "\"requests\";q=1;w=4");
  EXPECT_EQ(HeaderOf(throttled, "RateLimit"), "\"requests\";r=0;t=4");
  EXPECT_EQ(HeaderOf(throttled, "Retry-After"), "4");

  EXPECT_EQ(HeaderOf(Nginx("/b4/k"), "X-Sluice-Rate"), "1000");
}

TEST_F(HttpDoorsTest, WhatIsLeftOfALimitIsTold) {
  SetLimit limit;
  limit.limit_id = "l9";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u1";
  limit.dimension = Dimension::kRequests;
  limit.rate = 2;
  limit.burst = 10;
  node_.Apply(limit);
  HttpResponse first = Forward("/b1/k");
  EXPECT_EQ(HeaderOf(first, "RateLimit-Policy"), "\"requests\";q=10;w=5");
  EXPECT_EQ(HeaderOf(first, "RateLimit"), "\"requests\";r=9;t=1");
  EXPECT_EQ(HeaderOf(Forward("/b1/k"), "RateLimit"), "\"requests\";r=8;t=1");
  node_.clock().Advance(absl::Seconds(5));
  EXPECT_EQ(HeaderOf(Forward("/b1/k"), "RateLimit"), "\"requests\";r=9;t=1");
  EXPECT_EQ(HeaderOf(Forward("/b4/k"), "RateLimit"), "(none)");  // no limit on requests
}

TEST_F(HttpDoorsTest, NginxIsToldThatARequestCannotBeMapped) {
  HttpResponse response;
  NginxDoor door(&options_, &node_.checker());
  door.Answer(Profile::kCdn, Request("GET", "/nginx", {{"x-original-method", "GET"}}), &response);
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(HeaderOf(response, "X-Sluice-Status"), "400");
  EXPECT_EQ(HeaderOf(response, "X-Sluice-Reason"), "UNMAPPED");
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_checks_malformed_total 1"));
  // Of its description it is told what is missing.
  EXPECT_EQ(HeaderOf(response, "X-Sluice-Message"),
            "header x-original-uri: wanted what the client asked its gateway for, got no such header");
}

// A gateway that is told to copy a header finds it: none is missing, of an allow or of a refusal.
TEST_F(HttpDoorsTest, EveryGatewayHeaderIsAlwaysThere) {
  node_.Apply(Withhold{"u4"});  // a download is allowed with a warning
  for (const char* target : {"/b1/k", "/b2/k", "/b4/k"}) {
    const HttpResponse response = Nginx(target);
    for (const char* name : {"Verdict", "Reason", "Clause", "Status", "Code", "Message", "Rate", "Warning",
                             "Recheck-After", "Lease", "Revision"}) {
      EXPECT_NE(HeaderOf(response, absl::StrCat("X-Sluice-", name)), "(none)") << target << name;
    }
  }
  EXPECT_THAT(HeaderOf(Nginx("/b2/k"), "X-Sluice-Message"), Not(testing::IsEmpty()));
  EXPECT_GT(std::stoll(HeaderOf(Nginx("/b1/k"), "X-Sluice-Revision")), 0);
}

TEST_F(HttpDoorsTest, ForwardAuthAnswersTheClientInItsDialect) {
  EXPECT_EQ(Forward("/b1/k").status, 200);
  EXPECT_EQ(HeaderOf(Forward("/b1/k"), "X-Sluice-Verdict"), "ALLOW");

  HttpResponse frozen = Forward("/b2/k<&>?sig=SECRET");
  EXPECT_EQ(frozen.status, 403);
  EXPECT_EQ(HeaderOf(frozen, "Content-Type"), "application/xml");
  EXPECT_THAT(frozen.body, HasSubstr("<Code>AccountProblem</Code>"));
  EXPECT_THAT(frozen.body, HasSubstr("<Resource>/b2/k&lt;&amp;&gt;</Resource>"));
  EXPECT_THAT(frozen.body, HasSubstr("<RequestId>r1</RequestId>"));
  EXPECT_THAT(frozen.body, Not(HasSubstr("SECRET")));
  // For third parties: neither who nor why (clause 6).
  for (const auto& [name, value] : frozen.headers) {
    EXPECT_THAT(absl::StrCat(name, value), Not(HasSubstr("Sluice")));
    EXPECT_THAT(value, Not(HasSubstr("FROZEN")));
  }

  HttpResponse ordered = Forward("/ordered", Profile::kCdn);
  EXPECT_EQ(ordered.status, 451);
  EXPECT_EQ(HeaderOf(ordered, "Cache-Control"), "no-store");
  EXPECT_EQ(HeaderOf(ordered, "Link"), "<https://provider.example.cn/legal>; rel=\"blocked-by\"");
  EXPECT_EQ(HeaderOf(ordered, "Content-Type"), "application/problem+json");
  EXPECT_THAT(ordered.body, HasSubstr("\"status\":451"));
  EXPECT_THAT(Forward("/ordered", Profile::kCdn, "text/html").body, HasSubstr("451 Unavailable For Legal Reasons"));

  HttpResponse kodo = Forward("/flagged", Profile::kKodo);
  EXPECT_EQ(kodo.status, 403);
  EXPECT_EQ(HeaderOf(kodo, "X-Reqid"), "r1");
  EXPECT_THAT(kodo.body, HasSubstr("{\"error\":\""));

  Forward("/b3/k");
  HttpResponse throttled = Forward("/b3/k");
  EXPECT_EQ(throttled.status, 503);
  EXPECT_EQ(HeaderOf(throttled, "Retry-After"), "4");
  EXPECT_THAT(throttled.body, HasSubstr("SlowDown"));
}

// Behind a gateway of virtual hosts every Host that a client makes up would else be past flags, orders and standing:
// servers take addresses, and some take any name they do not know, for one of their own, and read the bucket in the
// path.
TEST_F(HttpDoorsTest, OfAVirtualHostThatIsBoundToNoBucketNothingIsServed) {
  options_.mapping.domains = {"s3.example.cn"};
  options_.region = "sg";
  node_.Apply(BindDomain{"bare.example.cn", "u1", "", Geo::kForeign});
  const auto ask = [this](const char* host, const char* target, const char* method = "GET") {
    HttpResponse response;
    NginxDoor door(&options_, &node_.checker());
    door.Answer(Profile::kS3Vhost,
                Request("GET", "/nginx",
                        {{"x-original-uri", target}, {"x-original-method", method}, {"x-original-host", host}}),
                &response);
    return HeaderOf(response, "X-Sluice-Verdict") + " " + HeaderOf(response, "X-Sluice-Reason");
  };
  for (const char* host : {"10.0.0.1", "10.0.0.1:8080", "[2001:db8::1]", "[2001:db8::1]:9000", "s3.example.cn"}) {
    EXPECT_EQ(ask(host, "/b1/flagged"), "DENY CONTENT_PROHIBITED") << host;
    EXPECT_EQ(ask(host, "/b1/ordered", "HEAD"), "DENY LEGAL_ORDER") << host;
    EXPECT_EQ(ask(host, "/b2/k"), "DENY ACCOUNT_FROZEN") << host;
    EXPECT_EQ(ask(host, "/b1/k"), "ALLOW ") << host;
    EXPECT_EQ(ask(host, "/").substr(0, 5), "ALLOW") << host;  // whether it lives
  }
  EXPECT_EQ(ask("www.example.cn", "/flagged"), "DENY CONTENT_PROHIBITED");
  EXPECT_EQ(ask("www.example.cn", "/k"), "ALLOW ");
  for (const char* host : {"storage.example.org", "localhost", "999.1.1.1", "bare.example.cn"}) {
    for (const char* target : {"/b1/flagged", "/k", "/", "/k?acl", "/?location"}) {
      for (const char* method : {"GET", "HEAD", "PUT", "DELETE"}) {
        EXPECT_EQ(ask(host, target, method), "DENY DOMAIN_UNKNOWN") << host << target << method;
      }
    }
  }
}

TEST_F(HttpDoorsTest, ARequestWithoutItsDescriptionIsNeverAllowed) {
  for (const std::vector<HttpHeader>& headers :
       {std::vector<HttpHeader>{}, std::vector<HttpHeader>{{"x-forwarded-uri", "/b1/k"}},
        std::vector<HttpHeader>{{"x-forwarded-method", "GET"}}, std::vector<HttpHeader>{{"x-forwarded-uri", ""}},
        std::vector<HttpHeader>{
            {"x-forwarded-method", "GET"}, {"x-forwarded-uri", "/b1/k"}, {"x-forwarded-for", "x"}}}) {
    HttpResponse response;
    ForwardAuthDoor door(&options_, &node_.checker());
    door.Answer(Profile::kS3Path, Request("GET", "/forward", headers), &response);
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  }
}

// Envoy takes 5xx for a failure of ours, and lets the request pass where it fails open.
TEST_F(HttpDoorsTest, EnvoysHttpModeNeverSeesAServerError) {
  ForwardAuthDoor door(&options_, &node_.checker());
  HttpResponse response;
  door.AnswerReplayed(Profile::kS3Path, "/b3/k", true, Request("GET", "/envoy/s3-path/b3/k", {}), &response);
  EXPECT_EQ(response.status, 200);
  response.Clear();
  door.AnswerReplayed(Profile::kS3Path, "/b3/k", true, Request("GET", "/envoy/s3-path/b3/k", {}), &response);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(HeaderOf(response, "Retry-After"), "4");

  SetMaintenance maintenance;
  maintenance.region = "cn";
  node_.Apply(maintenance);
  response.Clear();
  door.AnswerReplayed(Profile::kS3Path, "/b1/k", true, Request("GET", "/envoy/s3-path/b1/k", {}), &response);
  EXPECT_EQ(response.status, 403);
}

TEST_F(HttpDoorsTest, JsonChecksAndReports) {
  CheckDoor door(&node_.checker());
  HttpResponse response;
  door.Check(Request("POST", "/v1/check", {}, R"({"operation":"OPERATION_DOWNLOAD","bucket":"b2","key":"k",
                     "requestId":"r7","dialect":"DIALECT_KODO"})"),
             &response);
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("\"verdict\":\"VERDICT_DENY\""));
  EXPECT_THAT(response.body, HasSubstr("\"reason\":\"REASON_ACCOUNT_FROZEN\""));
  EXPECT_THAT(response.body, HasSubstr("\"status\":419"));
  EXPECT_THAT(response.body, HasSubstr("\"requestId\":\"r7\""));
  for (const char* body : {"", "{", "[]", R"({"operation":"NONSENSE"})", R"({"nonsense":1})", R"({"clientIp":"x"})"}) {
    response.Clear();
    door.Check(Request("POST", "/v1/check", {}, body), &response);
    EXPECT_EQ(response.status, 400) << body;
  }
  response.Clear();
  door.Report(Request("POST", "/v1/report", {}, R"({"reportId":"p1","usages":[{"bucket":"b1","bytesOut":"5"}]})"),
              &response);
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("\"accepted\":\"1\""));
  response.Clear();
  door.Report(Request("POST", "/v1/report", {}, R"({"usages":[{"bytesOut":"-5"}]})"), &response);
  EXPECT_EQ(response.status, 400);
}

// What support staff search the decision log for is in every text that a client can send them; nothing else is new
// there.
TEST_F(HttpDoorsTest, ARefusalNamesTheTraceOfItsCaller) {
  const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const auto ask = [&](Profile profile, const char* target, const char* accept, const std::string& trace_parent) {
    HttpResponse response;
    ForwardAuthDoor(&options_, &node_.checker())
        .Answer(profile,
                Request("GET", "/forward",
                        {{"x-forwarded-uri", target},
                         {"x-forwarded-method", "GET"},
                         {"x-forwarded-host", "www.example.cn"},
                         {"accept", accept},
                         {"traceparent", trace_parent}}),
                &response);
    return response;
  };
  const std::string good = "00-" + id + "-00f067aa0ba902b7-01";
  const HttpResponse s3 = ask(Profile::kS3Path, "/b2/k", "*/*", good);
  EXPECT_THAT(s3.body, HasSubstr("<HostId>" + id + "</HostId></Error>"));
  EXPECT_EQ(HeaderOf(s3, "x-amz-id-2"), id);
  EXPECT_THAT(ask(Profile::kKodo, "/flagged", "*/*", good).body, HasSubstr(",\"trace_id\":\"" + id + "\"}"));
  EXPECT_THAT(ask(Profile::kCdn, "/flagged", "*/*", good).body, HasSubstr(",\"trace_id\":\"" + id + "\"}"));
  EXPECT_THAT(ask(Profile::kCdn, "/flagged", "text/html", good).body, HasSubstr("\ntrace " + id + "\n"));
  const HttpResponse unmapped = ask(Profile::kCdn, "flagged", "*/*", good);
  EXPECT_EQ(unmapped.status, 400);
  EXPECT_THAT(unmapped.body, HasSubstr(",\"trace_id\":\"" + id + "\"}"));

  for (const std::string& bad : {std::string(), "00-" + id + "-00f067aa0ba902b7-01\"", "<b>" + good.substr(3),
                                 "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01"}) {
    for (const Profile profile : {Profile::kS3Path, Profile::kKodo, Profile::kCdn}) {
      const HttpResponse response = ask(profile, "/b1/ordered", "*/*", bad);
      EXPECT_THAT(response.body, Not(HasSubstr("trace")));
      EXPECT_THAT(response.body, Not(HasSubstr("HostId")));
      EXPECT_EQ(HeaderOf(response, "x-amz-id-2"), "(none)");
    }
  }

  HttpResponse json;
  const std::vector<HttpHeader> headers = {{"traceparent", good}};
  CheckDoor door(&node_.checker());
  door.Check(Request("POST", "/v1/check", headers, R"({"operation":"OPERATION_DOWNLOAD","bucket":"b2","key":"k"})"),
             &json);
  EXPECT_THAT(json.body, HasSubstr("\"traceId\":\"" + id + "\""));
  json.Clear();
  door.Check(Request("POST", "/v1/check", headers, R"({"operation":"OPERATION_DOWNLOAD","bucket":"b1","key":"k"})"),
             &json);
  EXPECT_THAT(json.body, Not(HasSubstr(id)));  // an allow has nothing to be asked about
  json.Clear();
  door.Check(Request("POST", "/v1/check", headers, "{"), &json);
  EXPECT_THAT(json.body, HasSubstr(",\"trace_id\":\"" + id + "\"}"));

  HttpResponse nginx;
  NginxDoor(&options_, &node_.checker())
      .Answer(
          Profile::kS3Path,
          Request("GET", "/nginx", {{"x-original-uri", "/b2/k"}, {"x-original-method", "GET"}, {"traceparent", good}}),
          &nginx);
  EXPECT_EQ(HeaderOf(nginx, "X-Sluice-Trace-Id"), id);
}

TEST_F(HttpDoorsTest, ANodeWithoutPolicySaysSo) {
  TestNode empty;
  HttpResponse response;
  ForwardAuthDoor door(&options_, &empty.checker());
  door.Answer(
      Profile::kCdn,
      Request("GET", "/forward",
              {{"x-forwarded-uri", "/a"}, {"x-forwarded-method", "GET"}, {"x-forwarded-host", "www.example.cn"}}),
      &response);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(HeaderOf(response, "Retry-After"), "1");
}

}  // namespace
}  // namespace sluice
