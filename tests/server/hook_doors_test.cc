// The hooks of storage and streaming servers: Ceph RGW (with the requests that a real one sent), MinIO, nginx-rtmp,
// SRS.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "server/doors/ceph_rgw_door.h"
#include "server/doors/live_doors.h"
#include "server/doors/minio_door.h"
#include "tests/server/door_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTrue[] = "{\"result\":true}";
constexpr char kFalse[] = "{\"result\":false}";

// What a radosgw 16.2.15 was asked when it sent these: the first five by s3cmd, the others by plain requests of S3.
constexpr const char* kCaptures[] = {"put",    "get",       "list", "delete",      "anonget",      "list_buckets",
                                     "create", "multipart", "copy", "delete_many", "delete_bucket"};

// The bodies of its requests.
std::vector<std::string> Captured(const std::string& name) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/tests/server/testdata/rgw/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  google::protobuf::ListValue list;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text.str(), &list).ok()) << name;
  std::vector<std::string> bodies;
  for (const auto& each : list.values()) {
    std::string body;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(each.struct_value().fields().at("body"), &body).ok());
    bodies.push_back(body);
  }
  return bodies;
}

// Keeps all that whoever observes decisions, such as the decision log, is told.
class Witness final : public DecisionObserver {
 public:
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override {
    v1::CheckRequest request;
    v1::CheckResponse response;
    ToProto(input, &request);
    ToProto(decision, input.request_id, &response);
    text += absl::StrCat(request.DebugString(), response.DebugString(), input.trace_parent, decision.owner, " ",
                         decision.bucket, " ", decision.key, " ", decision.host, "\n");
  }
  std::string text;
};

class HookDoorsTest : public DoorTest {
 protected:
  std::string Rgw(const std::string& body, std::vector<HttpHeader> headers = {}) {
    HttpResponse response;
    CephRgwDoor door(&options_, &checker_);
    door.Answer(Request("POST", "/ceph-rgw", std::move(headers), body), &response);
    EXPECT_EQ(response.status, 200);
    return response.body;
  }
  std::string Minio(const std::string& action, const std::string& account, const std::string& bucket,
                    const std::string& key = "", const std::string& more = "") {
    HttpResponse response;
    MinioDoor door(&options_, &checker_);
    door.Answer(
        Request("POST", "/minio", {},
                "{\"input\":{\"account\":\"" + account + "\",\"groups\":null,\"action\":\"" + action +
                    "\",\"bucket\":\"" + bucket + "\",\"object\":\"" + key +
                    "\",\"conditions\":{\"SourceIp\":[\"203.0.113.9\"],\"Authorization\":[\"HUSH\"]}" + more + "}}"),
        &response);
    EXPECT_EQ(response.status, 200);
    return response.body;
  }
  HttpResponse Rtmp(const std::string& form) {
    HttpResponse response;
    NginxRtmpDoor door(&options_, &checker_);
    door.Answer(Request("POST", "/nginx-rtmp", {}, form), &response);
    return response;
  }
  HttpResponse Srs(const std::string& json) {
    HttpResponse response;
    SrsDoor door(&options_, &checker_);
    door.Answer(Request("POST", "/srs", {}, json), &response);
    return response;
  }

  Witness seen_;
  Checker checker_{&node_.engine(), &node_.clock(), &node_.readiness(), &node_.metrics(), {&node_.metrics(), &seen_}};
};

TEST_F(HookDoorsTest, RgwCapturesAreAllowedWhileTheAccountIsGood) {
  for (const char* name : kCaptures) {
    const std::vector<std::string> bodies = Captured(name);
    EXPECT_FALSE(bodies.empty()) << name;
    for (const std::string& body : bodies) EXPECT_EQ(Rgw(body), kTrue) << name;
  }
}

TEST_F(HookDoorsTest, RgwCapturesOfAFrozenAccountAreRefusedButForManagement) {
  node_.Apply(Freeze{"alice"});
  for (const char* name : kCaptures) {
    for (const std::string& body : Captured(name)) {
      const bool management =
          body.find("\"params\":\"location\"") != std::string::npos || std::string(name) == "list_buckets";
      EXPECT_EQ(Rgw(body), management ? kTrue : kFalse) << name << body;
    }
  }
}

TEST_F(HookDoorsTest, RgwCapturesOfAFlaggedObject) {
  RaiseFlag flag;
  flag.flag_id = "f2";
  flag.subject.bucket = "bkt";
  flag.subject.key = "dir/small.txt";
  flag.category = "3.1.3.5.4";
  flag.severity = Severity::kBlock;
  node_.Apply(flag);
  EXPECT_EQ(Rgw(Captured("get").back()), kFalse);
  EXPECT_EQ(Rgw(Captured("anonget").back()), kFalse);
  EXPECT_EQ(Rgw(Captured("delete").back()), kTrue);
  EXPECT_EQ(Rgw(Captured("list").back()), kTrue);
}

// RGW deletes the object whatever these say.
TEST_F(HookDoorsTest, RgwDeletesNoEvidenceForASubresourceThatItIgnores) {
  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.bucket = "bkt";
  hold.subject.key = "dir/copy.txt";
  node_.Apply(hold);
  const std::string body = Captured("delete").back();
  for (const char* params : {"", "acl", "retention", "legal-hold", "acl&versionId="}) {
    EXPECT_EQ(Rgw(absl::StrReplaceAll(body, {{"\"params\":\"\"", absl::StrCat("\"params\":\"", params, "\"")}})),
              kFalse)
        << params;
  }
}

// Their names are in the body, which RGW does not pass on.
TEST_F(HookDoorsTest, RgwDeletesNotManyWhereEvidenceLies) {
  const std::string many = Captured("delete_many").back();
  const std::string bulk =
      R"({"input":{"method":"POST","relative_uri":"/v1/AUTH_alice","params":"bulk-delete","user_info":)"
      R"({"user_id":"alice","type":"rgw"}}})";
  const std::string manifest =
      R"({"input":{"method":"DELETE","relative_uri":"/v1/bkt/big","params":"multipart-manifest=delete","object_name":)"
      R"("big","user_info":{"user_id":"alice"},"bucket_info":{"bucket":{"name":"bkt"},"owner":"alice"}}})";
  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.bucket = "b1";
  hold.subject.key = "k";
  node_.Apply(hold);  // of another
  for (const std::string& body : {many, bulk, manifest}) EXPECT_EQ(Rgw(body), kTrue) << body;
  hold.hold_id = "h2";
  hold.subject.bucket = "bkt";
  hold.subject.key = "dir/evidence";
  node_.Apply(hold);
  for (const std::string& body : {many, bulk, manifest}) EXPECT_EQ(Rgw(body), kFalse) << body;
  EXPECT_EQ(Rgw(Captured("delete").back()), kTrue);
}

TEST_F(HookDoorsTest, RgwAlwaysGetsALiteralBoolean) {
  for (const char* body : {"", "{}", "[]", "{\"input\":[]}", "{\"input\":{\"method\":\"BREW\"}}", "{\"input\":null}",
                           "{\"input\":{\"method\":\"GET\",\"method\":\"PUT\"}}", "\xff"}) {
    EXPECT_EQ(Rgw(body), kFalse) << body;
  }
  // Calls on the account, and a bucket that is not there yet.
  EXPECT_EQ(Rgw(R"({"input":{"method":"GET","relative_uri":"/","params":"","user_info":{"user_id":"alice"}}})"), kTrue);
  EXPECT_EQ(Rgw(R"({"input":{"method":"PUT","relative_uri":"/new","params":"","user_info":{"user_id":"alice"}}})"),
            kTrue);
  EXPECT_EQ(Rgw(R"({"input":{"method":"PUT","relative_uri":"/new","params":"","user_info":{"user_id":"u2"}}})"),
            kFalse);
}

TEST_F(HookDoorsTest, RgwBucketsBelowATenantAndAccounts) {
  node_.Apply(Paid{"acme$bob"});
  node_.Apply(BindBucket{"acme:bkt", "acme$bob", "cn"});
  const auto read = [this](const std::string& bucket, const std::string& user) {
    return Rgw(R"({"input":{"method":"GET","relative_uri":"/acme:bkt/k","params":"","object_name":"k","user_info":)" +
               user + R"(,"bucket_info":{"bucket":)" + bucket + R"(,"owner":"acme$bob"}}})");
  };
  const std::string tenant = R"({"name":"bkt","tenant":"acme"})";
  EXPECT_EQ(read(tenant, R"({"user_id":"acme$bob","type":"rgw"})"), kTrue);
  // Newer releases name the account of a user, who is judged by it.
  EXPECT_EQ(read(tenant, R"({"user_id":"carol","account_id":"u2","type":"rgw"})"), kFalse);
  node_.Apply(Freeze{"acme$bob"});
  EXPECT_EQ(read(tenant, R"({"user_id":"alice","type":"rgw"})"), kFalse);
  EXPECT_EQ(Rgw(R"({"input":{"method":"GET","relative_uri":"/bkt/k","params":"","object_name":"k","user_info":)"
                R"({"user_id":"alice"},"bucket_info":{"bucket":{"name":"bkt","tenant":""},"owner":"alice"}}})"),
            kTrue);
}

// Swift's paths have an API's version, and perhaps an account, before the bucket; RGW ignores the words of S3 there.
TEST_F(HookDoorsTest, RgwReadsNoSubresourceOfS3OutOfSwift) {
  const auto ask = [this](const char* method, const std::string& uri, const std::string& params) {
    const bool object = absl::EndsWith(uri, "/dir/k");
    return Rgw(absl::StrCat(R"({"input":{"method":")", method, R"(","relative_uri":")", uri, R"(","decoded_uri":")",
                            uri, R"(","params":")", params, object ? R"(","object_name":"dir/k)" : "",
                            R"(","user_info":{"user_id":"alice","type":"rgw"},)",
                            R"("bucket_info":{"bucket":{"name":"bkt","tenant":""},"owner":"alice"}}})"));
  };
  node_.Apply(Freeze{"alice"});
  for (const char* root : {"/v1/", "/v1/AUTH_alice/", "/swift/v1/", "/swift/v1/AUTH_alice/"}) {
    EXPECT_EQ(ask("GET", absl::StrCat(root, "bkt/dir/k"), "acl"), kFalse) << root;
    EXPECT_EQ(ask("GET", absl::StrCat(root, "bkt"), "location"), kFalse) << root;
  }
  EXPECT_EQ(ask("GET", "/bkt/dir/k", "acl"), kTrue);
  EXPECT_EQ(ask("GET", "/bkt/", "location"), kTrue);
  EXPECT_EQ(ask("GET", "/acme:bkt", "location"), kTrue);

  node_.Apply(Unfreeze{"alice"});
  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.bucket = "bkt";
  hold.subject.key = "dir/k";
  node_.Apply(hold);
  EXPECT_EQ(ask("DELETE", "/v1/bkt/dir/k", "tagging"), kFalse);
  EXPECT_EQ(ask("DELETE", "/bkt/dir/k", "tagging"), kTrue);
}

TEST_F(HookDoorsTest, RgwMustKnowTheToken) {
  options_.rgw_token = "t0ken";
  const std::string body = Captured("get").back();
  EXPECT_EQ(Rgw(body), kFalse);
  EXPECT_EQ(Rgw(body, {{"x-auth-token", "t0keN"}}), kFalse);
  EXPECT_EQ(Rgw(body, {{"x-auth-token", "t0ken"}}), kTrue);
}

TEST_F(HookDoorsTest, MinioTakesOwnersAdministrationAndTheStartUpPost) {
  HttpResponse response;
  MinioDoor door(&options_, &checker_);
  door.Answer(Request("POST", "/minio", {}, ""), &response);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, kFalse);

  EXPECT_EQ(Minio("s3:GetObject", "u1", "b1", "k"), kTrue);
  EXPECT_EQ(Minio("s3:GetObject", "u1", "b1", "flagged"), kFalse);
  EXPECT_EQ(Minio("s3:PutObject", "u2", "b2", "k"), kFalse);  // frozen
  EXPECT_EQ(Minio("s3:GetObject", "u1", "b4", "k"), kFalse);  // of somebody else
  EXPECT_EQ(Minio("s3:ListAllMyBuckets", "u1", ""), kTrue);
  EXPECT_EQ(Minio("s3:CreateBucket", "u1", "new"), kTrue);
  EXPECT_EQ(Minio("s3:CreateBucket", "u2", "new"), kFalse);
  EXPECT_EQ(Minio("admin:ServerInfo", "u1", ""), kFalse);
  EXPECT_EQ(Minio("admin:ServerInfo", "root", "", "", ",\"owner\":true"), kTrue);
  EXPECT_EQ(Minio("s3:GetObject", "root", "b1", "k", ",\"owner\":true"), kTrue);
  EXPECT_EQ(Minio("s3:GetObject", "root", "b1", "ordered", ",\"owner\":true"), kFalse);
  EXPECT_EQ(Minio("admin:CreateServiceAccount", "u1", "", "", ",\"denyOnly\":true"), kTrue);
  EXPECT_EQ(Minio("s3:Teleport", "u1", "b1", "k"), kFalse);
  EXPECT_EQ(Minio("", "u1", "b1", "k"), kFalse);
  EXPECT_EQ(Minio("s3:GetObject", "", "b1", "k"), kFalse);
}

TEST_F(HookDoorsTest, NginxRtmpPublishesPlaysAndIsCutAtAnUpdate) {
  const std::string common =
      "app=b1&flashver=&swfurl=&tcurl=rtmp%3A%2F%2F127.0.0.1%3A1935%2Fb1&pageurl=&addr=127.0.0.1"
      "&clientid=1&call=";
  EXPECT_EQ(Rtmp(common + "publish&name=s1&type=live&token=HUSH").status, 200);
  EXPECT_EQ(Rtmp(common + "play&name=s1").status, 200);
  EXPECT_EQ(Rtmp(common + "update_publish&time=30&timestamp=1&name=s1").status, 200);
  node_.Apply(Freeze{"u1"});
  const HttpResponse cut = Rtmp(common + "update_publish&time=60&timestamp=1&name=s1");
  EXPECT_EQ(cut.status, 403);
  EXPECT_EQ(HeaderOf(cut, "X-Sluice-Reason"), "ACCOUNT_FROZEN");
  EXPECT_EQ(Rtmp(common + "update_play&name=s1").status, 403);
  EXPECT_EQ(Rtmp(common + "publish_done&name=s1").status, 200);
  EXPECT_EQ(Rtmp(common + "conquer&name=s1").status, 400);
  EXPECT_EQ(Rtmp(common + "publish").status, 400);
  // Arguments of the client's URL come last, and do not change what the server said.
  EXPECT_EQ(Rtmp(common + "play&name=s1&app=b4&call=publish_done").status, 403);
}

TEST_F(HookDoorsTest, SrsHooks) {
  const auto hook = [](const std::string& action, const std::string& app) {
    return "{\"action\":\"" + action + "\",\"client_id\":\"c\",\"ip\":\"203.0.113.9\",\"vhost\":\"__defaultVhost__\"," +
           "\"app\":\"" + app + "\",\"stream\":\"s1\",\"param\":\"?token=HUSH\",\"tcUrl\":\"rtmp://127.0.0.1/" + app +
           "\"}";
  };
  EXPECT_EQ(Srs(hook("on_publish", "b1")).body, "{\"code\":0}");
  EXPECT_EQ(Srs(hook("on_play", "b1")).body, "{\"code\":0}");
  const HttpResponse frozen = Srs(hook("on_publish", "b2"));
  EXPECT_EQ(frozen.status, 403);
  EXPECT_EQ(frozen.body, "{\"code\":403}");
  EXPECT_EQ(Srs(hook("on_stop", "b2")).body, "{\"code\":0}");
  EXPECT_EQ(Srs(hook("on_fire", "b1")).status, 400);
  EXPECT_EQ(Srs("{").status, 400);
  EXPECT_EQ(Srs(R"({"action":"on_play","app":"b1","stream":""})").status, 400);
}

// What the hooks carry in secret is nowhere behind them: not in answers, metrics or the log of decisions.
TEST_F(HookDoorsTest, SecretsAreDropped) {
  std::string everything;
  for (const char* name : kCaptures) {
    for (const std::string& body : Captured(name)) {
      if (std::string(name) != "anonget") {
        ASSERT_THAT(body, HasSubstr("FAKE-SECRET-KEY-OF-ALICE"));
      }
      everything += Rgw(body, {{"x-auth-token", "fake-hook-token"}});
      everything += Rgw(body.substr(0, body.size() / 2));
    }
  }
  everything += Minio("s3:GetObject", "u1", "b1", "k");
  everything += Rtmp("app=b1&call=publish&name=s1&token=HUSH").body;
  everything += Srs(R"({"action":"on_play","app":"b1","stream":"s1","param":"?token=HUSH"})").body;
  everything += node_.metrics().Text();
  everything += seen_.text;
  for (const char* secret : {"FAKE-SECRET-KEY-OF-ALICE", "FAKE-ACCESS-KEY", "fake-hook-token", "HUSH"}) {
    EXPECT_THAT(everything, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(everything, HasSubstr("alice"));
}

}  // namespace
}  // namespace sluice
