// Who may do what over a real admin listener: each credential tries every method, each role every event. The tables in
// docs/security.md are what this found; SLUICE_UPDATE_DOCS=1 writes them.
#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "raw_call.h"
#include "server/admin/admin_server.h"
#include "server/admin/health_service.h"
#include "server/admin/peer_listener.h"
#include "server/admin/reflection_service.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr Role kRoles[] = {Role::kBilling,    Role::kModeration, Role::kSecurity, Role::kLegal,
                           Role::kCompliance, Role::kOperations, Role::kStorage};

class AdminAccessTest : public testing::Test {
 protected:
  // An entry with a token of the caller's own name.
  static std::string Entry(const std::string& name, const std::string& grants) {
    return absl::StrCat("- {name: ", name, ", token_sha256: ", absl::BytesToHexString(TokenDigest(name)), ", ", grants,
                        "}\n");
  }

  void Start(const std::string& callers, bool over_tcp = false) {
    std::ofstream(path_) << "callers:\n" << callers;
    chmod(path_.c_str(), 0600);
    auto access = AccessSource::Open(path_);
    ASSERT_TRUE(access.ok()) << access.status();
    access_ = *std::move(access);
    AdminServer::Parts parts = node_.AdminParts();
    parts.access = access_.get();
    parts.logger = &logger_;
    AdminServer::Options options = {.address = node_.folder().Socket("admin.sock")};
    if (over_tcp) options.address = *ParseListenAddress("127.0.0.1:0");
    auto server = AdminServer::Start(options, parts);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = Connect(server_->address());
    admin_ = v1::PolicyAdmin::NewStub(channel_);
    log_ = v1::DecisionLog::NewStub(channel_);
  }

  // A connection to the Unix socket of a user whose group the kernel takes to be `gid`: groups are a thread's own
  // there, while setgroups(3) sets those of all threads. REQUIRES: root.
  std::shared_ptr<grpc::Channel> ConnectInGroup(gid_t gid) {
    int fd = -1;
    std::thread([&] {
      ASSERT_EQ(syscall(SYS_setgroups, 1, &gid), 0);
      fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_un name = {};
      name.sun_family = AF_UNIX;
      server_->address().path.copy(name.sun_path, sizeof(name.sun_path) - 1);
      ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    }).join();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return grpc::CreateInsecureChannelFromFd("admin", fd);
  }

  static grpc::Status ListOver(const std::shared_ptr<grpc::Channel>& channel, const std::string& token = "") {
    v1::ListRequest request;
    request.set_kind("flags");
    v1::ListResponse response;
    return v1::PolicyAdmin::NewStub(channel)->List(As(token).get(), request, &response);
  }

  std::string Logged() const {
    std::stringstream all;
    all << std::ifstream(log_path_).rdbuf();
    return all.str();
  }

  static std::unique_ptr<grpc::ClientContext> As(const std::string& token) {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!token.empty()) context->AddMetadata("authorization", absl::StrCat("Bearer ", token));
    return context;
  }

  v1::EventResult Apply(const std::string& token, const PolicyEvent& event) {
    v1::ApplyRequest request;
    ToProto(event, request.add_events());
    v1::ApplyResponse response;
    const grpc::Status status = admin_->Apply(As(token).get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results_size() == 1 ? response.results(0) : v1::EventResult();
  }

  // Calls the method once, for what the gate says to it.
  grpc::Status Call(AdminMethod method, const std::string& token) {
    const auto context = As(token);
    switch (method) {
      case AdminMethod::kApply: {
        v1::ApplyResponse response;
        return admin_->Apply(context.get(), v1::ApplyRequest(), &response);
      }
      case AdminMethod::kApplyStream: {
        const auto stream = admin_->ApplyStream(context.get());
        stream->WritesDone();
        return stream->Finish();
      }
      case AdminMethod::kDescribe: {
        v1::DescribeRequest request;
        request.mutable_subject()->set_account("u1");
        v1::DescribeResponse response;
        return admin_->Describe(context.get(), request, &response);
      }
      case AdminMethod::kExplain: {
        v1::ExplainResponse response;
        return admin_->Explain(context.get(), v1::ExplainRequest(), &response);
      }
      case AdminMethod::kList: {
        v1::ListRequest request;
        request.set_kind("flags");
        v1::ListResponse response;
        return admin_->List(context.get(), request, &response);
      }
      case AdminMethod::kWatch: {
        const auto stream = admin_->Watch(context.get(), v1::WatchRequest());
        v1::Announcement announcement;  // there is one: see the test
        const bool let_in = stream->Read(&announcement);
        if (let_in) context->TryCancel();  // else it is over, and its own status says why
        const grpc::Status status = stream->Finish();
        return let_in ? grpc::Status::OK : status;
      }
      case AdminMethod::kExport: {
        const auto stream = admin_->Export(context.get(), v1::ExportRequest());
        v1::ExportChunk chunk;
        while (stream->Read(&chunk)) {
        }
        return stream->Finish();
      }
      case AdminMethod::kImport: {
        v1::ImportResponse response;
        const auto stream = admin_->Import(context.get(), &response);
        stream->WritesDone();
        const grpc::Status status = stream->Finish();
        // Of one who may import it is refused for the policy that is there: see the test.
        return status.error_code() == grpc::StatusCode::FAILED_PRECONDITION ? grpc::Status::OK : status;
      }
      case AdminMethod::kTop: {
        v1::TopResponse response;
        return admin_->Top(context.get(), v1::TopRequest(), &response);
      }
      case AdminMethod::kQuery: {
        const auto stream = log_->Query(context.get(), v1::LogQuery());
        v1::DecisionRecord record;
        while (stream->Read(&record)) {
        }
        return stream->Finish();
      }
    }
    return grpc::Status::OK;
  }

  TestNode node_;
  const std::string path_ = node_.folder().Below("access.yaml");
  const std::string log_path_ = node_.folder().Below("log");
  const int log_fd_ = open(log_path_.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  const Logger logger_{LogLevel::kWarning, LogFormat::kJson, log_fd_};
  std::unique_ptr<AccessSource> access_;
  std::unique_ptr<AdminServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PolicyAdmin::Stub> admin_;
  std::unique_ptr<v1::DecisionLog::Stub> log_;
};

// Holds the part of docs/security.md between two marks to `text`.
void ExpectInDocs(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(SLUICE_SOURCE_DIR, "/docs/security.md");
  std::ifstream stream(path);
  std::stringstream all;
  all << stream.rdbuf();
  std::string page = all.str();
  const std::string begin = absl::StrCat("<!-- ", name, " -->\n"), end = absl::StrCat("<!-- end of ", name, " -->");
  const size_t from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos) << path << " has no marks for " << name;
  const size_t at = from + begin.size();
  if (std::getenv("SLUICE_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << page.replace(at, to - at, text);
    return;
  }
  EXPECT_EQ(page.substr(at, to - at), text) << "SLUICE_UPDATE_DOCS=1 writes it";
}

TEST_F(AdminAccessTest, EachCredentialTriesEveryMethod) {
  const std::vector<std::pair<std::string, std::string>> callers = {{"any role", "roles: BILLING"},
                                                                    {"reads: policy", "reads: policy"},
                                                                    {"reads: log", "reads: log"},
                                                                    {"imports: true", "imports: true"}};
  std::string entries;
  for (const auto& [name, grants] : callers) entries += Entry(absl::StrCat("\"", name, "\""), grants);
  // The token is the name with its quotes.
  ASSERT_NO_FATAL_FAILURE(Start(entries, /*over_tcp=*/true));
  // Something to watch, and a policy: a rejected event is announced.
  ASSERT_TRUE(node_.writer().Apply({PolicyEvent()}, node_.clock().Now()).ok());
  std::string table =
      "| method | any role | reads: policy | reads: log | imports: true | no credential, or a wrong one |\n"
      "|---|---|---|---|---|---|\n";
  for (int i = 0; i < kAdminMethodCount; ++i) {
    const auto method = static_cast<AdminMethod>(i);
    absl::StrAppend(&table, "| ", Name(method), " |");
    for (const auto& [name, grants] : callers) {
      const grpc::Status status = Call(method, absl::StrCat("\"", name, "\""));
      if (!status.ok()) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << Name(method) << status.error_message();
        EXPECT_THAT(status.error_message(), HasSubstr(name));
      }
      absl::StrAppend(&table, status.ok() ? " yes |" : " - |");
    }
    for (const char* token : {"", "wrong"}) {
      const grpc::Status status = Call(method, token);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << Name(method) << status.error_message();
    }
    absl::StrAppend(&table, " - |\n");
  }
  ExpectInDocs("methods", table);
  const std::string metrics = node_.metrics().Text();
  EXPECT_THAT(metrics, HasSubstr("sluice_admin_calls_total{method=\"Import\",outcome=\"DENIED\"} 3"));
  EXPECT_THAT(metrics, HasSubstr("sluice_admin_calls_total{method=\"Query\",outcome=\"UNAUTHENTICATED\"} 2"));
}

// Every change, those whose roles depend on what is in them once for each.
std::vector<std::pair<std::string, Change>> EveryChange(const Pack& pack) {
  std::vector<std::pair<std::string, Change>> changes;
  v1::PolicyEvent message;
  const auto* oneof = v1::PolicyEvent::descriptor()->FindOneofByName("change");
  for (int i = 0; i < oneof->field_count(); ++i) {
    message.Clear();
    message.GetReflection()->MutableMessage(&message, oneof->field(i));
    const Change change = FromProto(message).change;
    const std::string name = oneof->field(i)->name();
    if (std::holds_alternative<RaiseFlag>(change)) {
      for (const Category& category : pack.categories) {
        RaiseFlag flag;
        flag.category = category.clause;
        changes.emplace_back(absl::StrCat(name, " ", category.clause), flag);
      }
    } else if (std::holds_alternative<Terminate>(change)) {
      for (int cause = 1; cause <= static_cast<int>(TerminationCause::kExpired); ++cause) {
        const Terminate terminate{"", static_cast<TerminationCause>(cause)};
        changes.emplace_back(absl::StrCat(name, " ", Name(terminate.cause)), terminate);
      }
    } else {
      changes.emplace_back(name, change);
    }
  }
  return changes;
}

TEST_F(AdminAccessTest, EachRoleTriesEveryEvent) {
  std::string entries;
  for (const Role role : kRoles) entries += Entry(std::string(Name(role)), absl::StrCat("roles: ", Name(role)));
  ASSERT_NO_FATAL_FAILURE(Start(entries, /*over_tcp=*/true));
  std::string table = "| event |";
  for (const Role role : kRoles) absl::StrAppend(&table, " ", Name(role), " |");
  absl::StrAppend(&table, "\n|---|---|---|---|---|---|---|---|\n");
  for (const auto& [name, change] : EveryChange(node_.engine().pack())) {
    absl::StrAppend(&table, "| ", name, " |");
    for (const Role own : kRoles) {
      const std::string token(Name(own));
      PolicyEvent event;
      event.change = change;
      // Without a role; as its own; as every other.
      const std::string unset = Apply(token, event).error();
      event.role = own;
      const std::string as_own = Apply(token, event).error();
      const auto by_role = [](const std::string& error) {
        return absl::StrContains(error, "want role") || absl::StrContains(error, "wanted role") ||
               absl::StrContains(error, "want nobody");
      };
      EXPECT_EQ(by_role(unset), by_role(as_own)) << name << " by " << token << ": " << unset << "; " << as_own;
      for (const Role other : kRoles) {
        if (other == own) continue;
        event.role = other;
        const v1::EventResult result = Apply(token, event);
        EXPECT_EQ(result.outcome(), v1::OUTCOME_REJECTED) << name << " by " << token << " as " << Name(other);
        EXPECT_THAT(result.error(), HasSubstr(absl::StrCat("not as ", Name(other))));
      }
      absl::StrAppend(&table, by_role(as_own) ? " - |" : " yes |");
    }
    table += "\n";
  }
  ExpectInDocs("events", table);
}

TEST_F(AdminAccessTest, ARefusedEventIsRejectedAnnouncedAndCountedAndOthersOfItsRequestApply) {
  ASSERT_NO_FATAL_FAILURE(
      Start(absl::StrCat("- {name: me, uid: ", geteuid(), ", roles: [BILLING, MODERATION], reads: policy}\n")));
  v1::ApplyRequest request;
  PolicyEvent event;
  event.change = OpenAccount{"u1"};
  ToProto(event, request.add_events());
  event.change = LiftOrder{"o1"};  // LEGAL's
  event.event_id = "e1";
  ToProto(event, request.add_events());
  event.change = Paid{"u1"};
  event.event_id = "";
  ToProto(event, request.add_events());
  v1::ApplyResponse response;
  ASSERT_TRUE(admin_->Apply(As("").get(), request, &response).ok());
  EXPECT_EQ(response.results(0).outcome(), v1::OUTCOME_APPLIED);
  EXPECT_EQ(response.results(1).outcome(), v1::OUTCOME_REJECTED);
  EXPECT_EQ(response.results(1).error(), "lift_order: wanted role LEGAL; me may send as BILLING or MODERATION");
  EXPECT_EQ(response.results(2).outcome(), v1::OUTCOME_APPLIED);
  const auto announcements = node_.writer().Announcements(0, 10);
  ASSERT_TRUE(announcements.ok());
  ASSERT_EQ(announcements->size(), 1u);
  EXPECT_EQ(announcements->front().kind, AnnouncementKind::kEventRejected);
  EXPECT_THAT(announcements->front().detail, HasSubstr("me may send as"));
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_events_refused_total 1"));
  EXPECT_THAT(node_.metrics().Text(), HasSubstr("sluice_events_total{outcome=\"REJECTED\",role=\"UNSPECIFIED\"} 1"));
  // The role is kept with the event: it is what may clear it later.
  v1::ListRequest list;
  list.set_kind("accounts");
  v1::ListResponse listed;
  ASSERT_TRUE(admin_->List(As("").get(), list, &listed).ok());
}

TEST_F(AdminAccessTest, AUserOfThisMachineIsKnownByTheKernelAndAStrangerIsNot) {
  ASSERT_NO_FATAL_FAILURE(Start(absl::StrCat("- {name: other, uid: ", geteuid() + 1, ", roles: all, reads: policy}\n",
                                             Entry("helper", "reads: log"))));
  const grpc::Status status = Call(AdminMethod::kList, "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("access file"));
  EXPECT_EQ(HealthOf(channel_), "NOT_SERVING") << "health is everybody's";
  EXPECT_TRUE(Call(AdminMethod::kQuery, "helper").ok()) << "a token counts from whoever shows it";
  EXPECT_EQ(Call(AdminMethod::kList, "helper").error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AdminAccessTest, StrangersWhoKeepReflectionOpenHoldNoThread) {
  ASSERT_NO_FATAL_FAILURE(Start(Entry("helper", "reads: policy"), /*over_tcp=*/true));
  std::vector<std::unique_ptr<ReflectionCall>> open;
  for (int i = 0; i < 200; ++i) {
    open.push_back(std::make_unique<ReflectionCall>(channel_));
    ASSERT_THAT(open.back()->ListServices(), HasSubstr("sluice.v1.PolicyAdmin")) << i;
  }
  const grpc::Status status = Call(AdminMethod::kList, "helper");
  EXPECT_TRUE(status.ok()) << status.error_message();
  // The last ones go on, with whatever they ask; those before them made place.
  ReflectionCall& oldest = *open[open.size() - kReflectionsMax];
  EXPECT_THAT(oldest.Ask("\x22\x15sluice.v1.DecisionLog"), HasSubstr("sluice/v1/admin.proto"));
  EXPECT_THAT(oldest.Ask("\x1a\x01x"), HasSubstr("no 'x' here"));
  EXPECT_EQ(open[open.size() - kReflectionsMax - 1]->ListServices(), "");
}

TEST_F(AdminAccessTest, ReflectionReadsNoGiants) {
  ASSERT_NO_FATAL_FAILURE(Start(Entry("helper", "reads: policy")));
  ReflectionCall call(channel_);
  EXPECT_NE(call.Ask("\x22\x80\x10" + std::string(2048, 'x')), "");
  EXPECT_EQ(call.Ask("\x22\x80\x20" + std::string(kReflectionBytesMax, 'x')), "");
}

// gRPC's own health service keeps as many as are made.
TEST_F(AdminAccessTest, StrangersWhoKeepHealthOpenCutTheirOwn) {
  ASSERT_NO_FATAL_FAILURE(Start(Entry("helper", "reads: policy"), /*over_tcp=*/true));
  std::vector<std::unique_ptr<OpenCall>> watches;
  for (size_t i = 0; i < kHealthCallsMax + 1; ++i) {
    watches.push_back(std::make_unique<OpenCall>(channel_, "/grpc.health.v1.Health/Watch"));
    ASSERT_EQ(watches.back()->Ask(""), "\x08\x02") << i;
  }
  EXPECT_EQ(HealthOf(channel_), "NOT_SERVING");  // and the second is cut
  server_->SetServing(true);
  EXPECT_EQ(watches[0]->Next(), "");
  EXPECT_EQ(watches[1]->Next(), "");
  for (size_t i = 2; i < watches.size(); ++i) ASSERT_EQ(watches[i]->Next(), "\x08\x01") << i;
}

TEST_F(AdminAccessTest, WhoeverWatchesHealthIsToldOfEachChange) {
  ASSERT_NO_FATAL_FAILURE(Start(Entry("helper", "reads: policy"), /*over_tcp=*/true));
  OpenCall node(channel_, "/grpc.health.v1.Health/Watch");
  EXPECT_EQ(node.Ask(""), "\x08\x02");
  OpenCall other(channel_, "/grpc.health.v1.Health/Watch");
  EXPECT_EQ(other.Ask("\x0a\x01x"), "\x08\x03") << "unknown, and may come";
  server_->SetServing(true);
  EXPECT_EQ(node.Next(), "\x08\x01");
  server_->SetServing(true);  // no change
  server_->SetServing(false);
  EXPECT_EQ(node.Next(), "\x08\x02");
}

TEST_F(AdminAccessTest, HealthRefusesWhatItCannotRead) {
  ASSERT_NO_FATAL_FAILURE(Start(Entry("helper", "reads: policy")));
  for (const std::string& request :
       {std::string("\x0a\x05x"), std::string("\x0a\x80\x20") + std::string(kHealthBytesMax, 'x')}) {
    EXPECT_EQ(RawUnary(channel_, "/grpc.health.v1.Health/Check", request).status.error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  EXPECT_EQ(RawUnary(channel_, "/grpc.health.v1.Health/Check", "\x0a\x01x").status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  OpenCall giant(channel_, "/grpc.health.v1.Health/Watch");
  EXPECT_EQ(giant.Ask(std::string("\x0a\x80\x20") + std::string(kHealthBytesMax, 'x')), "");
}

// One user with all of its threads taken: a server for another, made then, found none, and gRPC ended the process.
TEST_F(AdminAccessTest, EachUserOfThisMachineHasThreadsOfItsOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can act as others";
  ASSERT_NO_FATAL_FAILURE(Start("- {name: a, gid: [70001, 70002], roles: [BILLING], reads: policy}\n"));
  const auto channel = ConnectInGroup(70001);
  const auto admin = v1::PolicyAdmin::NewStub(channel);
  struct Held {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::ApplyRequest, v1::ApplyResponse>> stream;
  };
  std::vector<std::unique_ptr<Held>> held;
  v1::ApplyResponse response;
  bool answered = true;
  while (answered && held.size() < 200) {
    held.push_back(std::make_unique<Held>());
    held.back()->stream = admin->ApplyStream(&held.back()->context);
    answered = held.back()->stream->Write(v1::ApplyRequest()) && held.back()->stream->Read(&response);
  }
  ASSERT_FALSE(answered) << "of " << held.size();
  EXPECT_EQ(held.back()->stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  held.pop_back();

  grpc::Status status = ListOver(ConnectInGroup(70002));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ListOver(ConnectInGroup(70003)).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  for (auto& one : held) {
    one->stream->WritesDone();
    EXPECT_TRUE(one->stream->Finish().ok());
  }
  status = ListOver(channel);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(AdminAccessTest, AUserTooManyTakesThePlaceOfTheOneWhoCameLongestAgo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can act as others";
  std::vector<gid_t> groups;
  for (size_t i = 0; i <= kPeersMax; ++i) groups.push_back(static_cast<gid_t>(70000 + i));
  ASSERT_NO_FATAL_FAILURE(
      Start(absl::StrCat("- {name: a, gid: [", absl::StrJoin(groups, ", "), "], reads: policy}\n")));
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (size_t i = 0; i < kPeersMax; ++i) {
    channels.push_back(ConnectInGroup(groups[i]));
    ASSERT_TRUE(ListOver(channels.back()).ok()) << i;
  }
  grpc::ClientContext context;
  const auto watch = v1::PolicyAdmin::NewStub(channels[1])->Watch(&context, v1::WatchRequest());
  watch->WaitForInitialMetadata();
  ASSERT_TRUE(ListOver(ConnectInGroup(groups[0])).ok());
  EXPECT_EQ(Logged(), "");

  // Now the second is the one who came longest ago.
  const grpc::Status status = ListOver(ConnectInGroup(groups.back()));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(Logged(), HasSubstr("too many users at the admin socket"));
  v1::Announcement announcement;
  EXPECT_FALSE(watch->Read(&announcement));
  const grpc::Status ended = watch->Finish();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(ended.error_message(), HasSubstr("resume from revision 0"));
  EXPECT_TRUE(ListOver(channels[0]).ok());
  EXPECT_TRUE(ListOver(ConnectInGroup(groups[1])).ok()) << "it comes again";
}

TEST_F(AdminAccessTest, AStrangerWhomTheFileNamesLaterIsKnownOnItsNextConnectionWhichIsSoon) {
  const std::string helper = Entry("helper", "reads: policy");
  ASSERT_NO_FATAL_FAILURE(Start(helper));
  EXPECT_EQ(Call(AdminMethod::kList, "").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  const auto context = As("helper");
  const auto watch = admin_->Watch(context.get(), v1::WatchRequest());
  watch->WaitForInitialMetadata();
  std::ofstream(path_) << "callers:\n" << helper << "- {name: me, uid: " << geteuid() << ", reads: policy}\n";
  ASSERT_EQ(*access_->Refresh(), AccessSource::Change::kTaken);
  // The channel leaves READY when the server says that its connection takes no more calls.
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  grpc::Status status = Call(AdminMethod::kList, "");
  while (!status.ok() && channel_->WaitForStateChange(GRPC_CHANNEL_READY, deadline)) {
    status = Call(AdminMethod::kList, "");
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(node_.writer().Apply({PolicyEvent()}, node_.clock().Now()).ok());  // rejected, and so announced
  v1::Announcement announcement;
  EXPECT_TRUE(watch->Read(&announcement)) << "what was under way goes on";
  context->TryCancel();
  watch->Finish();
}

TEST_F(AdminAccessTest, ALineOfTheLogIsNotAsLongAsWhatItsCallerWrote) {
  ASSERT_NO_FATAL_FAILURE(Start(absl::StrCat("- {name: me, uid: ", geteuid(), ", roles: [BILLING], reads: log}\n")));
  PolicyEvent event;
  event.change = LiftOrder{"o1"};  // LEGAL's
  event.event_id = event.source = std::string(100'000, 'x');
  EXPECT_EQ(Apply("", event).outcome(), v1::OUTCOME_REJECTED);
  EXPECT_THAT(Logged(), HasSubstr("event refused"));
  EXPECT_LT(Logged().size(), 5'000u);
}

TEST_F(AdminAccessTest, WhatTheFileGrantsLaterCountsForTheNextCall) {
  ASSERT_NO_FATAL_FAILURE(Start(absl::StrCat("- {name: me, uid: ", geteuid(), ", reads: log}\n")));
  EXPECT_EQ(Call(AdminMethod::kList, "").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  std::ofstream(path_) << "callers:\n- {name: me, uid: " << geteuid() << ", reads: policy}\n";
  ASSERT_EQ(*access_->Refresh(), AccessSource::Change::kTaken);
  EXPECT_TRUE(Call(AdminMethod::kList, "").ok());
  EXPECT_EQ(Call(AdminMethod::kQuery, "").error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AdminAccessTest, OnlyOneBearerTokenIsACredential) {
  ASSERT_NO_FATAL_FAILURE(
      Start(absl::StrCat(Entry("helper", "reads: policy"), "- {name: me, uid: ", geteuid(), ", reads: policy}\n")));
  for (const std::vector<std::string>& headers : {std::vector<std::string>{"Basic aGVscGVyOmhlbHBlcg=="},
                                                  {"helper"},
                                                  {"Bearer"},
                                                  {"Bearer helper", "Bearer helper"}}) {
    grpc::ClientContext context;
    for (const std::string& header : headers) context.AddMetadata("authorization", header);
    v1::ListRequest request;
    request.set_kind("flags");
    v1::ListResponse response;
    EXPECT_EQ(admin_->List(&context, request, &response).error_code(), grpc::StatusCode::UNAUTHENTICATED) << headers[0];
  }
}

}  // namespace
}  // namespace sluice
