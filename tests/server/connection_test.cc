// A connection on one end of a pair of sockets, driven by hand: what is sent when.
#include "server/listen/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "metrics/wire_counts.h"
#include "server/listen/waiting.h"

namespace sluice {
namespace {

constexpr MonotonicTime kNow{1'000'000'000'000};

// Takes units of `unit` bytes and answers each with as many in upper case, or keeps so many for turns.
class Units final : public Session {
 public:
  explicit Units(size_t unit) : unit_(unit) {}
  WireProtocol protocol() const override { return WireProtocol::kHttp1; }
  size_t Receive(absl::Span<char> bytes, MonotonicTime now) override {
    before_();
    size_t at = 0;
    for (; bytes.size() - at >= unit_; at += unit_) {
      if (kept_ < keeps_) {
        ++kept_;
        continue;
      }
      out_.append(unit_, static_cast<char>(bytes[at] - 'a' + 'A'));
      if (++answered_ == last_) finished_ = true;
    }
    return at;
  }
  bool has_more() const override { return went_on_ < kept_; }
  void GoOn(MonotonicTime now) override {
    EXPECT_EQ(out_, "");
    ++went_on_;
    out_.append(unit_, 'T');
  }
  void Tick(MonotonicTime now) override {}
  void Drain(MonotonicTime now) override {}

  // Called when something is received, before it is looked at.
  void Before(std::function<void()> before) { before_ = std::move(before); }
  // Ends with the answer to unit number `last`.
  void EndAfter(int last) { last_ = last; }
  int answered() const { return answered_; }
  void Keep(int units) { keeps_ = units; }
  int went_on() const { return went_on_; }

 private:
  const size_t unit_;
  std::function<void()> before_ = [] {};
  int answered_ = 0;
  int last_ = -1;
  int keeps_ = 0;
  int kept_ = 0;
  int went_on_ = 0;
};

class ConnectionTest : public testing::Test {
 protected:
  void Begin(size_t unit) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer_ = fds[1];
    auto session = std::make_unique<Units>(unit);
    session_ = session.get();
    connection_ =
        std::make_unique<AcceptedConnection>(fds[0], nullptr, &limits_, nullptr, &counts_, kNow, std::move(session));
  }
  ~ConnectionTest() override {
    if (peer_ >= 0) close(peer_);
  }
  void Ask(const std::string& bytes) {
    ASSERT_EQ(send(peer_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  // What has come back, without waiting.
  std::string Read() {
    std::string bytes;
    char piece[65536];
    for (ssize_t got; (got = recv(peer_, piece, sizeof piece, 0)) > 0;) bytes.append(piece, static_cast<size_t>(got));
    return bytes;
  }
  bool OnReadable() {
    return connection_->Read(absl::MakeSpan(scratch_), kNow, kNow) && connection_->Work(nullptr, kNow);
  }

  SessionLimits limits_;
  WireCounts counts_;
  std::vector<char> scratch_ = std::vector<char>(AcceptedConnection::kScratchBytes);
  int peer_ = -1;
  Units* session_ = nullptr;
  std::unique_ptr<AcceptedConnection> connection_;
};

TEST_F(ConnectionTest, SendsTheFirstAnswersBeforeItWorksOnTheLast) {
  Begin(100);
  std::string read;
  int answered_when_read = -1;
  session_->Before([&] {
    if (!read.empty()) return;
    read = Read();
    if (!read.empty()) answered_when_read = session_->answered();
  });
  Ask(std::string(20'000, 'x'));
  EXPECT_TRUE(OnReadable());
  EXPECT_GE(answered_when_read, 1);
  EXPECT_LE(answered_when_read, 100);
  EXPECT_EQ(read + Read(), std::string(20'000, 'X'));
  EXPECT_EQ(session_->answered(), 200);
}

TEST_F(ConnectionTest, IsBriefWhereLittleCameAndDidNotWait) {
  limits_.wait_max = absl::Seconds(100);
  Begin(100);
  const auto read = [this](absl::Duration ago) {
    return connection_->Read(absl::MakeSpan(scratch_), {CoarseNow().ns - absl::ToInt64Nanoseconds(ago)}, kNow);
  };
  Ask(std::string(4096, 'x'));
  ASSERT_TRUE(read(absl::Seconds(20)));
  EXPECT_TRUE(connection_->is_brief());
  ASSERT_TRUE(connection_->Work(nullptr, kNow));
  Ask(std::string(4096, 'x'));
  ASSERT_TRUE(read(absl::Seconds(30)));
  EXPECT_FALSE(connection_->is_brief());
  ASSERT_TRUE(connection_->Work(nullptr, kNow));
  Ask(std::string(8192, 'x'));
  ASSERT_TRUE(read(absl::ZeroDuration()));
  EXPECT_FALSE(connection_->is_brief());
  // What is left of units is given with what comes next.
  EXPECT_EQ(connection_->bytes_read(), 8192u + 2 * 4096u % 100);
}

TEST_F(ConnectionTest, TakesUnitsOfAnySize) {
  for (const size_t unit : {1, 7, 4095, 4096, 4097, 10'000, 40'000}) {
    Begin(unit);
    const size_t units = 90'000 / unit;
    // The last one is not whole, and comes to its end in the next read.
    Ask(std::string(units * unit + unit / 2, 'x'));
    EXPECT_TRUE(OnReadable());
    EXPECT_EQ(Read(), std::string(units * unit, 'X')) << unit;
    Ask(std::string(unit - unit / 2, 'x'));
    EXPECT_TRUE(OnReadable());
    EXPECT_EQ(Read(), std::string(unit, 'X')) << unit;
    close(std::exchange(peer_, -1));
  }
}

TEST_F(ConnectionTest, WorksOnForAPeerThatTakesNothingForNow) {
  Begin(10'000);
  const int small = 1;
  ASSERT_EQ(setsockopt(connection_->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  Ask(std::string(100'000, 'x'));
  EXPECT_TRUE(OnReadable());
  EXPECT_EQ(session_->answered(), 10);
  std::string read = Read();
  EXPECT_LT(read.size(), 100'000u);
  for (int i = 0; i < 1000 && read.size() < 100'000; ++i) {
    EXPECT_TRUE(connection_->OnWritable(kNow));
    read += Read();
  }
  EXPECT_EQ(read, std::string(100'000, 'X'));
}

TEST_F(ConnectionTest, WorksOnNothingBehindTheEnd) {
  Begin(100);
  session_->EndAfter(10);  // within the first piece, of which it still says the rest
  Ask(std::string(20'000, 'x'));
  EXPECT_TRUE(OnReadable());  // until the peer has ended too
  const std::string read = Read();
  EXPECT_EQ(read, std::string(read.size(), 'X'));
  EXPECT_LE(session_->answered(), 100);
  char byte;
  EXPECT_EQ(recv(peer_, &byte, 1, 0), 0);  // the end was told
}

TEST_F(ConnectionTest, WorksOnWhatIsKeptInTurnsWhenAllIsSent) {
  Begin(10'000);
  session_->Keep(3);
  Ask(std::string(50'000, 'x'));
  EXPECT_TRUE(OnReadable());
  EXPECT_EQ(session_->went_on(), 0);
  EXPECT_EQ(Read(), std::string(20'000, 'X'));
  for (int turn = 1; turn <= 3; ++turn) {
    EXPECT_EQ(connection_->wanted_events(), uint32_t{EPOLLOUT}) << "what comes meanwhile can wait";
    EXPECT_TRUE(connection_->OnWritable(kNow));
    EXPECT_EQ(session_->went_on(), turn);
    EXPECT_EQ(Read(), std::string(10'000, 'T'));
  }
  EXPECT_EQ(connection_->wanted_events(), uint32_t{EPOLLIN});
}

TEST_F(ConnectionTest, WorksOnNothingThatIsKeptForAPeerThatTakesNothing) {
  Begin(10'000);
  const int small = 1;
  ASSERT_EQ(setsockopt(connection_->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  session_->Keep(5);
  Ask(std::string(100'000, 'x'));
  EXPECT_TRUE(OnReadable());
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(connection_->OnWritable(kNow));
  EXPECT_EQ(session_->went_on(), 0);
  std::string read = Read();
  for (int i = 0; i < 1000 && read.size() < 100'000; ++i) {
    EXPECT_TRUE(connection_->OnWritable(kNow));
    read += Read();
  }
  EXPECT_EQ(read, std::string(50'000, 'X') + std::string(50'000, 'T'));
}

TEST_F(ConnectionTest, GivesWhatIsKeptToAPeerThatHasShutItsSide) {
  Begin(10'000);
  session_->Keep(3);
  Ask(std::string(50'000, 'x'));
  ASSERT_EQ(shutdown(peer_, SHUT_WR), 0);
  EXPECT_TRUE(OnReadable());
  EXPECT_TRUE(connection_->Read(absl::MakeSpan(scratch_), kNow, kNow));  // the end
  EXPECT_TRUE(connection_->OnWritable(kNow));
  EXPECT_TRUE(connection_->OnWritable(kNow));
  EXPECT_FALSE(connection_->OnWritable(kNow));
  EXPECT_EQ(Read(), std::string(20'000, 'X') + std::string(30'000, 'T'));
}

TEST_F(ConnectionTest, EndsForAPeerThatIsGone) {
  Begin(100);
  session_->Before([&] {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
  });
  Ask(std::string(20'000, 'x'));
  EXPECT_FALSE(OnReadable());
  EXPECT_LE(session_->answered(), 100);
}

}  // namespace
}  // namespace sluice
