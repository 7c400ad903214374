// Load beyond what a node can answer in time: what has waited too long is shed, with a reason of its own.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
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
  waiting.OnWork(/*slept=*/true, MonotonicTime{150 * kMs});
  EXPECT_EQ(waiting.since().ns, 150 * kMs);
  waiting.OnWork(/*slept=*/true, MonotonicTime{900 * kMs});
  EXPECT_EQ(waiting.since().ns, 900 * kMs);
}

TEST(WaitingTest, WhatAThreadThatIsBehindFindsMayHaveWaitedSinceItLastLooked) {
  Waiting waiting;
  waiting.OnWork(/*slept=*/true, MonotonicTime{150 * kMs});
  // It worked for 80 ms, and found more at once.
  waiting.OnWork(/*slept=*/false, MonotonicTime{230 * kMs});
  EXPECT_EQ(waiting.since().ns, 150 * kMs);
  waiting.OnWork(/*slept=*/false, MonotonicTime{300 * kMs});
  EXPECT_EQ(waiting.since().ns, 230 * kMs);
  // Caught up.
  waiting.OnWork(/*slept=*/true, MonotonicTime{320 * kMs});
  EXPECT_EQ(waiting.since().ns, 320 * kMs);
}

TEST(SocketWaitingTest, WhatIsReadArrivedAfterAReadThatLeftNothing) {
  SocketWaiting waiting;
  EXPECT_EQ(waiting.since(MonotonicTime{100 * kMs}).ns, 100 * kMs);
  waiting.OnRead(1000, 0, MonotonicTime{100 * kMs}, MonotonicTime{130 * kMs});
  // The thread has looked at 100 ms, and came to this socket at 130.
  EXPECT_EQ(waiting.since(MonotonicTime{100 * kMs}).ns, 130 * kMs);
  // It has slept since.
  EXPECT_EQ(waiting.since(MonotonicTime{500 * kMs}).ns, 500 * kMs);
}

TEST(SocketWaitingTest, WhatAReadLeftWaitsOnWhateverTheThreadKnowsOfOthers) {
  SocketWaiting waiting;
  waiting.OnRead(1000, 2500, MonotonicTime{100 * kMs}, MonotonicTime{110 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{200 * kMs}).ns, 100 * kMs);
  waiting.OnRead(1000, 9000, MonotonicTime{200 * kMs}, MonotonicTime{210 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{300 * kMs}).ns, 100 * kMs);
  waiting.OnRead(1000, 9000, MonotonicTime{300 * kMs}, MonotonicTime{310 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{400 * kMs}).ns, 100 * kMs);
  // The last 500 of what was left at 110 ms: the 9,000 behind them have come since.
  waiting.OnRead(1000, 9000, MonotonicTime{400 * kMs}, MonotonicTime{410 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{500 * kMs}).ns, 110 * kMs);
  waiting.OnRead(9000, 500, MonotonicTime{500 * kMs}, MonotonicTime{510 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{600 * kMs}).ns, 410 * kMs);
  waiting.OnRead(500, 0, MonotonicTime{600 * kMs}, MonotonicTime{610 * kMs});
  EXPECT_EQ(waiting.since(MonotonicTime{600 * kMs}).ns, 610 * kMs);
}

TEST(SocketWaitingTest, NothingIsKnownWhereTheThreadKnowsNothing) {
  EXPECT_EQ(SocketWaiting().since(MonotonicTime{0}).ns, 0);
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
    EXPECT_TRUE(node_.checker().Check(&input, &decision).ok());
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
  node_.LimitRequestsOfU1(1);
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
  ASSERT_TRUE(node_.checker().Check(&input, &decision).ok());
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

// Says how long what it answers has waited. The first of every so many calls holds the thread until it is let go.
class Rounds final : public HttpHandler {
 public:
  explicit Rounds(size_t calls) : calls_(calls) {}
  void Answer(const HttpRequest& request, HttpResponse* response) override {
    response->status = 204;
    absl::MutexLock lock(&mutex_);
    waited_.push_back(WaitedAtMost());
    if (waited_.size() % calls_ != 1) return;
    const size_t round = waited_.size() / calls_;
    const auto let_go = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return let_go_ > round; };
    mutex_.Await(absl::Condition(&let_go));
  }
  void AwaitHeld(size_t round) {
    absl::MutexLock lock(&mutex_);
    const auto held = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return waited_.size() == round * calls_ + 1; };
    mutex_.Await(absl::Condition(&held));
  }
  void LetGo() {
    absl::MutexLock lock(&mutex_);
    ++let_go_;
  }
  // At which half of those since call `from` are.
  absl::Duration MedianSince(size_t from) {
    absl::MutexLock lock(&mutex_);
    std::vector<absl::Duration> late(waited_.begin() + static_cast<std::ptrdiff_t>(from), waited_.end());
    std::nth_element(late.begin(), late.begin() + static_cast<std::ptrdiff_t>(late.size() / 2), late.end());
    return late[late.size() / 2];
  }

 private:
  const size_t calls_;
  absl::Mutex mutex_;
  std::vector<absl::Duration> waited_ ABSL_GUARDED_BY(mutex_);
  size_t let_go_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST(ListenerWaitingTest, WithConnectionsWithoutNumberWaitingEndsWithEachAnswer) {
  constexpr size_t kCallers = 300, kRounds = 200;
  const TempFolder folder;
  Router router;
  Rounds handler(kCallers);
  router.AddHttp("/slow", &handler);
  auto listener = Listener::Start({.address = folder.Socket("s.sock"), .threads = 1}, &router);
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::vector<std::unique_ptr<Caller>> callers;
  while (callers.size() < kCallers) callers.push_back(std::make_unique<Caller>((*listener)->address()));
  const int64_t began = MonotonicNow().ns;
  for (const auto& caller : callers) caller->Ask();
  for (size_t round = 0; round < kRounds; ++round) {
    handler.AwaitHeld(round);
    // All are ready when the thread looks again, every time.
    for (const auto& caller : callers) caller->Ask();
    handler.LetGo();
  }
  handler.AwaitHeld(kRounds);
  handler.LetGo();
  const auto lasted = absl::Nanoseconds(MonotonicNow().ns - began);
  EXPECT_LT(handler.MedianSince(kCallers * kRounds / 2), lasted / 4);
  listener->reset();
}

}  // namespace
}  // namespace sluice
