// The command line against a server that answers what each test wants.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "sluice/v1/check.grpc.pb.h"
#include "tests/client/run_words.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FakeEnforcement final : public v1::Enforcement::Service {
 public:
  grpc::Status Check(grpc::ServerContext*, const v1::CheckRequest* request, v1::CheckResponse* response) override {
    asked = *request;
    *response = answer;
    return grpc::Status::OK;
  }
  v1::CheckRequest asked;
  v1::CheckResponse answer;
};

class FakeAdmin final : public v1::PolicyAdmin::Service {
 public:
  grpc::Status Apply(grpc::ServerContext*, const v1::ApplyRequest* request, v1::ApplyResponse* response) override {
    if (++batches == hang_at_batch) released.WaitForNotification();
    if (batches == fail_at_batch) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the store is full");
    Answer(*request, response);
    return grpc::Status::OK;
  }
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override {
    *response = description;
    *response->mutable_subject() = request->subject();
    return grpc::Status::OK;
  }
  grpc::Status Explain(grpc::ServerContext*, const v1::ExplainRequest* request,
                       v1::ExplainResponse* response) override {
    explained = *request;
    response->mutable_response()->set_verdict(v1::VERDICT_DENY);
    v1::ExplainStep* step = response->add_steps();
    step->set_rule("flag f1");
    step->set_matched(true);
    step->set_text("内容违规 prohibited content");
    return grpc::Status::OK;
  }
  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request, v1::ListResponse* response) override {
    listed.push_back(*request);
    const int page = request->page_token().empty() ? 0 : 1;
    response->add_items()->mutable_raise_flag()->set_flag_id(absl::StrCat("f", page));
    if (page == 0) response->set_next_page_token("next");
    return grpc::Status::OK;
  }
  grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::Announcement>* writer) override {
    for (int64_t revision = request->from_revision(); revision < request->from_revision() + 5; ++revision) {
      v1::Announcement announcement;
      announcement.set_revision(revision);
      announcement.set_kind(v1::ANNOUNCEMENT_KIND_RECLAIMABLE);
      announcement.mutable_subject()->set_account("u1");
      if (!writer->Write(announcement)) break;
    }
    return grpc::Status::OK;
  }
  grpc::Status Export(grpc::ServerContext*, const v1::ExportRequest*,
                      grpc::ServerWriter<v1::ExportChunk>* writer) override {
    for (const v1::ExportChunk& chunk : chunks) writer->Write(chunk);
    return export_status;
  }
  grpc::Status Import(grpc::ServerContext*, grpc::ServerReader<v1::ExportChunk>* reader,
                      v1::ImportResponse* response) override {
    v1::ExportChunk chunk;
    while (reader->Read(&chunk)) {
      imported.push_back(chunk);
      response->set_events(response->events() + chunk.events_size());
    }
    return import_status;
  }

  void Answer(const v1::ApplyRequest& request, v1::ApplyResponse* response) {
    for (const v1::PolicyEvent& event : request.events()) {
      applied.push_back(event);
      v1::EventResult* result = response->add_results();
      const bool rejected = event.has_freeze() && event.freeze().account() == "nobody";
      result->set_outcome(rejected ? v1::OUTCOME_REJECTED : v1::OUTCOME_APPLIED);
      if (rejected) result->set_error("freeze of PENDING");
      result->set_revision(static_cast<int64_t>(applied.size()));
    }
    response->set_revision(static_cast<int64_t>(applied.size()));
  }

  std::vector<v1::PolicyEvent> applied;
  int batches = 0;
  int fail_at_batch = 0, hang_at_batch = 0;
  absl::Notification released;  // what hangs
  v1::DescribeResponse description;
  v1::ExplainRequest explained;
  std::vector<v1::ListRequest> listed;
  std::vector<v1::ExportChunk> chunks, imported;
  grpc::Status export_status, import_status;
};

class ServerCommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    // Short: the address of a Unix socket holds 107 bytes.
    base_ = absl::StrCat(testing::TempDir(), "/sc", getpid(), "_", ++count_);
    address_ = absl::StrCat("unix:", base_, ".sock");
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&enforcement_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
    for (const char* suffix : {".sock", ".yaml", ".export"}) std::remove(absl::StrCat(base_, suffix).c_str());
  }

  Ran Sluicectl(std::vector<std::string> words) {
    words.insert(words.begin(), {"--server", address_, "--check-server", address_});
    return RunWords(std::move(words));
  }
  std::string PolicyFile(const std::string& text) {
    std::ofstream(base_ + ".yaml") << text;
    return base_ + ".yaml";
  }

  static int count_;
  std::string base_, address_;
  FakeEnforcement enforcement_;
  FakeAdmin admin_;
  std::unique_ptr<grpc::Server> server_;
};
int ServerCommandsTest::count_ = 0;

TEST_F(ServerCommandsTest, CheckExitsByVerdict) {
  enforcement_.answer.set_verdict(v1::VERDICT_ALLOW);
  EXPECT_EQ(Sluicectl({"check", "--op", "public-read", "--bucket", "b1", "--key", "k"}).code, kExitOk);
  enforcement_.answer.set_verdict(v1::VERDICT_THROTTLE);
  enforcement_.answer.set_retry_after_ms(1500);
  const Ran throttled = Sluicectl({"check", "--op", "UPLOAD"});
  EXPECT_EQ(throttled.code, kExitThrottled);
  EXPECT_THAT(throttled.out, HasSubstr("1.5s"));
  enforcement_.answer.set_verdict(v1::VERDICT_DENY);
  enforcement_.answer.set_reason(v1::REASON_ACCOUNT_FROZEN);
  enforcement_.answer.set_clause("7.2.1");
  const Ran denied = Sluicectl({"check", "--op", "UPLOAD"});
  EXPECT_EQ(denied.code, kExitRefused);
  EXPECT_THAT(denied.out, AllOf(HasSubstr("DENY"), HasSubstr("ACCOUNT_FROZEN"), HasSubstr("7.2.1")));
  EXPECT_THAT(Sluicectl({"check", "--op", "UPLOAD", "-o", "json"}).out,
              HasSubstr("\"reason\": \"REASON_ACCOUNT_FROZEN\""));
  EXPECT_THAT(Sluicectl({"check", "--op", "UPLOAD", "-o", "yaml"}).out, HasSubstr("reason: ACCOUNT_FROZEN\n"));
}

TEST_F(ServerCommandsTest, CheckSendsEveryFlag) {
  enforcement_.answer.set_verdict(v1::VERDICT_ALLOW);
  Sluicectl({"check",
             "--json",
             R"({"operation": "UPLOAD", "bucket": "from-json", "owner": "o"})",
             "--bucket",
             "b1",
             "--key",
             "k",
             "--version-id",
             "v",
             "--host",
             "h",
             "--path",
             "/p",
             "--ip",
             "192.0.2.1",
             "--requester",
             "r",
             "--region",
             "cn",
             "--hash",
             "sha256:ab",
             "--hash",
             "md5:cd",
             "--bytes",
             "7",
             "--principal",
             "moderation",
             "--dialect",
             "s3",
             "--request-id",
             "id",
             "--min-revision",
             "3",
             "--copy-bucket",
             "cb",
             "--copy-key",
             "ck",
             "--take-lease",
             "--lease-id",
             "l",
             "--new-key"});
  const v1::CheckRequest& asked = enforcement_.asked;
  EXPECT_EQ(asked.operation(), v1::OPERATION_UPLOAD);
  EXPECT_EQ(asked.bucket(), "b1") << "flags add to the JSON";
  EXPECT_EQ(asked.owner(), "o");
  EXPECT_EQ(asked.version_id(), "v");
  EXPECT_EQ(asked.client_ip(), "192.0.2.1");
  EXPECT_EQ(asked.hashes_size(), 2);
  EXPECT_EQ(asked.hashes(1).algorithm(), "md5");
  EXPECT_EQ(asked.bytes(), 7);
  EXPECT_EQ(asked.principal(), v1::PRINCIPAL_MODERATION);
  EXPECT_EQ(asked.dialect(), v1::DIALECT_S3);
  EXPECT_EQ(asked.min_revision(), 3);
  EXPECT_EQ(asked.copy_source().key(), "ck");
  EXPECT_TRUE(asked.take_lease());
  EXPECT_TRUE(asked.new_key());
}

TEST_F(ServerCommandsTest, ExplainShowsRulesInBothLanguages) {
  const Ran ran = Sluicectl({"explain", "--op", "PUBLIC_READ", "--bucket", "b1", "--at", "2026-03-01T10:00:00+08:00"});
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("● "), HasSubstr("flag f1"), HasSubstr("内容违规 prohibited content")));
  EXPECT_EQ(FromProto(admin_.explained.at()), absl::FromUnixSeconds(1772330400));
}

TEST_F(ServerCommandsTest, ApplyFillsInSourceAndRoleAndCounts) {
  const std::string file = PolicyFile(
      "- freeze: {account: u1}\n- bind_bucket: {bucket: b, account: u1}\n  source: storage\n  role: OPERATIONS\n");
  const Ran ran = Sluicectl({"apply", "-f", file});
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  ASSERT_EQ(admin_.applied.size(), 2u);
  EXPECT_EQ(admin_.applied[0].source(), "sluicectl");
  EXPECT_EQ(admin_.applied[0].role(), v1::ROLE_UNSPECIFIED);  // the node gives the first that its sender may send as
  EXPECT_EQ(admin_.applied[1].source(), "storage");
  EXPECT_EQ(admin_.applied[1].role(), v1::ROLE_OPERATIONS);
  EXPECT_THAT(ran.out, HasSubstr("2 applied, 0 duplicate, 0 stale, 0 rejected; revision 2"));
}

TEST_F(ServerCommandsTest, ApplySendsBatchesAndListsWhatWasRejected) {
  std::string policy;
  for (int i = 0; i < 1200; ++i)
    absl::StrAppend(&policy, "- freeze: {account: ", i == 700 ? "nobody" : absl::StrCat("u", i), "}\n");
  const Ran ran = Sluicectl({"apply", "-f", PolicyFile(policy)});
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_EQ(admin_.batches, 3);
  EXPECT_EQ(admin_.applied.size(), 1200u);
  EXPECT_EQ(admin_.applied[1199].freeze().account(), "u1199") << "in order";
  EXPECT_THAT(ran.out, AllOf(HasSubstr("1,199 applied"), HasSubstr("1 rejected"), HasSubstr("freeze of PENDING"),
                             HasSubstr("701"), Not(HasSubstr("u699"))));
}

TEST_F(ServerCommandsTest, ApplyThatBreaksOffSaysHowFarItCame) {
  admin_.fail_at_batch = 2;
  std::string policy;
  for (int i = 0; i < 600; ++i) absl::StrAppend(&policy, "- freeze: {account: u", i, "}\n");
  const Ran ran = Sluicectl({"apply", "-f", PolicyFile(policy)});
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("500 of 600 events were answered"), HasSubstr("the store is full")));
  EXPECT_THAT(ran.out, HasSubstr("500 applied"));
}

TEST_F(ServerCommandsTest, ApplyWaitsForAnAnswerAsLongAsItIsTold) {
  admin_.hang_at_batch = 1;
  const Ran ran = Sluicectl({"--timeout", "100ms", "apply", "-f", PolicyFile("- freeze: {account: u1}\n")});
  admin_.released.Notify();
  EXPECT_EQ(ran.code, kExitUnreachable);
  EXPECT_THAT(ran.err, HasSubstr("within 100ms"));
}

TEST_F(ServerCommandsTest, AccountShowDrawsItsWindow) {
  const absl::Time now = absl::Now();
  admin_.description.set_state(v1::ACCOUNT_STATE_FROZEN);
  ToProto(now - absl::Hours(24 * 9), admin_.description.mutable_state_since());
  ToProto(now + absl::Hours(24 * 21), admin_.description.mutable_deadline());
  v1::PolicyEvent* limit = admin_.description.add_in_force();
  limit->mutable_set_limit()->set_limit_id("limit-1");
  const Ran ran = Sluicectl({"account", "show", "u1"});
  EXPECT_EQ(ran.code, kExitOk);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("FROZEN"), HasSubstr("7.2.1"), HasSubstr("7.2.2"), HasSubstr("20 days left"),
                             HasSubstr("●━"), HasSubstr("┄○"), HasSubstr("limit-1")));
}

TEST_F(ServerCommandsTest, AReclaimableAccountMayBeErasedOnlyOnceThatWasAnnounced) {
  admin_.description.set_state(v1::ACCOUNT_STATE_RECLAIMABLE);
  EXPECT_THAT(Sluicectl({"account", "show", "u1"}).out,
              AllOf(HasSubstr("once RECLAIMABLE was announced."), Not(HasSubstr("take the space back."))));
}

TEST_F(ServerCommandsTest, AnAccountThatNobodyOpenedIsUnknown) {
  EXPECT_THAT(Sluicectl({"account", "show", "u1"}).out, HasSubstr("unknown: no event has opened it"));
}

TEST_F(ServerCommandsTest, FreezeSendsTheEventAndARejectionIsAnError) {
  const Ran frozen =
      Sluicectl({"account", "freeze", "u1", "--note", "arrears", "--event-id", "e1", "--effective-at", "-1h"});
  EXPECT_EQ(frozen.code, kExitOk) << frozen.err;
  EXPECT_THAT(frozen.out, AllOf(HasSubstr("freeze of u1"), HasSubstr("APPLIED")));
  EXPECT_EQ(admin_.applied[0].note(), "arrears");
  EXPECT_EQ(admin_.applied[0].event_id(), "e1");
  EXPECT_LT(FromProto(admin_.applied[0].effective_at()), absl::Now());
  const Ran rejected = Sluicectl({"account", "freeze", "nobody"});
  EXPECT_EQ(rejected.code, kExitRefused);
  EXPECT_THAT(rejected.err, AllOf(HasSubstr("freeze of PENDING"), HasSubstr("sent as the first role that may")));
  EXPECT_EQ(Sluicectl({"account", "freeze", "u1", "--role", "KING"}).code, kExitUsage);
}

TEST_F(ServerCommandsTest, FlagsAndLimitsAndOrdersBecomeEvents) {
  EXPECT_EQ(Sluicectl({"flag", "add", "--host", "h", "--path", "/p", "--category", "3.1.3.7", "--severity", "critical",
                       "--expires-at", "+7d", "--id", "f1"})
                .code,
            kExitOk);
  EXPECT_EQ(admin_.applied[0].raise_flag().subject().path(), "/p");
  EXPECT_EQ(admin_.applied[0].raise_flag().severity(), v1::SEVERITY_CRITICAL);
  EXPECT_EQ(admin_.applied[0].role(), v1::ROLE_UNSPECIFIED) << "the node gives the first that may";
  EXPECT_EQ(Sluicectl({"limit", "set", "--ip", "192.0.2.0/24", "--rate", "2.5", "--op", "UPLOAD,DELETE", "--level",
                       "contract"})
                .code,
            kExitOk);
  const v1::SetLimit& limit = admin_.applied[1].set_limit();
  EXPECT_EQ(limit.scope(), v1::LIMIT_SCOPE_CLIENT_IP) << "the subject's scope";
  EXPECT_EQ(limit.dimension(), v1::DIMENSION_REQUESTS);
  EXPECT_EQ(limit.level(), v1::LEVEL_CONTRACT);
  EXPECT_EQ(limit.operations_size(), 2);
  EXPECT_FALSE(limit.limit_id().empty());
  EXPECT_EQ(Sluicectl({"order", "issue", "--account", "u1", "--op", "PUBLIC_READ", "--region", "cn,eu"}).code, kExitOk);
  EXPECT_EQ(admin_.applied[2].issue_order().regions_size(), 2);
  EXPECT_EQ(admin_.applied[2].role(), v1::ROLE_UNSPECIFIED);
  Sluicectl({"flag", "remove", "f1"});
  EXPECT_EQ(admin_.applied[3].clear_flag().flag_id(), "f1");
  Sluicectl({"limit", "clear", "l1"});
  EXPECT_EQ(admin_.applied[4].clear_limit().limit_id(), "l1");
  Sluicectl({"order", "lift", "o1"});
  EXPECT_EQ(admin_.applied[5].lift_order().order_id(), "o1");
}

TEST_F(ServerCommandsTest, ListReadsEveryPage) {
  const Ran ran = Sluicectl({"flag", "list", "--bucket", "b1"});
  EXPECT_EQ(ran.code, kExitOk);
  ASSERT_EQ(admin_.listed.size(), 2u);
  EXPECT_EQ(admin_.listed[0].kind(), "flags");
  EXPECT_EQ(admin_.listed[0].subject().bucket(), "b1");
  EXPECT_EQ(admin_.listed[1].page_token(), "next");
  EXPECT_THAT(ran.out, AllOf(HasSubstr("f0"), HasSubstr("f1")));
}

TEST_F(ServerCommandsTest, WatchPrintsALineEach) {
  const Ran ran = Sluicectl({"watch", "--from", "3", "--count", "2", "-o", "json"});
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2);
  EXPECT_THAT(ran.out, HasSubstr("{\"revision\":\"3\""));
  EXPECT_THAT(Sluicectl({"watch", "--from", "3"}).out, AllOf(HasSubstr("RECLAIMABLE"), HasSubstr("account u1")));
}

TEST_F(ServerCommandsTest, AnExportComesBackByImport) {
  for (int i = 0; i < 3; ++i) {
    v1::ExportChunk chunk;
    chunk.set_revision(9);
    chunk.add_events()->mutable_freeze()->set_account(absl::StrCat("u", i));
    admin_.chunks.push_back(chunk);
  }
  const std::string file = base_ + ".export";
  const Ran exported = Sluicectl({"export", file});
  EXPECT_EQ(exported.code, kExitOk) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("exported 3 events, revision 9"));
  const Ran imported = Sluicectl({"import", file});
  EXPECT_EQ(imported.code, kExitOk) << imported.err;
  ASSERT_EQ(admin_.imported.size(), 3u);
  EXPECT_EQ(admin_.imported[2].events(0).freeze().account(), "u2");
  admin_.import_status = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "this node has a policy");
  const Ran refused = Sluicectl({"import", file});
  EXPECT_EQ(refused.code, kExitRefused);
  EXPECT_THAT(refused.err, HasSubstr("this node has a policy"));
}

TEST_F(ServerCommandsTest, AnExportThatBreaksOffLeavesTheOldFile) {
  const std::string file = base_ + ".export";
  std::ofstream(file) << "old";
  admin_.chunks.resize(1);
  admin_.chunks[0].set_revision(1);
  admin_.export_status = grpc::Status(grpc::StatusCode::DATA_LOSS, "a record cannot be read");
  EXPECT_EQ(Sluicectl({"export", file}).code, kExitUsage);
  std::string text;
  std::ifstream(file) >> text;
  EXPECT_EQ(text, "old");
}

TEST_F(ServerCommandsTest, ACutExportIsNotImported) {
  admin_.chunks.resize(2);
  admin_.chunks[0].set_revision(1);
  admin_.chunks[1].set_revision(1);
  const std::string file = base_ + ".export";
  ASSERT_EQ(Sluicectl({"export", file}).code, kExitOk);
  ASSERT_EQ(truncate(file.c_str(), 16 + 3), 0);  // the header and the first chunk
  const Ran ran = Sluicectl({"import", file});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("cut short"));
}

TEST_F(ServerCommandsTest, ACallThatTheServerLacksIsAnErrorOfItsOwn) {
  server_->Shutdown();
  const Ran gone = Sluicectl({"flag", "list"});
  EXPECT_EQ(gone.code, kExitUnreachable);
}

}  // namespace
}  // namespace sluice
