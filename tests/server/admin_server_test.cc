#include "server/admin/admin_server.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "raw_call.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An admin server for one node.
class Admin {
 public:
  explicit Admin(TestNode* node, const Pace& pace = {}) {
    AdminServer::Parts parts = node->AdminParts();
    parts.on_applied = [this] { ++applied_; };
    static int made = 0;  // a node may have several
    auto server = AdminServer::Start(
        {.address = node->folder().Socket("admin" + std::to_string(made++) + ".sock"), .pace = pace}, parts);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    // What is on its way to a caller that reads nothing stays little, however slowly the machine runs: else gRPC widens
    // the window by the bandwidth that it measures, once by more than all of an export.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    channel_ = Connect(server_->address(), arguments);
    stub_ = v1::PolicyAdmin::NewStub(channel_);
  }
  v1::PolicyAdmin::Stub* operator->() { return stub_.get(); }
  AdminServer& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  int applied() const { return applied_; }

 private:
  std::atomic<int> applied_{0};
  std::unique_ptr<AdminServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PolicyAdmin::Stub> stub_;
};

class AdminServerTest : public testing::Test {
 protected:
  static RaiseFlag FlagOn(const std::string& id, const std::string& bucket, const std::string& key = "") {
    RaiseFlag flag;
    flag.flag_id = id;
    flag.subject.bucket = bucket;
    flag.subject.key = key;
    flag.category = "3.1.3.5.4";
    flag.severity = Severity::kBlock;
    return flag;
  }

  grpc::Status List(const v1::ListRequest& request, v1::ListResponse* response) {
    grpc::ClientContext context;
    return admin_->List(&context, request, response);
  }
  std::vector<std::string> FlagIds(const v1::ListResponse& response) {
    std::vector<std::string> ids;
    for (const v1::PolicyEvent& item : response.items()) ids.push_back(item.raise_flag().flag_id());
    return ids;
  }

  TestNode node_;
  Admin admin_{&node_};
};

TEST_F(AdminServerTest, AppliesEventsInOrderAndTellsEachOutcome) {
  v1::ApplyRequest request;
  request.add_events()->mutable_open_account()->set_account("u1");
  request.add_events()->mutable_paid()->set_account("u1");
  request.add_events()->mutable_clear_flag()->set_flag_id("unknown");
  for (v1::PolicyEvent& event : *request.mutable_events()) event.set_role(v1::ROLE_BILLING);
  request.mutable_events(2)->set_role(v1::ROLE_LEGAL);
  grpc::ClientContext context;
  v1::ApplyResponse response;
  ASSERT_TRUE(admin_->Apply(&context, request, &response).ok());
  ASSERT_EQ(response.results_size(), 3);
  EXPECT_EQ(response.results(0).outcome(), v1::OUTCOME_APPLIED);
  EXPECT_LT(response.results(0).revision(), response.results(1).revision());
  EXPECT_EQ(response.results(2).outcome(), v1::OUTCOME_REJECTED);
  EXPECT_THAT(response.results(2).error(), HasSubstr("unknown"));
  EXPECT_EQ(response.revision(), node_.store().revision());
  EXPECT_EQ(admin_.applied(), 1);
  EXPECT_THAT(node_.metrics().Text(), AllOf(HasSubstr("sluice_events_total{outcome=\"APPLIED\",role=\"BILLING\"} 2\n"),
                                            HasSubstr("sluice_events_total{outcome=\"REJECTED\",role=\"LEGAL\"} 1\n")));
}

TEST_F(AdminServerTest, RefusesARequestOfTooManyEvents) {
  v1::ApplyRequest request;
  for (int i = 0; i <= kEventsMax; ++i) request.add_events();
  grpc::ClientContext context;
  v1::ApplyResponse response;
  const grpc::Status status = admin_->Apply(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "events: at most 10000 in a request, got 10001");
  EXPECT_EQ(node_.store().revision(), 0);
}

TEST_F(AdminServerTest, AppliesAStreamRequestByRequest) {
  grpc::ClientContext context;
  auto stream = admin_->ApplyStream(&context);
  for (int i = 0; i < 3; ++i) {
    v1::ApplyRequest request;
    request.add_events()->mutable_open_account()->set_account("u" + std::to_string(i));
    request.mutable_events(0)->set_role(v1::ROLE_BILLING);
    ASSERT_TRUE(stream->Write(request));
    v1::ApplyResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.results(0).outcome(), v1::OUTCOME_APPLIED);
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(AdminServerTest, DescribesAnAccountWithItsClockAndWhatIsInForce) {
  node_.OpenU1();
  node_.Apply(Freeze{"u1"});
  RaiseFlag flag = FlagOn("f1", "");
  flag.subject = Subject{.account = "u1"};
  node_.Apply(flag);
  v1::DescribeRequest request;
  request.mutable_subject()->set_account("u1");
  grpc::ClientContext context;
  v1::DescribeResponse response;
  const grpc::Status status = admin_->Describe(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.state(), v1::ACCOUNT_STATE_FROZEN);
  EXPECT_EQ(FromProto(response.deadline()), FromProto(response.state_since()) + absl::Hours(31 * 24));
  bool has_flag = false;
  for (const v1::PolicyEvent& event : response.in_force()) has_flag |= event.raise_flag().flag_id() == "f1";
  EXPECT_TRUE(has_flag);
  EXPECT_EQ(response.revision(), node_.store().revision());
}

TEST_F(AdminServerTest, WhatWasReplacedIsNotShownAsInForce) {
  node_.OpenU1();
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u1";
  limit.dimension = Dimension::kRequests;
  for (const double rate : {100, 5000}) {
    limit.rate = rate;
    node_.Apply(limit);
  }
  v1::DescribeRequest describe;
  describe.mutable_subject()->set_account("u1");
  const auto described = [&] {
    grpc::ClientContext context;
    v1::DescribeResponse response;
    EXPECT_TRUE(admin_->Describe(&context, describe, &response).ok());
    return response;
  };
  ASSERT_EQ(described().in_force_size(), 1);
  EXPECT_EQ(described().in_force(0).set_limit().rate(), 5000);
  v1::ListRequest list;
  list.set_kind("limits");
  v1::ListResponse listed;
  ASSERT_TRUE(List(list, &listed).ok());
  ASSERT_EQ(listed.items_size(), 1);
  EXPECT_EQ(listed.items(0).set_limit().rate(), 5000);

  // Set for another, it is no more among what names the first.
  limit.subject.account = "u2";
  node_.Apply(limit);
  list.mutable_subject()->set_account("u1");
  ASSERT_TRUE(List(list, &listed).ok());
  EXPECT_EQ(listed.items_size(), 0);
  EXPECT_EQ(described().in_force_size(), 0);
}

TEST_F(AdminServerTest, ShowsWhatIsDatedAheadUntilItBites) {
  node_.OpenU1();
  node_.Apply(FlagOn("f1", "b1"));
  node_.Apply(GrantException{"f1", Subject{.bucket = "b1", .key = "k1"}});
  PolicyEvent clear;
  clear.change = ClearFlag{"f1"};
  clear.role = node_.RoleFor(clear.change);
  clear.effective_at = node_.clock().Now().wall + absl::Hours(24);
  ASSERT_TRUE(node_.writer().Apply({clear}, node_.clock().Now()).ok());
  v1::ListRequest list;
  list.set_kind("flags");
  v1::ListResponse listed;
  ASSERT_TRUE(List(list, &listed).ok());
  EXPECT_EQ(listed.items_size(), 3);
  node_.clock().Advance(absl::Hours(25));
  ASSERT_TRUE(List(list, &listed).ok());
  EXPECT_EQ(listed.items_size(), 0) << "nor an exception to nothing";
}

TEST_F(AdminServerTest, DescribesAMomentToCome) {
  node_.OpenU1();
  node_.Apply(Freeze{"u1"});
  v1::DescribeRequest request;
  request.mutable_subject()->set_account("u1");
  ToProto(node_.clock().Now().wall + absl::Hours(24 * 40), request.mutable_at());
  grpc::ClientContext context;
  v1::DescribeResponse response;
  ASSERT_TRUE(admin_->Describe(&context, request, &response).ok());
  EXPECT_EQ(response.state(), v1::ACCOUNT_STATE_RECLAIMABLE);
}

TEST_F(AdminServerTest, RefusesToDescribeWhatIsNoSubjectOrNoTime) {
  v1::DescribeRequest request;
  v1::DescribeResponse response;
  {
    grpc::ClientContext context;
    EXPECT_EQ(admin_->Describe(&context, request, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  request.mutable_subject()->set_account("u1");
  request.mutable_at()->set_nanos(-1);
  grpc::ClientContext context;
  const grpc::Status status = admin_->Describe(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("at: wanted a time"));
}

TEST_F(AdminServerTest, ExplainsWithEveryRuleLookedAt) {
  node_.OpenU1();
  node_.Apply(FlagOn("f1", "b1", "bad"));
  v1::ExplainRequest request;
  request.mutable_request()->set_operation(v1::OPERATION_DOWNLOAD);
  request.mutable_request()->set_requester("u1");
  request.mutable_request()->set_bucket("b1");
  request.mutable_request()->set_key("bad");
  grpc::ClientContext context;
  v1::ExplainResponse response;
  ASSERT_TRUE(admin_->Explain(&context, request, &response).ok());
  EXPECT_EQ(response.response().reason(), v1::REASON_CONTENT_PROHIBITED);
  EXPECT_EQ(response.response().rule_id(), "f1");
  EXPECT_EQ(response.response().all_reasons_size(), 1);
  EXPECT_GT(response.steps_size(), 0);
}

TEST_F(AdminServerTest, ListsPagesInOrderOfId) {
  node_.OpenU1();
  for (const char* id : {"f3", "f1", "f5", "f2", "f4"}) node_.Apply(FlagOn(id, "b1", id));
  v1::ListRequest request;
  request.set_kind("flags");
  request.set_page_size(2);
  std::vector<std::vector<std::string>> pages;
  do {
    v1::ListResponse response;
    ASSERT_TRUE(List(request, &response).ok());
    pages.push_back(FlagIds(response));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(pages, ElementsAre(ElementsAre("f1", "f2"), ElementsAre("f3", "f4"), ElementsAre("f5")));
}

TEST_F(AdminServerTest, ListsWhatNamesASubject) {
  node_.OpenU1();
  node_.Apply(FlagOn("f1", "b1", "k1"));
  node_.Apply(FlagOn("f2", "b1", "k2"));
  node_.Apply(BindBucket{"b2", "u2", "cn"});
  v1::ListRequest request;
  request.set_kind("flags");
  request.mutable_subject()->set_bucket("b1");
  request.mutable_subject()->set_key("k2");
  v1::ListResponse response;
  ASSERT_TRUE(List(request, &response).ok());
  EXPECT_THAT(FlagIds(response), ElementsAre("f2"));

  request.Clear();
  request.set_kind("buckets");
  request.mutable_subject()->set_account("u1");
  ASSERT_TRUE(List(request, &response).ok());
  ASSERT_EQ(response.items_size(), 1);
  EXPECT_EQ(response.items(0).bind_bucket().bucket(), "b1");
  EXPECT_GT(response.items(0).revision(), 0);
}

TEST_F(AdminServerTest, ListsEveryKind) {
  node_.OpenU1();
  for (const char* kind : {"flags", "orders", "holds", "restrictions", "limits", "accounts", "buckets", "domains",
                           "permits", "parameters", "maintenance"}) {
    v1::ListRequest request;
    request.set_kind(kind);
    v1::ListResponse response;
    const grpc::Status status = List(request, &response);
    EXPECT_TRUE(status.ok()) << kind << ": " << status.error_message();
  }
}

TEST_F(AdminServerTest, RefusesAListingThatItDoesNotUnderstand) {
  const auto refusal = [this](const v1::ListRequest& request) {
    v1::ListResponse response;
    const grpc::Status status = List(request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  v1::ListRequest request;
  request.set_kind("flag");
  EXPECT_THAT(refusal(request), AllOf(HasSubstr("kind: wanted one of flags, orders"), HasSubstr("got 'flag'")));
  request.set_kind("flags");
  request.set_page_size(1001);
  EXPECT_THAT(refusal(request), HasSubstr("page_size"));
  request.set_page_size(0);
  request.set_page_token("%%%");
  EXPECT_THAT(refusal(request), HasSubstr("page_token"));
  request.clear_page_token();
  request.mutable_subject()->set_key("a key without its bucket");
  refusal(request);
}

TEST_F(AdminServerTest, TopTakesEachKindOnce) {
  const auto refusal = [this](const v1::TopRequest& request) {
    grpc::ClientContext context;
    v1::TopResponse response;
    const grpc::Status status = admin_->Top(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  v1::TopRequest request;
  for (int kind = 1; kind <= kTopKindCount; ++kind) request.add_kinds(static_cast<v1::TopKind>(kind));
  grpc::ClientContext context;
  v1::TopResponse response;
  ASSERT_TRUE(admin_->Top(&context, request, &response).ok());
  EXPECT_EQ(response.lists_size(), kTopKindCount);
  request.set_kinds(4, v1::TOP_KIND_ACCOUNT);
  EXPECT_EQ(refusal(request), "kinds: wanted each once, got 1 again");
  for (int i = 0; i < 1'000'000; ++i) request.add_kinds(v1::TOP_KIND_ACCOUNT);
  EXPECT_EQ(refusal(request), "kinds: wanted at most 5, each once, got 1000005");
}

TEST_F(AdminServerTest, RefusesAPageTokenOfAnotherKind) {
  node_.OpenU1();
  node_.Apply(FlagOn("f1", "b1", "k1"));
  node_.Apply(FlagOn("f2", "b1", "k2"));
  v1::ListRequest request;
  request.set_kind("flags");
  request.set_page_size(1);
  v1::ListResponse response;
  ASSERT_TRUE(List(request, &response).ok());
  request.set_page_token(response.next_page_token());
  request.set_kind("orders");
  EXPECT_EQ(List(request, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Three rejections, each of which is announced.
void RejectThree(TestNode* node) {
  for (int i = 0; i < 3; ++i) {
    PolicyEvent event;
    event.change = ClearFlag{"unknown-" + std::to_string(i)};
    event.role = Role::kLegal;
    ASSERT_TRUE(node->writer().Apply({event}, node->clock().Now()).ok());
  }
}

TEST_F(AdminServerTest, TellsAWatcherWhatWasAndThenWhatComes) {
  node_.OpenU1();
  RejectThree(&node_);
  grpc::ClientContext context;
  v1::WatchRequest request;
  auto stream = admin_->Watch(&context, request);
  v1::Announcement announcement;
  int64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream->Read(&announcement));
    EXPECT_EQ(announcement.kind(), v1::ANNOUNCEMENT_KIND_EVENT_REJECTED);
    EXPECT_GT(announcement.revision(), last);
    last = announcement.revision();
  }
  RejectThree(&node_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream->Read(&announcement));
    EXPECT_GT(announcement.revision(), last);
    last = announcement.revision();
  }
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(AdminServerTest, ResumesAWatchFromARevision) {
  node_.OpenU1();
  RejectThree(&node_);
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_from_revision(node_.store().revision());
  auto stream = admin_->Watch(&context, request);
  v1::Announcement announcement;
  ASSERT_TRUE(stream->Read(&announcement));
  EXPECT_EQ(announcement.revision(), request.from_revision());
  context.TryCancel();
  stream->Finish();
}

TEST_F(AdminServerTest, EndsAWatchWhenItShutsDown) {
  node_.OpenU1();
  RejectThree(&node_);
  grpc::ClientContext context;
  auto stream = admin_->Watch(&context, v1::WatchRequest());
  v1::Announcement announcement;
  ASSERT_TRUE(stream->Read(&announcement));
  admin_.server().Shutdown(absl::Minutes(5));
  while (stream->Read(&announcement)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("resume from revision"));
}

TEST_F(AdminServerTest, LoadsItsExportIntoAnEmptyNode) {
  node_.OpenU1();
  for (int i = 0; i < 50; ++i) node_.Apply(FlagOn("f" + std::to_string(i), "b1", "k" + std::to_string(i)));
  std::vector<v1::ExportChunk> chunks;
  {
    grpc::ClientContext context;
    auto stream = admin_->Export(&context, v1::ExportRequest());
    v1::ExportChunk chunk;
    while (stream->Read(&chunk)) chunks.push_back(chunk);
    ASSERT_TRUE(stream->Finish().ok());
  }
  ASSERT_FALSE(chunks.empty());

  TestNode other;
  Admin other_admin(&other);
  const auto import = [&chunks](Admin& admin, v1::ImportResponse* response) {
    grpc::ClientContext context;
    auto stream = admin->Import(&context, response);
    for (const v1::ExportChunk& chunk : chunks) stream->Write(chunk);
    stream->WritesDone();
    return stream->Finish();
  };
  v1::ImportResponse response;
  const grpc::Status status = import(other_admin, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.revision(), node_.store().revision());
  EXPECT_EQ(other.store().revision(), node_.store().revision());
  EXPECT_EQ(other_admin.applied(), 1);

  // Into a node that has a policy: refused, and nothing happens.
  EXPECT_EQ(import(admin_, &response).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(AdminServerTest, RefusesAnImportOfNothing) {
  grpc::ClientContext context;
  v1::ImportResponse response;
  auto stream = admin_->Import(&context, &response);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminServerTest, AnswersFromTheDecisionLog) {
  node_.OpenU1();
  node_.Apply(Freeze{"u1"});
  CheckInput check;
  check.operation = Operation::kDownload;
  check.bucket = "b1";
  check.request_id = "r1";
  Decision answer;
  ASSERT_TRUE(node_.checker().Check(&check, &answer).ok());
  v1::LogQuery query;
  query.set_account("u1");
  grpc::ClientContext context;
  auto stream = v1::DecisionLog::NewStub(admin_.channel())->Query(&context, query);
  v1::DecisionRecord record;
  ASSERT_TRUE(stream->Read(&record));
  EXPECT_EQ(record.node(), "n1");
  EXPECT_EQ(record.request().request_id(), "r1");
  EXPECT_EQ(record.response().reason(), v1::REASON_ACCOUNT_FROZEN);
  EXPECT_EQ(record.response().all_reasons_size(), 1);
  EXPECT_FALSE(stream->Read(&record));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(AdminServerTest, SaysServingOfItselfWhileTheNodeIsNotReady) {
  EXPECT_EQ(HealthOf(admin_.channel()), "NOT_SERVING");
  EXPECT_EQ(HealthOf(admin_.channel(), "sluice.v1.PolicyAdmin"), "SERVING");
  admin_.server().SetServing(true);
  EXPECT_EQ(HealthOf(admin_.channel()), "SERVING");
  EXPECT_THAT(ReflectionCall(admin_.channel()).ListServices(),
              AllOf(HasSubstr("sluice.v1.PolicyAdmin"), HasSubstr("sluice.v1.DecisionLog")));
}

class SlowCallersTest : public AdminServerTest {
 protected:
  // More than connections hold on their way.
  void SetUp() override {
    for (int i = 0; i < 20; ++i) {
      v1::ApplyRequest request;
      for (int j = 0; j < 250; ++j) {
        PolicyEvent event;
        event.change = FlagOn("f" + std::to_string(1000 * i + j), "b1", "k" + std::to_string(j));
        event.note = std::string(2000, 'n');
        ToProto(event, request.add_events());
        request.mutable_events(j)->set_role(v1::ROLE_MODERATION);
      }
      grpc::ClientContext context;
      v1::ApplyResponse response;
      const grpc::Status status = admin_->Apply(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }
};

TEST_F(SlowCallersTest, WhoTakesAnExportTooSlowlyIsCutOff) {
  Admin strict(&node_, {.credit = std::chrono::milliseconds(0)});
  grpc::ClientContext context;
  auto stream = strict->Export(&context, v1::ExportRequest());
  v1::ExportChunk chunk;
  while (stream->Read(&chunk)) EXPECT_FALSE(chunk.last());
  EXPECT_THAT(stream->Finish().error_code(), AnyOf(grpc::StatusCode::ABORTED, grpc::StatusCode::CANCELLED));
}

TEST_F(SlowCallersTest, WhoTakesNothingHoldsNothing) {
  Admin strict(&node_, {.credit = std::chrono::milliseconds(50)});
  grpc::ClientContext context;
  auto stream = strict->Export(&context, v1::ExportRequest());
  v1::ExportChunk chunk;
  ASSERT_TRUE(stream->Read(&chunk));
  // Waits for the export, which nobody takes any further.
  const absl::Time began = absl::Now();
  strict.server().Shutdown(absl::Minutes(4));
  EXPECT_LT(absl::Now() - began, absl::Minutes(1));
  while (stream->Read(&chunk)) EXPECT_FALSE(chunk.last());
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(SlowCallersTest, WhoGivesAnImportTooSlowlyLoadsNothing) {
  TestNode other;
  Admin strict(&other, {.credit = std::chrono::milliseconds(50)});
  grpc::ClientContext context;
  v1::ImportResponse response;
  auto stream = strict->Import(&context, &response);
  // Without a chunk, and without an end.
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_EQ(other.store().revision(), 0);
}

TEST_F(SlowCallersTest, ExportsAtOnceAreBounded) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::ExportChunk>>> streams;
  v1::ExportChunk chunk;
  for (int i = 0; i < kExportsMax; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    streams.push_back(admin_->Export(contexts.back().get(), v1::ExportRequest()));
    ASSERT_TRUE(streams.back()->Read(&chunk));
  }
  grpc::ClientContext context;
  auto one_more = admin_->Export(&context, v1::ExportRequest());
  EXPECT_FALSE(one_more->Read(&chunk));
  EXPECT_EQ(one_more->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (auto& stream : streams) {
    while (stream->Read(&chunk)) {
    }
    EXPECT_TRUE(chunk.last());
    EXPECT_TRUE(stream->Finish().ok());
  }
}

}  // namespace
}  // namespace sluice
