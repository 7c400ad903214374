// The listener on real sockets: two protocols on one address, callers that vanish, callers that do not read, draining.
#include "server/listen/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "echo_methods.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http1_response.h"
#include "http2_peer.h"
#include "metrics/wire_metrics.h"
#include "raw_call.h"
#include "server/listen/event_loop.h"
#include "server/listen/grpc_listener.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A blocking socket.
class Caller {
 public:
  // Does not connect yet.
  explicit Caller(bool unix_socket) : fd_(socket(unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM, 0)) {
    // A test that waits for what never comes fails instead.
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  explicit Caller(const ListenAddress& address) : Caller(address.is_unix()) { Connect(address); }
  ~Caller() { close(fd_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  void Connect(const ListenAddress& address) {
    if (address.is_unix()) {
      sockaddr_un name = {};
      name.sun_family = AF_UNIX;
      address.path.copy(name.sun_path, sizeof name.sun_path - 1);
      connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    } else {
      sockaddr_in name = {};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<uint16_t>(address.port));
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    }
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t took = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (took <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(took));
    }
  }
  // Until `size` bytes or the end; "" at the end.
  std::string Read(size_t size) { return ReadUpTo(size, receive_); }
  std::string ReadResponse() { return ReadHttpResponse(receive_); }

 private:
  const std::function<ssize_t(char*, size_t)> receive_ = [this](char* into, size_t size) -> ssize_t {
    return recv(fd_, into, size, 0);
  };
  const int fd_;
  bool connected_ = false;
};

constexpr char kGet[] = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    HoldGrpc();  // else a channel that goes may wait for ten seconds
    routes_.router.AddHttp("/large", &large_);
    Start({});
  }
  void Start(Listener::Options options) {
    if (options.address.path.empty() && options.address.host.empty()) options.address = folder_.Socket("l.sock");
    if (options.threads == 0) options.threads = 2;
    listener_.reset();
    auto listener = Listener::Start(options, &routes_.router);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }

  class Large final : public HttpHandler {
   public:
    void Answer(const HttpRequest& request, HttpResponse* response) override { response->body.assign(8 << 20, 'l'); }
  };

  TempFolder folder_;
  EchoRoutes routes_;
  Large large_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, SpeaksBothProtocolsOnOneAddress) {
  Caller caller(listener_->address());
  caller.Send(kGet);
  EXPECT_THAT(caller.ReadResponse(), HasSubstr("\r\n\r\nGET /echo h "));
  const RawAnswer answer = RawUnary(Connect(listener_->address()), "/t.T/Unary", "hello");
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.bytes, "hello");
}

TEST_F(ListenerTest, SpeaksBothOnTcp) {
  ListenAddress address;
  address.host = "127.0.0.1";
  Start({.address = address});
  Caller caller(listener_->address());
  caller.Send(kGet);
  EXPECT_THAT(caller.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", "hello").bytes, "hello");
}

TEST_F(ListenerTest, TellsTheProtocolFromAnyPieces) {
  Caller caller(listener_->address());
  for (const char c : std::string("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")) {
    caller.Send(absl::string_view(&c, 1));
  }
  EXPECT_THAT(caller.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  Caller other(listener_->address());
  other.Send("PRI * HTTP/2.0\r\n\r\nNo");
  other.Send("pe");
  EXPECT_THAT(other.ReadResponse(), StartsWith("HTTP/1.1 505 "));
}

// The first call of a connection, to be answered with "hello".
std::string CallBytes(const std::string& path) {
  return absl::StrCat(
      http2::FrameBytes(http2::FrameType::kHeaders, http2::kEndHeaders, 1, http2::Block(http2::GrpcFields(path))),
      http2::FrameBytes(http2::FrameType::kData, http2::kEndStream, 1, http2::Message("hello")));
}

// Connections of HTTP/2 on each of which nothing was asked yet.
std::vector<std::unique_ptr<Caller>> ServedCallers(const ListenAddress& address, size_t count) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (size_t i = 0; i < count; ++i) {
    callers.push_back(std::make_unique<Caller>(address));
    callers.back()->Send(absl::StrCat(http2::kPreface, http2::FrameBytes(http2::FrameType::kSettings, 0, 0, "")));
    EXPECT_EQ(callers.back()->Read(9).size(), 9u);  // it is served
  }
  return callers;
}

bool HearsHello(Caller* caller) {
  std::string answer;
  while (!absl::StrContains(answer, "hello")) {
    const std::string more = caller->Read(1);
    if (more.empty()) return false;
    answer += more;
  }
  return true;
}

TEST_F(ListenerTest, AnswersCallsOfConnectionsThatAreReadyTogetherTogether) {
  HeldHandler held;
  routes_.router.AddHttp("/held", &held);
  Start({.threads = 1});
  constexpr size_t kCallers = 5;
  const std::vector<std::unique_ptr<Caller>> callers = ServedCallers(listener_->address(), kCallers);
  Caller holder(listener_->address());
  holder.Send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  held.entered.WaitForNotification();
  for (const auto& caller : callers) caller->Send(CallBytes("/t.T/Unary"));
  Caller other(listener_->address());
  other.Send(kGet);
  held.let_go.Notify();
  EXPECT_THAT(other.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  for (const auto& caller : callers) EXPECT_TRUE(HearsHello(caller.get()));
  EXPECT_EQ(routes_.method.most_together, kCallers);
}

TEST_F(ListenerTest, SendsTheAnswersOfOneMethodBeforeItBeginsWithTheNext) {
  HeldHandler held;
  HeldMethod slow;
  routes_.router.AddHttp("/held", &held);
  routes_.router.AddGrpc("/t.T/Slow", &slow);
  Start({.threads = 1});
  const std::vector<std::unique_ptr<Caller>> callers = ServedCallers(listener_->address(), 5);
  Caller holder(listener_->address());
  holder.Send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  held.entered.WaitForNotification();
  // Those of two methods alternate, and each of the first is alone.
  for (size_t i = 0; i < callers.size(); ++i) {
    callers[i]->Send(CallBytes(i == 4 ? "/t.T/Slow" : i % 2 == 0 ? "/t.T/Unary" : "/t.T/Other"));
  }
  held.let_go.Notify();
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(HearsHello(callers[i].get())) << i;
  slow.let_go.Notify();
  EXPECT_TRUE(HearsHello(callers[4].get()));
  EXPECT_EQ(routes_.method.most_together, 1u);
}

TEST_F(ListenerTest, AnswersACallerThatHasShutItsSide) {
  Caller caller(listener_->address());
  caller.Send(kGet);
  shutdown(caller.fd(), SHUT_WR);
  EXPECT_THAT(caller.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(caller.Read(1), "");
}

TEST_F(ListenerTest, SendsALargeAnswerToASlowReaderWithoutStoppingTheOthers) {
  Caller slow(listener_->address());
  slow.Send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i < 4; ++i) {  // some on the same loop
    Caller other(listener_->address());
    other.Send(kGet);
    EXPECT_THAT(other.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  }
  shutdown(slow.fd(), SHUT_WR);  // and what was asked still comes
  const std::string response = slow.ReadResponse();
  EXPECT_GT(response.size(), size_t{8} << 20);
  EXPECT_EQ(response.back(), 'l');
}

TEST_F(ListenerTest, CarriesMessagesOfMegabytesBothWays) {
  const std::string large(12 << 20, 'm');
  const auto channel = [this] {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(FormatListenAddress(listener_->address()), grpc::InsecureChannelCredentials(),
                                     arguments);
  }();
  EXPECT_EQ(RawUnary(channel, "/t.T/Unary", large).bytes, large);
  const RawAnswer answer = RawUnary(channel, "/t.T/Unary", std::string(17 << 20, 'm'));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ListenerTest, OutlivesCallersThatVanishAtEveryByte) {
  const std::string bytes =
      absl::StrCat(kGet, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n");
  for (size_t at = 0; at <= bytes.size(); ++at) {
    Caller caller(listener_->address());
    caller.Send(bytes.substr(0, at));
    if (at % 2 == 0) {  // a reset rather than an end
      const linger hard = {1, 0};
      setsockopt(caller.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
  }
  EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", "still").bytes, "still");
}

TEST_F(ListenerTest, TurnsAwayWhoIsOneTooMany) {
  Start({.connections_max = 2});
  Caller first(listener_->address()), second(listener_->address());
  for (Caller* caller : {&first, &second}) {
    caller->Send(kGet);
    EXPECT_THAT(caller->ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  }
  Caller third(listener_->address());
  EXPECT_EQ(third.Read(1), "");
  first.Send(kGet);
  EXPECT_THAT(first.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(ListenerTest, ServesItsConnectionsBetweenCallersHoweverManyConnect) {
  HeldHandler held, held_too;
  routes_.router.AddHttp("/held", &held);
  routes_.router.AddHttp("/held_too", &held_too);
  Start({.threads = 1, .connections_max = 2});
  Caller holder(listener_->address()), open(listener_->address());
  for (Caller* caller : {&holder, &open}) {
    caller->Send(kGet);
    EXPECT_THAT(caller->ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  }
  holder.Send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  held.entered.WaitForNotification();
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 200; ++i) callers.push_back(std::make_unique<Caller>(listener_->address()));
  open.Send("GET /held_too HTTP/1.1\r\nHost: h\r\n\r\n");
  held.let_go.Notify();
  held_too.entered.WaitForNotification();
  // Each that was accepted is one too many.
  const auto turned_away = std::count_if(callers.begin(), callers.end(), [](const auto& caller) {
    char byte;
    return recv(caller->fd(), &byte, 1, MSG_DONTWAIT) == 0;
  });
  EXPECT_EQ(turned_away, 64);
  held_too.let_go.Notify();
  for (const auto& caller : callers) EXPECT_EQ(caller->Read(1), "");
}

// No descriptor of this number or above is to be had, while it lives.
class FileLimit {
 public:
  explicit FileLimit(int files) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered = {static_cast<rlim_t>(files), before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  ~FileLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_;
};

double Errors(const WireMetrics& metrics, absl::string_view protocol, absl::string_view error) {
  for (const auto& family : metrics.Collect()) {
    if (family.name != "sluice_protocol_errors_total") continue;
    for (const auto& metric : family.metric) {
      if (metric.label[0].value == protocol && metric.label[1].value == error) return metric.counter.value;
    }
  }
  return -1;
}

TEST_F(ListenerTest, ClosesWhoComesWhereNoDescriptorIsLeftAndCountsIt) {
  WireMetrics metrics;
  Start({.threads = 1, .metrics = &metrics});
  Caller open(listener_->address());
  open.Send(kGet);
  EXPECT_THAT(open.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  Caller comes(/*unix_socket=*/true), comes_too(/*unix_socket=*/true);
  {
    const int free = dup(open.fd());  // the lowest
    close(free);
    const FileLimit limit(free);
    for (Caller* caller : {&comes, &comes_too}) {
      caller->Connect(listener_->address());
      EXPECT_EQ(caller->Read(1), "");
    }
    open.Send(kGet);
    EXPECT_THAT(open.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  }
  EXPECT_EQ(Errors(metrics, "http2", "no_descriptor"), 2);
  Caller later(listener_->address());
  later.Send(kGet);
  EXPECT_THAT(later.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  listener_.reset();  // before what it was lent
}

TEST_F(ListenerTest, LetsCallersWaitWhereTheyCannotEvenBeClosed) {
  Start({.threads = 1});
  Caller open(listener_->address()), waits(/*unix_socket=*/true);
  open.Send(kGet);
  EXPECT_THAT(open.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  {
    const FileLimit limit(3);  // below the one that is kept for this, too
    waits.Connect(listener_->address());
    waits.Send(kGet);
    for (int i = 0; i < 10; ++i) {
      open.Send(kGet);
      EXPECT_THAT(open.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
    }
  }
  EXPECT_THAT(waits.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(ListenerTest, DoesNotLookAgainAndAgainForWhomNothingCanBeDone) {
  const SessionLimits limits;
  const SessionMaker make_session;
  WireCounts counts;
  auto loop = EventLoop::Create(&routes_.router, &limits, &make_session, nullptr, &counts);
  ASSERT_TRUE(loop.ok()) << loop.status();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(send(ends[0], "x", 1, 0), 1);  // never read
  int call[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, call), 0);
  fcntl(call[0], F_SETFL, 0);
  std::atomic<int> looks{0};
  absl::Notification again;
  const auto look = [&looks, &again] {
    if (++looks == 2) again.Notify();
    return false;
  };
  ASSERT_TRUE((*loop)->Watch(ends[1], look).ok());
  const MonotonicTime began = MonotonicNow();
  (*loop)->Start();
  (*loop)->Adopt(call[1]);
  const auto receive = [&call](char* into, size_t size) -> ssize_t { return recv(call[0], into, size, 0); };
  for (int turn = 0; turn < 100; ++turn) {
    ASSERT_EQ(send(call[0], kGet, sizeof kGet - 1, 0), sizeof kGet - 1);
    ASSERT_THAT(ReadHttpResponse(receive), StartsWith("HTTP/1.1 200 OK"));
  }
  EXPECT_LE(looks, 1 + absl::ToInt64Seconds(Between(began, MonotonicNow())));
  again.WaitForNotification();  // it was not forgotten either
  loop->reset();
  for (const int end : {ends[0], call[0]}) close(end);
}

TEST_F(ListenerTest, AnswersTheLastRequestWhileItDrains) {
  Start({.threads = 1});  // what closes the idle connection has told the busy one too
  Caller idle(listener_->address()), busy(listener_->address());
  for (Caller* caller : {&idle, &busy}) {
    caller->Send(kGet);
    caller->ReadResponse();
  }
  busy.Send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(busy.ReadResponse(), "HTTP/1.1 100 Continue\r\n\r\n");
  std::thread drain([this] { listener_->Shutdown(absl::Minutes(5)); });
  EXPECT_EQ(idle.Read(1), "");
  shutdown(idle.fd(), SHUT_RDWR);
  busy.Send("ok");
  EXPECT_THAT(busy.ReadResponse(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_EQ(busy.Read(1), "");
  shutdown(busy.fd(), SHUT_RDWR);
  drain.join();  // long before its five minutes are over
  EXPECT_FALSE(Caller(listener_->address()).connected());
}

TEST_F(ListenerTest, RefusesWhoComesWhileItDrains) {
  ListenAddress tcp;
  tcp.host = "127.0.0.1";
  for (const ListenAddress& address : {tcp, folder_.Socket("d.sock")}) {
    Start({.address = address, .threads = 1});
    Caller idle(listener_->address()), half(listener_->address());
    idle.Send(kGet);
    EXPECT_THAT(idle.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
    half.Send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(half.ReadResponse(), "HTTP/1.1 100 Continue\r\n\r\n");
    std::thread drain([this] { listener_->Shutdown(absl::Minutes(5)); });
    EXPECT_EQ(idle.Read(1), "");  // the thread knows
    EXPECT_FALSE(Caller(listener_->address()).connected());
    half.Send("ok");
    EXPECT_THAT(half.ReadResponse(), HasSubstr("\r\nConnection: close\r\n"));
    for (const Caller* caller : {&idle, &half}) shutdown(caller->fd(), SHUT_RDWR);
    drain.join();
  }
}

TEST_F(ListenerTest, ClosesWhoWaitedToBeAcceptedWhenItDrains) {
  HeldHandler held;
  routes_.router.AddHttp("/held", &held);
  Start({.threads = 1});
  Caller half(listener_->address());
  half.Send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(half.ReadResponse(), "HTTP/1.1 100 Continue\r\n\r\n");
  Caller holder(listener_->address());
  holder.Send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  held.entered.WaitForNotification();
  // Another name, by which it is reached when its own is gone: the thread was told to drain then.
  ListenAddress other = folder_.Socket("other.sock");
  ASSERT_EQ(link(listener_->address().path.c_str(), other.path.c_str()), 0);
  std::thread drain([this] { listener_->Shutdown(absl::Minutes(5)); });
  while (access(listener_->address().path.c_str(), F_OK) == 0) std::this_thread::yield();
  Caller waits(other);
  EXPECT_TRUE(waits.connected());
  held.let_go.Notify();
  EXPECT_EQ(waits.Read(1), "");
  half.Send("ok");
  EXPECT_THAT(half.ReadResponse(), HasSubstr("\r\nConnection: close\r\n"));
  for (const Caller* caller : {&holder, &half}) shutdown(caller->fd(), SHUT_RDWR);
  drain.join();
}

TEST_F(ListenerTest, CutsWhoIsLeftWhenTheGraceIsOver) {
  Caller half(listener_->address());
  half.Send("GET /echo HT");
  Caller whole(listener_->address());
  whole.Send(kGet);
  whole.ReadResponse();
  listener_->Shutdown(absl::Milliseconds(20));
  EXPECT_EQ(half.Read(1), "");
}

TEST_F(ListenerTest, BoundsWhatAllConnectionsHoldAndAnswersThoseThatHoldLittle) {
  BufferBudget budget(size_t{2} << 20);
  WireMetrics metrics;
  Start({.threads = 1, .buffers = &budget, .metrics = &metrics});
  // Bodies that do not come to their end.
  std::vector<std::unique_ptr<Caller>> hoarders;
  size_t refused = 0;
  for (int i = 0; i < 12; ++i) {
    hoarders.push_back(std::make_unique<Caller>(listener_->address()));
    hoarders.back()->Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    hoarders.back()->Send(std::string(600'000, 'b'));
    // Answered at once where it is refused; one that asks behind it is answered when the thread has read it all.
    Caller caller(listener_->address());
    caller.Send(kGet);
    EXPECT_THAT(caller.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
    pollfd readable = {hoarders.back()->fd(), POLLIN, 0};
    if (poll(&readable, 1, 0) == 0) continue;
    EXPECT_THAT(hoarders.back()->ReadResponse(), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(hoarders.back()->Read(1), "");
    ++refused;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_LT(refused, 12u);
  EXPECT_LE(budget.taken(), size_t{2} << 20);
  EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", "hello").bytes, "hello");
  const std::string large(1 << 20, 'm');
  EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", large).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  hoarders.clear();
  // It is not known when the thread has seen that they are gone.
  for (int i = 0; i < 1000 && budget.taken() > 0; ++i) {
    EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", "hello").bytes, "hello");
  }
  EXPECT_EQ(budget.taken(), 0u);
  // A quarter of it: texts double as they grow, and the answer is as large.
  const std::string fits(size_t{512} << 10, 'm');
  EXPECT_EQ(RawUnary(Connect(listener_->address()), "/t.T/Unary", fits).bytes, fits);
  listener_.reset();  // before what it was lent
}

TEST_F(ListenerTest, CutsWhoTakesNoAnswersWhereThereIsNoRoom) {
  BufferBudget budget(size_t{1} << 20);
  Start({.threads = 1, .buffers = &budget});
  // Each answer has 8 MB.
  Caller greedy(listener_->address());
  greedy.Send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  Caller other(listener_->address());
  other.Send(kGet);
  EXPECT_THAT(other.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  const std::string response = greedy.ReadResponse();
  EXPECT_LT(response.size(), size_t{1} << 20);
  other.Send(kGet);  // in a later turn of the thread
  EXPECT_THAT(other.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(budget.taken(), 0u);
  listener_.reset();  // before what it was lent
}

TEST_F(ListenerTest, SaysWhyItCannotListen) {
  const auto second = Listener::Start({.address = listener_->address(), .threads = 1}, &routes_.router);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  ListenAddress elsewhere;
  elsewhere.host = "192.0.2.1";  // of nobody (RFC 5737)
  EXPECT_EQ(Listener::Start({.address = elsewhere}, &routes_.router).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(RouterTest, FindsTheLongestPrefixAndTheExactPathFirst) {
  EchoHandler a, b, c;
  Router router;
  router.AddHttpPrefix("/p/", &a);
  router.AddHttpPrefix("/p/q/", &b);
  router.AddHttp("/p/q/r", &c);
  EXPECT_EQ(router.FindHttp("/p/x?y=/p/q/"), &a);
  EXPECT_EQ(router.FindHttp("/p/q/x"), &b);
  EXPECT_EQ(router.FindHttp("/p/q/r?x"), &c);
  EXPECT_EQ(router.FindHttp("/p"), nullptr);
  EXPECT_EQ(router.FindHttp("*"), nullptr);
}

}  // namespace
}  // namespace sluice
