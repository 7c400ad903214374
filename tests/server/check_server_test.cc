// Both servers of sluice.v1.Enforcement, held to the same by a real gRPC client.
#include "server/listen/check_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "any_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raw_call.h"
#include "sluice/v1/check.grpc.pb.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckServerTest : public testing::TestWithParam<ServedBy> {
 protected:
  CheckServerTest() { Start(); }

  void Start() {
    auto server =
        AnyServer::Start(GetParam(), {.address = node_.folder().Socket("check.sock"), .threads = 2}, &node_.checker());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = Connect(server_->address());
    stub_ = v1::Enforcement::NewStub(channel_);
  }

  static v1::CheckRequest Request(const std::string& bucket, const std::string& id = "") {
    v1::CheckRequest request;
    request.set_request_id(id);
    request.set_operation(v1::OPERATION_DOWNLOAD);
    request.set_requester("u1");
    request.set_bucket(bucket);
    request.set_key("k");
    return request;
  }

  v1::CheckResponse Check(const v1::CheckRequest& request) {
    grpc::ClientContext context;
    v1::CheckResponse response;
    const grpc::Status status = stub_->Check(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  TestNode node_;
  std::unique_ptr<AnyServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Enforcement::Stub> stub_;
};

TEST_P(CheckServerTest, AnswersNotReadyBeforeAnyEventWasApplied) {
  const v1::CheckResponse response = Check(Request("b1", "r1"));
  EXPECT_EQ(response.verdict(), v1::VERDICT_DENY);
  EXPECT_EQ(response.reason(), v1::REASON_NOT_READY);
  EXPECT_EQ(response.fault(), v1::FAULT_PROVIDER);
  EXPECT_EQ(response.request_id(), "r1");
}

TEST_P(CheckServerTest, AnswersFromThePolicyThatWasJustApplied) {
  node_.OpenU1();
  EXPECT_EQ(Check(Request("b1")).verdict(), v1::VERDICT_ALLOW);
  node_.Apply(Freeze{"u1"});
  const v1::CheckResponse response = Check(Request("b1"));
  EXPECT_EQ(response.reason(), v1::REASON_ACCOUNT_FROZEN);
  EXPECT_EQ(response.clause(), "7.2.1");
  EXPECT_EQ(response.all_reasons_size(), 0);
}

TEST_P(CheckServerTest, TellsEveryReasonWhereDetailIsAskedFor) {
  node_.OpenU1();
  node_.Apply(Freeze{"u1"});
  v1::CheckRequest request = Request("b1");
  request.set_detail(true);
  EXPECT_EQ(Check(request).all_reasons_size(), 1);
}

TEST_P(CheckServerTest, AnswersStalePolicyWhileThePolicyIsTooOld) {
  node_.OpenU1();
  node_.readiness().SetStale(true);
  EXPECT_EQ(Check(Request("b1")).reason(), v1::REASON_STALE_POLICY);
  node_.readiness().SetStale(false);
  EXPECT_EQ(Check(Request("b1")).verdict(), v1::VERDICT_ALLOW);
}

TEST_P(CheckServerTest, AnswersStalePolicyBelowTheRevisionAskedFor) {
  node_.OpenU1();
  v1::CheckRequest request = Request("b1");
  request.set_min_revision(1000);
  EXPECT_EQ(Check(request).reason(), v1::REASON_STALE_POLICY);
}

TEST_P(CheckServerTest, RefusesANameOverItsBoundAndSaysWhich) {
  v1::CheckRequest request = Request(std::string(kBucketBytesMax + 1, 'b'));
  grpc::ClientContext context;
  v1::CheckResponse response;
  const grpc::Status status = stub_->Check(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("bucket"), HasSubstr("256"), HasSubstr("257")));
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_checks_malformed_total 1\n"));
}

TEST_P(CheckServerTest, RefusesInvalidUtf8WithAReason) {
  // Field 5, bucket: two bytes that no UTF-8 text has.
  const RawAnswer answer = RawUnary(channel_, "/sluice.v1.Enforcement/Check", "\x2a\x02\xff\xfe");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), AllOf(HasSubstr("sluice.v1.CheckRequest"), HasSubstr("UTF-8")));
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_checks_malformed_total 1\n"));
  // The call object that met it serves on.
  EXPECT_EQ(Check(Request("b1")).reason(), v1::REASON_NOT_READY);
}

TEST_P(CheckServerTest, RefusesAMessageThatIsCutOff) {
  const RawAnswer answer = RawUnary(channel_, "/sluice.v1.Enforcement/CheckBatch", "\x0a\x7f");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("sluice.v1.CheckBatchRequest"));
}

TEST_P(CheckServerTest, AnswersABatchInTheOrderOfItsRequests) {
  node_.OpenU1();
  v1::CheckBatchRequest request;
  for (int i = 0; i < 1024; ++i) *request.add_requests() = Request("b1", std::to_string(i));
  grpc::ClientContext context;
  v1::CheckBatchResponse response;
  const grpc::Status status = stub_->CheckBatch(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.responses_size(), 1024);
  for (int i = 0; i < 1024; ++i) {
    EXPECT_EQ(response.responses(i).request_id(), std::to_string(i));
    EXPECT_EQ(response.responses(i).verdict(), v1::VERDICT_ALLOW);
  }
}

TEST_P(CheckServerTest, RefusesABatchOver1024) {
  v1::CheckBatchRequest request;
  for (int i = 0; i < 1025; ++i) request.add_requests();
  grpc::ClientContext context;
  v1::CheckBatchResponse response;
  const grpc::Status status = stub_->CheckBatch(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "requests: at most 1,024, got 1025");
}

TEST_P(CheckServerTest, RefusesAWholeBatchForOneMalformedRequestAndSaysWhich) {
  node_.OpenU1();
  v1::CheckBatchRequest request;
  *request.add_requests() = Request("b1");
  *request.add_requests() = Request("b1");
  request.mutable_requests(1)->set_client_ip("not an address");
  grpc::ClientContext context;
  v1::CheckBatchResponse response;
  const grpc::Status status = stub_->CheckBatch(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("requests[1].client_ip"));
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",fault="
                                                "\"UNSPECIFIED\",operation=\"DOWNLOAD\",door=\"GRPC\"} 0\n"));
}

TEST_P(CheckServerTest, AnswersAStreamInTheOrderOfItsRequests) {
  constexpr int kChecks = 2000;  // far more than the server holds back
  node_.OpenU1();
  grpc::ClientContext context;
  auto stream = stub_->CheckStream(&context);
  std::thread writer([&stream] {
    for (int i = 0; i < kChecks; ++i) EXPECT_TRUE(stream->Write(Request("b1", std::to_string(i))));
    EXPECT_TRUE(stream->WritesDone());
  });
  v1::CheckResponse response;
  int read = 0;
  for (; stream->Read(&response); ++read) EXPECT_EQ(response.request_id(), std::to_string(read));
  writer.join();
  EXPECT_EQ(read, kChecks);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_P(CheckServerTest, EndsAStreamAtAMalformedRequestAfterTheAnswersBeforeIt) {
  node_.OpenU1();
  grpc::ClientContext context;
  auto stream = stub_->CheckStream(&context);
  stream->Write(Request("b1", "first"));
  v1::CheckRequest malformed = Request("b1", "second");
  malformed.set_client_ip("x");
  stream->Write(malformed);
  v1::CheckResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "first");
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("client_ip"));
}

TEST_P(CheckServerTest, OutlivesAStreamWhoseCallerVanishes) {
  node_.OpenU1();
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto stream = stub_->CheckStream(&context);
    stream->Write(Request("b1"));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_EQ(Check(Request("b1")).verdict(), v1::VERDICT_ALLOW);
}

TEST_P(CheckServerTest, AnswersManyCallersAtOnce) {
  node_.OpenU1();
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([this, i] {
      auto stub = v1::Enforcement::NewStub(Connect(server_->address()));
      for (int n = 0; n < 200; ++n) {
        grpc::ClientContext context;
        v1::CheckResponse response;
        const std::string id = std::to_string(i) + "." + std::to_string(n);
        EXPECT_TRUE(stub->Check(&context, Request("b1", id), &response).ok());
        EXPECT_EQ(response.request_id(), id);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_checks_total{verdict=\"ALLOW\",reason=\"UNSPECIFIED\",fault="
                                                "\"UNSPECIFIED\",operation=\"DOWNLOAD\",door=\"GRPC\"} 1600\n"));
}

TEST_P(CheckServerTest, CountsAReportOnce) {
  node_.OpenU1();
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kBucket;
  limit.subject.bucket = "b1";
  limit.dimension = Dimension::kStoredBytes;
  limit.rate = 100;
  node_.Apply(limit);
  v1::ReportRequest report;
  report.set_report_id("report-1");
  v1::Usage* usage = report.add_usages();
  usage->set_bucket("b1");
  usage->set_stored_bytes_delta(60);
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    v1::ReportResponse response;
    ASSERT_TRUE(stub_->Report(&context, report, &response).ok());
    EXPECT_EQ(response.accepted(), 1);
  }
  v1::CheckRequest upload = Request("b1");
  upload.set_operation(v1::OPERATION_UPLOAD);
  upload.set_bytes(40);  // 60 + 40 fit; counted twice they would not
  EXPECT_EQ(Check(upload).verdict(), v1::VERDICT_ALLOW);
  upload.set_bytes(41);
  EXPECT_EQ(Check(upload).reason(), v1::REASON_QUOTA_EXCEEDED);
}

TEST_P(CheckServerTest, RefusesAReportOfLessThanNothing) {
  v1::ReportRequest report;
  report.add_usages();
  report.add_usages()->set_bytes_out(-1);
  grpc::ClientContext context;
  v1::ReportResponse response;
  const grpc::Status status = stub_->Report(&context, report, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "usages[1].bytes_out: wanted 0 or more, got -1");
}

TEST_P(CheckServerTest, SaysServingOnlyWhenToldTo) {
  EXPECT_EQ(HealthOf(channel_), "NOT_SERVING");
  EXPECT_EQ(HealthOf(channel_, "sluice.v1.Enforcement"), "NOT_SERVING");
  server_->SetServing(true);
  EXPECT_EQ(HealthOf(channel_), "SERVING");
  EXPECT_EQ(HealthOf(channel_, "sluice.v1.Enforcement"), "SERVING");
  server_->SetServing(false);
  EXPECT_EQ(HealthOf(channel_), "NOT_SERVING");
}

TEST_P(CheckServerTest, ReflectsItsServices) {
  EXPECT_THAT(ReflectionCall(channel_).ListServices(),
              AllOf(HasSubstr("sluice.v1.Enforcement"), HasSubstr("grpc.health.v1.Health")));
}

TEST_P(CheckServerTest, LetsAStreamUnderWayFinishWhileItDrains) {
  node_.OpenU1();
  grpc::ClientContext context;
  auto stream = stub_->CheckStream(&context);
  v1::CheckResponse response;
  stream->Write(Request("b1"));
  ASSERT_TRUE(stream->Read(&response));
  std::thread drain([this] { server_->Shutdown(absl::Minutes(5)); });
  stream->Write(Request("b1", "last"));
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.request_id(), "last");
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  drain.join();  // long before its five minutes are over
}

TEST_P(CheckServerTest, CutsAStreamWhenTheGraceIsOver) {
  grpc::ClientContext context;
  auto stream = stub_->CheckStream(&context);
  v1::CheckResponse response;
  stream->Write(Request("b1"));
  ASSERT_TRUE(stream->Read(&response));
  server_->Shutdown(absl::Milliseconds(50));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_P(CheckServerTest, RefusesASocketThatAnotherServerAnswers) {
  const auto second = AnyServer::Start(GetParam(), {.address = server_->address(), .threads = 1}, &node_.checker());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr("another process listens on"));
  EXPECT_EQ(Check(Request("b1")).reason(), v1::REASON_NOT_READY);  // the first was not disturbed
}

TEST_P(CheckServerTest, ReplacesTheSocketOfAServerThatIsGone) {
  const ListenAddress address = node_.folder().Socket("stale.sock");
  {
    // What a killed process leaves behind: a socket that nobody accepts on.
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    address.path.copy(name.sun_path, sizeof(name.sun_path) - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    close(fd);
  }
  const auto server = AnyServer::Start(GetParam(), {.address = address, .threads = 1}, &node_.checker());
  EXPECT_TRUE(server.ok()) << server.status();
}

TEST_P(CheckServerTest, LeavesAFileThatIsNoSocketAlone) {
  const ListenAddress address = node_.folder().Socket("precious");
  std::ofstream(address.path) << "data";
  const auto server = AnyServer::Start(GetParam(), {.address = address, .threads = 1}, &node_.checker());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_regular_file(address.path));
}

TEST_P(CheckServerTest, GivesItsSocketTheModeAskedFor) {
  const ListenAddress address = node_.folder().Socket("mode.sock");
  const auto server =
      AnyServer::Start(GetParam(), {.address = address, .rights = {.mode = 0640}, .threads = 1}, &node_.checker());
  ASSERT_TRUE(server.ok()) << server.status();
  struct stat info;
  ASSERT_EQ(stat(address.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_P(CheckServerTest, ListensOnTcpToo) {
  ListenAddress address;
  address.host = "127.0.0.1";
  const auto server = AnyServer::Start(GetParam(), {.address = address, .threads = 1}, &node_.checker());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->address().port, 0);
  stub_ = v1::Enforcement::NewStub(Connect((*server)->address()));
  EXPECT_EQ(Check(Request("b1")).reason(), v1::REASON_NOT_READY);
  const auto second = AnyServer::Start(GetParam(), {.address = (*server)->address(), .threads = 1}, &node_.checker());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

// Wants no answer behind one that is a failure, as a stream.
class UntilOneFails final : public AnswerSink {
 public:
  std::string* BeginAnswer(size_t) override { return &answers.emplace_back(); }
  bool EndAnswer(size_t, absl::Status ended) override {
    status = std::move(ended);
    return status.ok();
  }
  std::vector<std::string> answers;
  absl::Status status;
};

TEST(CheckerTest, DecidesNothingBehindARequestThatEndsWhatItCameIn) {
  TestNode node;
  node.OpenU1();
  node.LimitRequestsOfU1(3);
  v1::CheckRequest request;
  request.set_operation(v1::OPERATION_DOWNLOAD);
  request.set_requester("u1");
  request.set_bucket("b1");
  request.set_key("k");
  const std::string sound = request.SerializeAsString();
  request.set_client_ip("x");
  const std::string malformed = request.SerializeAsString();
  UntilOneFails answers;
  node.checker().CheckBytesTogether({{sound, {}}, {sound, {}}, {malformed, {}}, {sound, {}}, {sound, {}}}, &answers);
  EXPECT_EQ(answers.answers.size(), 3u);
  EXPECT_EQ(answers.status.code(), absl::StatusCode::kInvalidArgument) << answers.status;
  // Of three tokens two are spent.
  std::string response;
  v1::CheckResponse left;
  for (const v1::Verdict verdict : {v1::VERDICT_ALLOW, v1::VERDICT_THROTTLE}) {
    response.clear();
    ASSERT_TRUE(node.checker().CheckBytes(sound, {}, &response).ok());
    ASSERT_TRUE(left.ParseFromString(response));
    EXPECT_EQ(left.verdict(), verdict);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, CheckServerTest, testing::Values(ServedBy::kOwn, ServedBy::kGrpc),
                         [](const auto& test) { return NameOf(test.param); });

}  // namespace
}  // namespace sluice
