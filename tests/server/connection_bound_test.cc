// The bound on connections of administration: alone with sockets of the loopback, and in a real admin server.
#include "server/admin/connection_bound.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raw_call.h"
#include "server/admin/admin_server.h"
#include "server/listen/grpc_listener.h"
#include "server/listen/listening_socket.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "test_node.h"

namespace sluice {
namespace {

bool HasIpv6() {
  ListenAddress address;
  address.host = "::1";
  const absl::StatusOr<int> fd = OpenSocket({}, /*make_folder=*/false, &address);
  if (fd.ok()) close(*fd);
  return fd.ok();
}

// Who connects, and says nothing.
class Silent {
 public:
  // From an address of this machine: 127.0.0.0/8, all of it, or ::1.
  Silent(const ListenAddress& to, const std::string& from) {
    const bool v6 = from.find(':') != std::string::npos;
    fd_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // A test that waits for what never comes fails instead.
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    union {
      sockaddr any;
      sockaddr_in v4;
      sockaddr_in6 v6;
    } name = {};
    const socklen_t size = v6 ? sizeof name.v6 : sizeof name.v4;
    name.any.sa_family = v6 ? AF_INET6 : AF_INET;
    inet_pton(name.any.sa_family, from.c_str(), v6 ? static_cast<void*>(&name.v6.sin6_addr) : &name.v4.sin_addr);
    EXPECT_EQ(bind(fd_, &name.any, size), 0) << from;
    if (!v6) inet_pton(AF_INET, "127.0.0.1", &name.v4.sin_addr);
    (v6 ? name.v6.sin6_port : name.v4.sin_port) = htons(static_cast<uint16_t>(to.port));
    EXPECT_EQ(connect(fd_, &name.any, size), 0);
    socklen_t own_size = size;
    getsockname(fd_, &name.any, &own_size);
    origin_ = absl::StrCat(v6 ? "ipv6:%5B::1%5D:" : absl::StrCat("ipv4:", from, ":"),
                           ntohs(v6 ? name.v6.sin6_port : name.v4.sin_port));
  }
  ~Silent() { close(fd_); }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;

  // Waits for the other end to hang up.
  bool AwaitEnd() const {
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd_, bytes, sizeof bytes, 0)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
  }
  // Whether it has by now.
  bool ended() const {
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
    }
    return got == 0;
  }
  // Sends bytes that mean nothing. They have arrived when it returns: over the loopback, to send is to deliver.
  void Say(size_t count) const {
    const std::string bytes(count, 'x');
    EXPECT_EQ(send(fd_, bytes.data(), count, MSG_NOSIGNAL), static_cast<ssize_t>(count));
  }
  // As gRPC names it.
  const std::string& origin() const { return origin_; }

 private:
  int fd_ = -1;
  std::string origin_;
};

class ConnectionBoundTest : public testing::Test {
 protected:
  static constexpr size_t kMax = 6, kNewcomers = 4, kBytes = 1000;

  explicit ConnectionBoundTest(const std::string& host = "127.0.0.1") {
    address_.host = host;
    if (host != "127.0.0.1" && !HasIpv6()) return;
    const absl::StatusOr<std::vector<int>> listeners = OpenTcpSockets(&address_);
    EXPECT_TRUE(listeners.ok()) << listeners.status();
    listener_ = listeners->front();
  }
  ~ConnectionBoundTest() override {
    for (const int fd : taken_) close(fd);
    close(listener_);
  }

  // Both ends of a connection, of which the bound says whether it may stay. Where it may, its descriptor is behind the
  // others in `taken_`.
  std::unique_ptr<Silent> Connect(const std::string& from, bool* let_in) {
    auto silent = std::make_unique<Silent>(address_, from);
    int fd;
    while ((fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) < 0 && errno == EAGAIN) {
    }
    *let_in = bound_.LetIn(fd, /*known=*/false);
    if (*let_in) {
      taken_.push_back(fd);
    } else {
      close(fd);
    }
    return silent;
  }
  std::unique_ptr<Silent> LetIn(const std::string& from) {
    bool let_in = false;
    auto silent = Connect(from, &let_in);
    EXPECT_TRUE(let_in);
    return silent;
  }
  // As gRPC does with one that has ended.
  void Close(size_t index) {
    close(taken_[index]);
    taken_.erase(taken_.begin() + static_cast<std::ptrdiff_t>(index));
  }
  int64_t TooMany() const { return counts_.errors(WireProtocol::kHttp2, WireError::kTooMany); }

  ListenAddress address_;
  int listener_ = -1;
  SimulatedClock clock_;
  WireCounts counts_;
  ConnectionBound bound_{{kMax, kNewcomers, kBytes}, &clock_, nullptr, &counts_};
  std::vector<int> taken_;
};

TEST_F(ConnectionBoundTest, CutsTheOldestThatShowedNothingForOneMore) {
  std::vector<std::unique_ptr<Silent>> all;
  for (size_t i = 0; i < kNewcomers; ++i) all.push_back(LetIn("127.0.0.1"));
  EXPECT_EQ(TooMany(), 0);
  for (size_t i = 0; i < 2; ++i) {
    all.push_back(LetIn("127.0.0.1"));
    EXPECT_TRUE(all[i]->AwaitEnd());
    Close(0);
  }
  for (size_t i = 2; i < all.size(); ++i) EXPECT_FALSE(all[i]->ended()) << i;
  EXPECT_EQ(TooMany(), 2);
}

TEST_F(ConnectionBoundTest, CutsNobodyWhoIsKnownAndRefusesOneMoreWhereAllAre) {
  std::vector<std::unique_ptr<Silent>> all;
  for (size_t i = 0; i < kMax - 1; ++i) {
    all.push_back(LetIn("127.0.0.1"));
    bound_.OnKnown(all.back()->origin());
  }
  all.push_back(LetIn("127.0.0.1"));  // the one newcomer
  all.push_back(LetIn("127.0.0.1"));
  EXPECT_TRUE(all[kMax - 1]->AwaitEnd());
  Close(kMax - 1);
  bound_.OnKnown(all.back()->origin());
  EXPECT_EQ(TooMany(), 1);
  bool let_in = true;
  const auto refused = Connect("127.0.0.1", &let_in);
  EXPECT_FALSE(let_in);
  EXPECT_EQ(TooMany(), 2);
  for (size_t i = 0; i < kMax - 1; ++i) EXPECT_FALSE(all[i]->ended()) << i;
  Close(0);  // a place
  all.push_back(LetIn("127.0.0.1"));
  EXPECT_EQ(TooMany(), 2);
}

TEST_F(ConnectionBoundTest, WhoOpensManyCutsItsOwn) {
  const auto other = LetIn("127.0.0.3");  // the oldest
  std::vector<std::unique_ptr<Silent>> many;
  for (size_t i = 0; i < kNewcomers - 1; ++i) many.push_back(LetIn("127.0.0.2"));
  for (size_t i = 0; i < 3; ++i) {
    many.push_back(LetIn("127.0.0.2"));
    EXPECT_TRUE(many[i]->AwaitEnd());
    Close(1);
  }
  EXPECT_FALSE(other->ended());
  const auto third = LetIn("127.0.0.4");
  EXPECT_TRUE(many[3]->AwaitEnd());
  EXPECT_FALSE(other->ended());
}

TEST_F(ConnectionBoundTest, APlaceIsFreeAgainWhenItsConnectionWasClosed) {
  std::vector<std::unique_ptr<Silent>> all;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < kNewcomers; ++i) all.push_back(LetIn("127.0.0.1"));
    while (!taken_.empty()) Close(0);
  }
  EXPECT_EQ(TooMany(), 0);
}

// The number of a descriptor that gRPC closed is soon another's.
TEST_F(ConnectionBoundTest, LeavesAloneWhatHasTheDescriptorOfOneThatWasClosed) {
  std::vector<std::unique_ptr<Silent>> all;
  for (size_t i = 0; i < kNewcomers; ++i) all.push_back(LetIn("127.0.0.1"));
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  ASSERT_EQ(dup2(pair[0], taken_[0]), taken_[0]);
  for (int i = 0; i < 2; ++i) all.push_back(LetIn("127.0.0.1"));  // the second cuts
  EXPECT_EQ(TooMany(), 1);
  EXPECT_TRUE(all[1]->AwaitEnd());
  EXPECT_EQ(send(taken_[0], "a", 1, MSG_NOSIGNAL), 1);
  char byte;
  EXPECT_EQ(recv(pair[1], &byte, 1, 0), 1);
  close(pair[0]);
  close(pair[1]);
}

TEST_F(ConnectionBoundTest, OfThoseThatAreCutAndNotYetClosedThereAreNeverMoreThanNewcomers) {
  std::vector<std::unique_ptr<Silent>> all;
  for (size_t i = 0; i < 2 * kNewcomers; ++i) all.push_back(LetIn("127.0.0.1"));
  bool let_in = true;
  auto refused = Connect("127.0.0.1", &let_in);
  EXPECT_FALSE(let_in);
  for (size_t i = kNewcomers; i < all.size(); ++i)
    EXPECT_FALSE(all[i]->ended()) << "nobody is cut for one that is refused";
  Close(0);
  all.push_back(LetIn("127.0.0.1"));
}

TEST_F(ConnectionBoundTest, AStrangerOfThisMachineGoesBeforeAUserThatIsKnown) {
  std::vector<std::pair<int, int>> pairs(kMax + 1);
  for (size_t i = 0; i < pairs.size(); ++i) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pairs[i] = {pair[0], pair[1]};
    EXPECT_TRUE(bound_.LetIn(pair[0], /*known=*/i != 2));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    char byte;
    const ssize_t got = recv(pairs[i].second, &byte, 1, MSG_DONTWAIT);
    EXPECT_EQ(got == 0, i == 2) << i;
    close(pairs[i].first);
    close(pairs[i].second);
  }
}

TEST_F(ConnectionBoundTest, CutsANewcomerThatSendsMuchAndNobodyElse) {
  const auto known = LetIn("127.0.0.1");
  bound_.OnKnown(known->origin());
  EXPECT_FALSE(bound_.Look()) << "nobody is there to be looked at again";
  const auto much = LetIn("127.0.0.1");
  const auto enough = LetIn("127.0.0.1");
  known->Say(kBytes + 1);
  enough->Say(kBytes);
  much->Say(kBytes);
  EXPECT_TRUE(bound_.Look());
  EXPECT_FALSE(much->ended());
  much->Say(1);
  EXPECT_TRUE(bound_.Look());
  EXPECT_TRUE(much->AwaitEnd());
  EXPECT_FALSE(known->ended());
  EXPECT_FALSE(enough->ended());
  EXPECT_EQ(counts_.errors(WireProtocol::kHttp2, WireError::kTooLarge), 1);
  EXPECT_EQ(TooMany(), 0);
  bound_.OnKnown(enough->origin());
  EXPECT_FALSE(bound_.Look()) << "who is cut is not cut again";
}

class ConnectionBoundOfIpv6Test : public ConnectionBoundTest {
 protected:
  ConnectionBoundOfIpv6Test() : ConnectionBoundTest("::") {}  // takes IPv4 as well
};

TEST_F(ConnectionBoundOfIpv6Test, KnowsAConnectionByTheNameThatGrpcGivesIt) {
  if (listener_ < 0) GTEST_SKIP() << "this machine has no IPv6";
  std::vector<std::unique_ptr<Silent>> all;
  all.push_back(LetIn("::1"));
  all.push_back(LetIn("127.0.0.1"));
  for (const auto& one : all) bound_.OnKnown(one->origin());
  for (size_t i = 0; i <= kNewcomers; ++i) all.push_back(LetIn("::1"));
  EXPECT_TRUE(all[2]->AwaitEnd());
  EXPECT_FALSE(all[0]->ended());
  EXPECT_FALSE(all[1]->ended());
}

// Over TCP and gRPC. The parameter: where it listens, and everybody comes from.
class AdminConnectionsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() == std::string("::1") && !HasIpv6()) GTEST_SKIP() << "this machine has no IPv6";
    HoldGrpc();  // else a channel that goes may wait for ten seconds
    const std::string path = node_.folder().Below("access.yaml");
    std::ofstream(path) << "callers:\n- {name: operator, roles: BILLING, reads: policy, token_sha256: "
                        << absl::BytesToHexString(TokenDigest("operator")) << "}\n";
    chmod(path.c_str(), 0600);
    auto access = AccessSource::Open(path);
    ASSERT_TRUE(access.ok()) << access.status();
    access_ = *std::move(access);
    AdminServer::Parts parts = node_.AdminParts();
    parts.access = access_.get();
    AdminServer::Options options;
    options.address.host = GetParam();
    auto server = AdminServer::Start(options, parts);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  static std::unique_ptr<grpc::ClientContext> Operator() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("authorization", "Bearer operator");
    return context;
  }
  grpc::Status List(const std::shared_ptr<grpc::Channel>& channel) {
    v1::ListRequest request;
    request.set_kind("flags");
    v1::ListResponse response;
    return v1::PolicyAdmin::NewStub(channel)->List(Operator().get(), request, &response);
  }
  void Flood(size_t count) {
    for (size_t i = 0; i < count; ++i) silent_.push_back(std::make_unique<Silent>(server_->address(), GetParam()));
  }
  std::string TooMany() {
    const std::string sample = "sluice_protocol_errors_total{protocol=\"http2\",error=\"too_many\"} ";
    const std::string text = node_.metrics().Text();
    const size_t at = text.find(sample) + sample.size();
    return text.substr(at, text.find('\n', at) - at);
  }

  TestNode node_;
  std::unique_ptr<AccessSource> access_;
  std::unique_ptr<AdminServer> server_;
  std::vector<std::unique_ptr<Silent>> silent_;
};

TEST_P(AdminConnectionsTest, SilentOnesAreBoundAndKeepNobodyOut) {
  Flood(kAdminNewcomersMax + 40);
  for (size_t i = 0; i < 40; ++i) EXPECT_TRUE(silent_[i]->AwaitEnd()) << i;
  EXPECT_EQ(TooMany(), "40");
  const grpc::Status status = List(Connect(server_->address()));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(silent_[40]->AwaitEnd());
  EXPECT_EQ(TooMany(), "41");
}

TEST_P(AdminConnectionsTest, ToAskForHealthKeepsNoPlace) {
  const auto channel = Connect(server_->address());
  EXPECT_EQ(HealthOf(channel), "NOT_SERVING");
  Flood(kAdminNewcomersMax);
  EXPECT_TRUE(channel->WaitForStateChange(GRPC_CHANNEL_READY, DeadlineAfter(absl::Seconds(20))));
  for (const auto& one : silent_) EXPECT_FALSE(one->ended());
}

TEST_P(AdminConnectionsTest, WhoHasCalledStaysWhateverComes) {
  const auto channel = Connect(server_->address());
  const auto context = Operator();
  const auto watch = v1::PolicyAdmin::NewStub(channel)->Watch(context.get(), v1::WatchRequest());
  watch->WaitForInitialMetadata();  // that is: it watches
  Flood(kAdminNewcomersMax + 40);
  for (size_t i = 0; i < 40; ++i) EXPECT_TRUE(silent_[i]->AwaitEnd()) << i;
  ASSERT_TRUE(node_.writer().Apply({PolicyEvent()}, node_.clock().Now()).ok());  // a rejected event is announced
  v1::Announcement announcement;
  EXPECT_TRUE(watch->Read(&announcement));
  context->TryCancel();
}

// gRPC keeps of a message what has come of it, and asks no service how much that may be.
TEST_P(AdminConnectionsTest, AStrangerThatSendsMuchIsCut) {
  const std::string much(2 * kAdminNewcomerBytesMax, '\0');
  const auto known = Connect(server_->address());
  ASSERT_TRUE(List(known).ok());
  RawUnary(known, "/grpc.health.v1.Health/Check", much);
  const auto stranger = Connect(server_->address());
  EXPECT_EQ(HealthOf(stranger), "NOT_SERVING");
  RawUnary(stranger, "/grpc.health.v1.Health/Check", much);
  EXPECT_TRUE(stranger->WaitForStateChange(GRPC_CHANNEL_READY, DeadlineAfter(absl::Seconds(20))));
  EXPECT_EQ(known->GetState(/*try_to_connect=*/false), GRPC_CHANNEL_READY);
  EXPECT_TRUE(List(known).ok());
}

INSTANTIATE_TEST_SUITE_P(Families, AdminConnectionsTest, testing::Values("127.0.0.1", "::1"));

}  // namespace
}  // namespace sluice
