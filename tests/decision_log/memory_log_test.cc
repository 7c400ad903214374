#include "decision_log/memory_log.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"
#include "proto/translate.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

MemoryLog::Options Capacity(size_t capacity) {
  MemoryLog::Options options;
  options.capacity = capacity;
  return options;
}

Moment At(int64_t second) {
  Moment moment;
  moment.wall = absl::FromUnixSeconds(second);
  return moment;
}

CheckInput Asked(absl::string_view id) {
  CheckInput input;
  input.request_id = id;
  input.operation = Operation::kDownload;
  return input;
}

Decision Denied(Reason reason = Reason::kAccountFrozen) {
  Decision decision;
  decision.verdict = Verdict::kDeny;
  decision.reason = reason;
  decision.http.status = 403;
  return decision;
}

Decision Allowed() {
  Decision decision;
  decision.verdict = Verdict::kAllow;
  return decision;
}

void Visit(const MemoryLog& log, const std::function<bool(const v1::DecisionRecord&)>& visit) {
  LogCursor cursor;
  EXPECT_TRUE(log.Query({}, &cursor, visit).ok());
}

std::vector<std::string> Ids(const MemoryLog& log, const v1::LogQuery& query = {}) {
  std::vector<std::string> ids;
  LogCursor cursor;
  const absl::Status status = log.Query(query, &cursor, [&](const v1::DecisionRecord& record) {
    ids.push_back(record.request().request_id());
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return ids;
}

TEST(MemoryLogTest, KeepsTheResolvedNamesAndTheWholeAnswer) {
  MemoryLog::Options options;
  options.node = "n1";
  MemoryLog log(options);
  CheckInput input = Asked("r1");
  input.host = "CDN.example.cn.:443";
  input.path = "/k1";
  input.requester = "u2";
  Decision decision = Denied();
  decision.owner = "u1";
  decision.bucket = "b1";
  decision.key = "k1";
  decision.host = "cdn.example.cn";
  decision.all_reasons = {Reason::kAccountFrozen, Reason::kPermitInvalid};
  decision.rule_id = "f1";
  decision.set_by = Role::kLegal;
  decision.lease_id = "l1";
  log.OnDecision(input, decision, At(100));
  int records = 0;
  Visit(log, [&](const v1::DecisionRecord& record) {
    ++records;
    EXPECT_EQ(record.at().seconds(), 100);
    EXPECT_EQ(record.node(), "n1");
    EXPECT_EQ(record.request().request_id(), "r1");
    EXPECT_EQ(record.request().requester(), "u2");
    EXPECT_EQ(record.request().owner(), "u1");
    EXPECT_EQ(record.request().bucket(), "b1");
    EXPECT_EQ(record.request().key(), "k1");
    EXPECT_EQ(record.request().host(), "cdn.example.cn");
    EXPECT_EQ(record.request().path(), "/k1");
    EXPECT_EQ(record.response().request_id(), "r1");
    EXPECT_EQ(record.response().reason(), v1::REASON_ACCOUNT_FROZEN);
    EXPECT_THAT(record.response().all_reasons(), ElementsAre(v1::REASON_ACCOUNT_FROZEN, v1::REASON_PERMIT_INVALID));
    EXPECT_EQ(record.response().rule_id(), "f1");
    EXPECT_EQ(record.response().set_by(), v1::ROLE_LEGAL);
    EXPECT_EQ(record.response().lease_id(), "l1");
    EXPECT_EQ(record.response().http().status(), 403);
    return true;
  });
  EXPECT_EQ(records, 1);
}

TEST(MemoryLogTest, AFullRingPushesOutTheOldest) {
  MemoryLog log(Capacity(2));
  for (const char* id : {"a", "b", "c"}) log.OnDecision(Asked(id), Allowed(), At(1));
  EXPECT_THAT(Ids(log), ElementsAre("b", "c"));
  EXPECT_EQ(log.dropped(LogClass::kSample), 0);
}

TEST(MemoryLogTest, AFullDiskKeepsTheOldestAndCountsTheRest) {
  MemoryLog::Options options = Capacity(2);
  options.keep_oldest = true;
  MemoryLog log(options);
  for (const char* id : {"a", "b", "c", "d"}) log.OnDecision(Asked(id), Allowed(), At(1));
  EXPECT_THAT(Ids(log), ElementsAre("a", "b"));
  EXPECT_EQ(log.dropped(LogClass::kSample), 2);
  MemoryLog none(Capacity(0));
  none.OnDecision(Asked("a"), Allowed(), At(1));
  EXPECT_THAT(Ids(none), IsEmpty());
  EXPECT_EQ(none.dropped(LogClass::kSample), 1);
}

class MemoryLogQueryTest : public testing::Test {
 protected:
  MemoryLogQueryTest() {
    Add("frozen", 10, "u1", "", "b1", "k1", "", "192.0.2.1", Denied());
    Add("order", 20, "u2", "u1", "b2", "k1", "cdn.example.cn", "2001:db8::1", Denied(Reason::kLegalOrder));
    Add("allowed", 30, "u2", "u3", "b2", "k2", "cdn.example.cn", "192.0.2.2", Allowed());
  }
  void Add(absl::string_view id, int64_t second, absl::string_view owner, absl::string_view requester,
           absl::string_view bucket, absl::string_view key, absl::string_view host, absl::string_view client_ip,
           Decision decision) {
    CheckInput input = Asked(id);
    input.owner = owner;
    input.requester = requester;
    input.bucket = bucket;
    input.key = key;
    input.host = host;
    input.client_ip = client_ip;
    log_.OnDecision(input, decision, At(second));
  }
  std::vector<std::string> Find(const std::function<void(v1::LogQuery*)>& fill) {
    v1::LogQuery query;
    fill(&query);
    return Ids(log_, query);
  }

  MemoryLog log_{MemoryLog::Options()};
};

TEST_F(MemoryLogQueryTest, AnAccountMeetsOwnerOrRequester) {
  EXPECT_THAT(Find([](auto* q) { q->set_account("u1"); }), ElementsAre("frozen", "order"));
  EXPECT_THAT(Find([](auto* q) { q->set_account("u3"); }), ElementsAre("allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_account("u"); }), IsEmpty());
}

TEST_F(MemoryLogQueryTest, FromIsInclusiveAndToExclusive) {
  EXPECT_THAT(Find([](auto* q) { q->mutable_from()->set_seconds(20); }), ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->mutable_to()->set_seconds(20); }), ElementsAre("frozen"));
  EXPECT_THAT(Find([](auto* q) {
                q->mutable_from()->set_seconds(20);
                q->mutable_to()->set_seconds(30);
              }),
              ElementsAre("order"));
}

TEST_F(MemoryLogQueryTest, NamesAreComparedInTheirOneForm) {
  EXPECT_THAT(Find([](auto* q) { q->set_bucket("b2"); }), ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([](auto* q) {
                q->set_bucket("b2");
                q->set_key("k1");
              }),
              ElementsAre("order"));
  EXPECT_THAT(Find([](auto* q) { q->set_host("CDN.Example.CN.:443"); }), ElementsAre("order", "allowed"));
  EXPECT_THAT(Find([](auto* q) { q->set_client_ip("::ffff:192.0.2.1"); }), ElementsAre("frozen"));
  EXPECT_THAT(Find([](auto* q) { q->set_client_ip("2001:DB8:0::1"); }), ElementsAre("order"));
}

TEST_F(MemoryLogQueryTest, VerdictReasonAndLimitNarrowIt) {
  EXPECT_THAT(Find([](auto* q) { q->set_verdict(v1::VERDICT_DENY); }), ElementsAre("frozen", "order"));
  EXPECT_THAT(Find([](auto* q) { q->set_reason(v1::REASON_LEGAL_ORDER); }), ElementsAre("order"));
  EXPECT_THAT(Find([](auto* q) { q->set_limit(2); }), ElementsAre("frozen", "order"));
  int visits = 0;
  Visit(log_, [&](const v1::DecisionRecord&) { return ++visits < 1; });
  EXPECT_EQ(visits, 1);
}

TEST(MemoryLogTest, BytesThatAreNoUtf8AreKeptEscaped) {
  MemoryLog log{MemoryLog::Options()};
  CheckInput input = Asked("r");
  input.key = "caf\xc3\xa9-\xff\xc3(";
  log.OnDecision(input, Denied(), At(1));
  Visit(log, [&](const v1::DecisionRecord& record) {
    EXPECT_EQ(record.request().key(), "caf\xc3\xa9-%FF%C3(");
    v1::DecisionRecord back;
    EXPECT_TRUE(back.ParseFromString(record.SerializeAsString()));
    return true;
  });
}

TEST(MemoryLogTest, AQueryEndsWhileChecksGoOn) {
  MemoryLog log(Capacity(1000));
  for (int i = 0; i < 1000; ++i) log.OnDecision(Asked("before"), Denied(), At(1));
  int64_t visited = 0;
  Visit(log, [&](const v1::DecisionRecord&) {
    ++visited;
    log.OnDecision(Asked("meanwhile"), Denied(), At(2));  // a visitor may log: nothing is locked
    return true;
  });
  EXPECT_LE(visited, 1000);
  EXPECT_GE(visited, 256);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) log.OnDecision(Asked("thread"), Denied(), At(3));
    });
  }
  for (int i = 0; i < 20; ++i) Ids(log);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Ids(log).size(), 1000u);
}

}  // namespace
}  // namespace sluice
