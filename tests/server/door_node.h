// A node with a policy that shows every answer a door can be asked for, and requests as plain values.
#ifndef SLUICE_TESTS_SERVER_DOOR_NODE_H_
#define SLUICE_TESTS_SERVER_DOOR_NODE_H_

#include <string>
#include <vector>

#include "server/doors/door.h"
#include "server/listen/http_message.h"
#include "tests/server/test_node.h"

namespace sluice {

// Accounts u1 (buckets b1, "bkt" of alice apart), u2 frozen (b2), u3 limited to one request a second (b3); b1/flagged
// is prohibited, b1/ordered barred by law, b4 of u4 shaped to 1000 bytes a second; www.example.cn is bound to b1.
inline void ApplyDoorPolicy(TestNode* node) {
  for (const char* account : {"u1", "u2", "u3", "u4", "alice"}) node->Apply(Paid{account});
  node->Apply(BindBucket{"b1", "u1", "cn"});
  node->Apply(BindBucket{"b2", "u2", "cn"});
  node->Apply(BindBucket{"b3", "u3", "cn"});
  node->Apply(BindBucket{"b4", "u4", "cn"});
  node->Apply(BindBucket{"bkt", "alice", "cn"});
  node->Apply(BindDomain{"www.example.cn", "u1", "b1", Geo::kForeign});
  node->Apply(Freeze{"u2"});
  RaiseFlag flag;
  flag.flag_id = "f1";
  flag.subject.bucket = "b1";
  flag.subject.key = "flagged";
  flag.category = "3.1.3.5.4";
  flag.severity = Severity::kBlock;
  node->Apply(flag);
  IssueOrder order;
  order.order_id = "o1";
  order.subjects.emplace_back();
  order.subjects.back().bucket = "b1";
  order.subjects.back().key = "ordered";
  order.authority = "court";
  node->Apply(order);
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u3";
  limit.dimension = Dimension::kRequests;
  limit.rate = 0.25;
  limit.burst = 1;
  node->Apply(limit);
  SetLimit pace;
  pace.limit_id = "l2";
  pace.level = Level::kContract;
  pace.scope = LimitScope::kAccount;
  pace.subject.account = "u4";
  pace.dimension = Dimension::kBytesOut;
  pace.rate = 1000;
  pace.shape = true;
  node->Apply(pace);
}

// A thousand bytes a second of one object.
inline SetLimit LimitOfOneObject(const std::string& bucket, const std::string& key) {
  SetLimit limit;
  limit.limit_id = "one-object";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kObject;
  limit.subject.bucket = bucket;
  limit.subject.key = key;
  limit.dimension = Dimension::kBytesOut;
  limit.rate = 1000;
  return limit;
}

class DoorTest : public testing::Test {
 protected:
  DoorTest() {
    ApplyDoorPolicy(&node_);
    options_.profile = Profile::kS3Path;
    options_.region = "cn";
    options_.render.blocked_by = "https://provider.example.cn/legal";
  }

  HttpRequest Request(const std::string& method, const std::string& target, std::vector<HttpHeader> headers,
                      const std::string& body = "", const std::string& host = "sidecar") {
    method_ = method;
    target_ = target;
    headers_ = std::move(headers);
    body_ = body;
    host_ = host;
    HttpRequest request;
    request.method = method_;
    request.target = target_;
    request.host = host_;
    request.headers = headers_;
    request.body = body_;
    return request;
  }

  static std::string HeaderOf(const HttpResponse& response, absl::string_view name) {
    for (const auto& [each, value] : response.headers) {
      if (each == name) return value;
    }
    return "(none)";
  }

  TestNode node_;
  DoorOptions options_;
  std::string method_, target_, body_, host_;
  std::vector<HttpHeader> headers_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_DOOR_NODE_H_
