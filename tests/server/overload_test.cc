// Load beyond what a node can answer in time: what has waited too long is shed, with a reason of its own.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/listen/event_loop.h"
#include "server/listen/http_message.h"
#include "server/listen/listener.h"
#include "server/listen/router.h"
#include "server/listen/waiting.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kMs = 1'000'000;

TEST(WaitingTest, WhatAThreadThatSleptFindsHasNotWaited) {
  Waiting waiting;
  waiting.OnWork(/*slept=*/true, /*all=*/true, MonotonicTime{150 * kMs});
  EXPECT_EQ(waiting.since().ns, 150 * kMs);
  waiting.OnWork(/*slept=*/true, /*all=*/true, MonotonicTime{900 * kMs});
  EXPECT_EQ(waiting.since().ns, 900 * kMs);
}

TEST(WaitingTest, WhatAThreadThatIsBehindFindsMayHaveWaitedSinceItLastLooked) {
  Waiting waiting;
  waiting.OnWork(/*slept=*/true, /*all=*/true, MonotonicTime{150 * kMs});
  // It worked for 80 ms, and found more at once.
  waiting.OnWork(/*slept=*/false, /*all=*/true, MonotonicTime{230 * kMs});
  EXPECT_EQ(waiting.since().ns, 150 * kMs);
  waiting.OnWork(/*slept=*/false, /*all=*/true, MonotonicTime{300 * kMs});
  EXPECT_EQ(waiting.since().ns, 230 * kMs);
  // Caught up.
  waiting.OnWork(/*slept=*/true, /*all=*/true, MonotonicTime{320 * kMs});
  EXPECT_EQ(waiting.since().ns, 320 * kMs);
}

TEST(WaitingTest, WhatALookHadNoRoomForWaitsOn) {
  Waiting waiting;
  waiting.OnWork(/*slept=*/true, /*all=*/false, MonotonicTime{100 * kMs});
  for (int64_t turn = 1; turn < 40; ++turn) {
    waiting.OnWork(/*slept=*/false, /*all=*/false, MonotonicTime{(100 + turn) * kMs});
    EXPECT_EQ(waiting.since().ns, 100 * kMs);
  }
  // The rest of it.
  waiting.OnWork(/*slept=*/false, /*all=*/true, MonotonicTime{140 * kMs});
  EXPECT_EQ(waiting.since().ns, 100 * kMs);
  waiting.OnWork(/*slept=*/false, /*all=*/true, MonotonicTime{141 * kMs});
  EXPECT_EQ(waiting.since().ns, 140 * kMs);
}

class OverloadTest : public testing::Test {
 protected:
  OverloadTest() {
    node_.OpenU1();
    node_.checker().SetShedAfter(absl::Seconds(10));
  }
  ~OverloadTest() override { SetArrivedSince(MonotonicTime{0}); }

  Decision Ask(Operation operation, absl::Duration waited) {
    SetArrivedSince(MonotonicTime{MonotonicNow().ns - absl::ToInt64Nanoseconds(waited)});
    CheckInput input;
    input.operation = operation;
    input.requester = "u1";
    input.bucket = "b1";
    input.key = "k1";
    Decision decision;
    EXPECT_TRUE(node_.checker().Check(input, &decision).ok());
    return decision;
  }

  TestNode node_;
};

TEST_F(OverloadTest, WhatHasWaitedTooLongIsShedAndIsTheProvidersFault) {
  EXPECT_EQ(Ask(Operation::kDownload, absl::Seconds(9)).verdict, Verdict::kAllow);
  const Decision shed = Ask(Operation::kDownload, absl::Seconds(11));
  EXPECT_EQ(shed.verdict, Verdict::kDeny);
  EXPECT_EQ(shed.reason, Reason::kOverloaded);
  EXPECT_EQ(shed.clause, "8.2");
  EXPECT_EQ(shed.fault, Fault::kProvider);
  EXPECT_EQ(shed.http.status, 503);
  EXPECT_THAT(shed.all_reasons, ElementsAre(Reason::kOverloaded));
  EXPECT_THAT(node_.metrics().Text(),
              HasSubstr("sluice_failure_policy_total{reason=\"OVERLOADED\",outcome=\"DENIED\"} 1"));
}

TEST_F(OverloadTest, WhatIsAskedAgainAnyhowGoesFirst) {
  for (const Operation low : {Operation::kList, Operation::kProcess, Operation::kFetch}) {
    EXPECT_EQ(Ask(low, absl::Seconds(6)).reason, Reason::kOverloaded) << Name(low);
    EXPECT_EQ(Ask(low, absl::Seconds(4)).verdict, Verdict::kAllow) << Name(low);
  }
  EXPECT_EQ(Ask(Operation::kUpload, absl::Seconds(6)).verdict, Verdict::kAllow);
}

TEST_F(OverloadTest, WhatIsShedSpendsNothing) {
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u1";
  limit.dimension = Dimension::kRequests;
  limit.rate = 0.001;
  limit.burst = 1;
  ASSERT_EQ(node_.Apply(limit), Outcome::kApplied);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(Operation::kDownload, absl::Seconds(11)).reason, Reason::kOverloaded);
  EXPECT_EQ(Ask(Operation::kDownload, absl::ZeroDuration()).verdict, Verdict::kAllow) << "the one token is still there";
  EXPECT_EQ(Ask(Operation::kDownload, absl::ZeroDuration()).verdict, Verdict::kThrottle);
}

TEST_F(OverloadTest, NothingIsShedWhereItIsNotKnownHowLongItWaitedOrNobodyAsksForIt) {
  SetArrivedSince(MonotonicTime{0});
  CheckInput input;
  input.operation = Operation::kDownload;
  input.requester = "u1";
  Decision decision;
  ASSERT_TRUE(node_.checker().Check(input, &decision).ok());
  EXPECT_EQ(decision.verdict, Verdict::kAllow);
  node_.checker().SetShedAfter(absl::InfiniteDuration());
  EXPECT_EQ(Ask(Operation::kDownload, absl::Hours(1)).verdict, Verdict::kAllow);
}

// Holds its thread up until it is let go, and says how long what it answers has waited.
class Slow final : public HttpHandler {
 public:
  void Answer(const HttpRequest& request, HttpResponse* response) override {
    waited_.push_back(WaitedAtMost());
    if (waited_.size() == 3) {
      entered_.Notify();
      let_go_.WaitForNotification();
    }
    response->status = 200;
  }
  absl::Notification entered_, let_go_;
  std::vector<absl::Duration> waited_;  // of the one thread, until the listener is gone
};

class Caller {
 public:
  explicit Caller(const ListenAddress& address) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    address.path.copy(name.sun_path, sizeof name.sun_path - 1);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  }
  ~Caller() { close(fd_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  // In the socket of the other side when this returns.
  void Ask() {
    const std::string request = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n";
    EXPECT_EQ(send(fd_, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  }
  void AwaitAnswer() {
    std::string answer;
    char byte;
    while (!absl::EndsWith(answer, "\r\n\r\n") && recv(fd_, &byte, 1, 0) == 1) answer.push_back(byte);
    EXPECT_THAT(answer, HasSubstr(" 200 "));
  }

 private:
  const int fd_;
};

TEST(ListenerWaitingTest, ACallThatComesWhileItsThreadIsBusyIsKnownToHaveWaited) {
  const TempFolder folder;
  Router router;
  Slow slow;
  router.AddHttp("/slow", &slow);
  auto listener = Listener::Start({.address = folder.Socket("s.sock"), .threads = 1}, &router);
  ASSERT_TRUE(listener.ok()) << listener.status();
  Caller first((*listener)->address()), second((*listener)->address());
  // Both are accepted before, so that only a request waits.
  for (Caller* caller : {&first, &second}) {
    caller->Ask();
    caller->AwaitAnswer();
  }
  first.Ask();
  slow.entered_.WaitForNotification();
  second.Ask();
  const int64_t until = MonotonicNow().ns + 100 * kMs;
  while (MonotonicNow().ns < until) std::this_thread::yield();
  slow.let_go_.Notify();
  first.AwaitAnswer();
  second.AwaitAnswer();
  listener->reset();
  ASSERT_EQ(slow.waited_.size(), 4u);
  EXPECT_GE(slow.waited_[3], absl::Milliseconds(90));
}

}  // namespace
}  // namespace sluice
