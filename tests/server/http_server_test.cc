#include "server/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/ticker.h"

namespace sluice {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// The whole answer to one request, head and body.
std::string Ask(int port, const std::string& request_line) {
  const int fd = Connect(port);
  const std::string request = request_line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
  close(fd);
  return answer;
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    ListenAddress address;
    address.host = "127.0.0.1";
    auto server = HttpServer::Start(
        address, {.metrics = [] { return std::string("sluice_ready 1\n"); }, .readyz = [this] { return ready_; }});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::string Get(const std::string& path) { return Ask(server_->address().port, "GET " + path); }

  HttpReply ready_{200, "ready\n"};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, ServesMetricsInTheExpositionFormat) {
  const std::string answer = Get("/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nsluice_ready 1\n"));
}

TEST_F(HttpServerTest, IsAliveWhileItIsNotReady) {
  ready_ = {503, "draining\n"};
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 OK\r\n"));
  const std::string answer = Get("/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(answer, HasSubstr("draining"));
}

TEST_F(HttpServerTest, SaysReady) { EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 OK\r\n")); }

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  const std::string answer = Ask(server_->address().port, "HEAD /metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 15\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("sluice_ready")));
}

TEST_F(HttpServerTest, ServesNothingElse) {
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/metrics/deeper"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(server_->address().port, "POST /metrics"), StartsWith("HTTP/1.1 405"));
}

TEST_F(HttpServerTest, AnswersOneRequestOfAConnection) {
  const std::string answer = Ask(server_->address().port, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /metrics");
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("alive\n"));
}

TEST_F(HttpServerTest, LetsNobodyKeepAProbeOut) {
  // More than are served at once: some say nothing, some half of a request, some take no answer.
  std::vector<int> held;
  for (const char* said : {"", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    for (int i = 0; i < 100; ++i) {
      held.push_back(Connect(server_->address().port));
      EXPECT_EQ(send(held.back(), said, strlen(said), MSG_NOSIGNAL), static_cast<ssize_t>(strlen(said)));
    }
    EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 OK"));
  }
  for (const int fd : held) close(fd);
}

TEST_F(HttpServerTest, NamesAnAddressThatIsTaken) {
  const auto second = HttpServer::Start(server_->address(), {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("cannot listen on 127.0.0.1:" + std::to_string(server_->address().port)));
}

TEST(TickerTest, StopsAtOnceInTheMiddleOfAPeriod) {
  int ticks = 0;
  {
    Ticker ticker(absl::Hours(1), [&ticks] { ++ticks; });
  }
  EXPECT_EQ(ticks, 0);
}

TEST(TickerTest, KeepsTicking) {
  absl::Mutex mutex;
  int ticks = 0;
  Ticker ticker(absl::Milliseconds(1), [&] {
    absl::MutexLock lock(&mutex);
    ++ticks;
  });
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(
      +[](int* count) { return *count >= 3; }, &ticks));
  EXPECT_GE(ticks, 3);
}

}  // namespace
}  // namespace sluice
