#include "server/listen/listening_socket.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/listen/address.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

ListenAddress At(const std::string& host, int port) {
  ListenAddress address;
  address.host = host;
  address.port = port;
  return address;
}

TEST(ListeningSocketTest, EveryAddressOfANameListensOnTheSamePort) {
  ListenAddress address = At("localhost", 0);
  const auto sockets = OpenTcpSockets(&address);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_FALSE(sockets->empty());
  EXPECT_NE(address.port, 0);
  ListenAddress again = At("127.0.0.1", address.port);
  EXPECT_EQ(OpenTcpSockets(&again).status().code(), absl::StatusCode::kFailedPrecondition);
  for (const int fd : *sockets) close(fd);
  const auto later = OpenTcpSockets(&again);
  ASSERT_TRUE(later.ok()) << later.status();
  for (const int fd : *later) close(fd);
}

TEST(ListeningSocketTest, ANameOfWhichOneAddressIsTakenIsRefusedWhole) {
  ListenAddress taken = At("127.0.0.1", 0);
  const auto first = OpenTcpSockets(&taken);
  ASSERT_TRUE(first.ok()) << first.status();
  ListenAddress address = At("localhost", taken.port);
  const absl::Status status = OpenTcpSockets(&address).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("taken by another process"));
  for (const int fd : *first) close(fd);
}

TEST(ListeningSocketTest, SaysWhatCannotBeAnAddressOfThisMachine) {
  ListenAddress elsewhere = At("192.0.2.1", 0);
  const absl::Status status = OpenTcpSockets(&elsewhere).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot listen on 192.0.2.1:0: "));
}

}  // namespace
}  // namespace sluice
