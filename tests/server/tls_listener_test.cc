// The listener with TLS: who gets in, however the bytes come, and what is held for those who do not get that far.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "echo_methods.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http1_response.h"
#include "http2_peer.h"
#include "metrics/wire_metrics.h"
#include "server/listen/connection.h"
#include "server/listen/event_loop.h"
#include "server/listen/listener.h"
#include "server/listen/tls_source.h"
#include "server/listen/waiting.h"
#include "test_node.h"
#include "tls_authority.h"
#include "tls_peer.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kGet[] = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";

// A blocking TCP connection, with TLS once it shakes hands.
class Caller {
 public:
  explicit Caller(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    // A test that waits for what never comes fails instead.
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(port));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    SSL_CTX_set_options(context_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  }
  ~Caller() {
    ssl_.reset();
    close(fd_);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Believes anybody: it is the server that is tried. An empty pair = no certificate.
  bool ShakeHands(const TlsAuthority::Pair& pair, absl::string_view protocols = "", int version_max = 0) {
    if (!pair.certificate.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), pair.certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), pair.key.c_str(), SSL_FILETYPE_PEM);
    }
    SSL_CTX_set_max_proto_version(context_.get(), version_max);
    ssl_.reset(SSL_new(context_.get()));
    if (!protocols.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size()));
    }
    SSL_set_fd(ssl_.get(), fd_);
    return SSL_connect(ssl_.get()) == 1;
  }
  // From now on what is sent leaves in pieces of one byte.
  void SendByBytes() {
    BIO* const pieces = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pieces, -1);
    SSL_set0_wbio(ssl_.get(), pieces);
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    by_bytes_ = true;
  }
  bool Send(absl::string_view bytes) {
    const bool sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
    char byte;
    while (by_bytes_ && BIO_read(SSL_get_wbio(ssl_.get()), &byte, 1) == 1) SendRaw({&byte, 1});
    return sent;
  }
  void SendRaw(absl::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
  }
  // Until `size` bytes or the end.
  std::string Read(size_t size) { return ReadUpTo(size, receive_); }
  std::string ReadResponse() { return ReadHttpResponse(receive_); }
  std::string Ask() {
    Send(kGet);
    return ReadResponse();
  }
  // Whether the other end hung up, whatever it said before.
  bool AwaitEnd() const {
    char bytes[4096];
    ssize_t got;
    while ((got = recv(fd_, bytes, sizeof bytes, 0)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
  }
  SSL* ssl() { return ssl_.get(); }
  int fd() const { return fd_; }

 private:
  const std::function<ssize_t(char*, size_t)> receive_ = [this](char* into, size_t size) -> ssize_t {
    return SSL_read(ssl_.get(), into, static_cast<int>(size));
  };
  const int fd_;
  bool by_bytes_ = false;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
};

// What a caller says first, by an end that nobody answers.
std::string FirstWords(SSL_CTX* context) {
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context), SSL_free);
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  EXPECT_EQ(SSL_connect(ssl.get()), -1);
  char* hello = nullptr;
  const long size = BIO_get_mem_data(SSL_get_wbio(ssl.get()), &hello);
  return {hello, static_cast<size_t>(size)};
}

class TlsListenerTest : public testing::Test {
 protected:
  TlsListenerTest() {
    routes_.router.AddHttp("/large", &large_);
    files_ = {node_.certificate, node_.key, authority_.path()};
    auto tls = TlsSource::Open(files_);
    EXPECT_TRUE(tls.ok()) << tls.status();
    tls_ = *std::move(tls);
    Start({});
  }
  void Start(SessionLimits limits) {
    Listener::Options options = {
        .threads = 1, .newcomers_max = 100, .limits = limits, .metrics = &metrics_, .tls = tls_.get()};
    options.address.host = "127.0.0.1";
    auto listener = Listener::Start(options, &routes_.router);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }
  int port() const { return listener_->address().port; }
  // What a scrape says of that error.
  double Errors(absl::string_view error) {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != "sluice_protocol_errors_total") continue;
      double sum = 0;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "error" && label.value == error) sum += metric.counter.value;
        }
      }
      return sum;
    }
    return -1;
  }
  // A TCP connection of which no thread of a listener knows: one end, and the other as the node would serve it.
  std::pair<int, std::unique_ptr<AcceptedConnection>> Accepted(WireCounts* counts, MonotonicTime now) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    return {ends[0], std::make_unique<AcceptedConnection>(ends[1], &routes_.router, &limits_, nullptr, counts, now,
                                                          nullptr, tls_->Accept(ends[1]))};
  }

  class Large final : public HttpHandler {
   public:
    void Answer(const HttpRequest& request, HttpResponse* response) override { response->body.assign(8 << 20, 'l'); }
  };

  TempFolder folder_;
  TlsAuthority authority_{folder_.path(), "authority"}, other_{folder_.path(), "other"};
  TlsAuthority::Pair node_ = authority_.Sign("node"), gateway_ = authority_.Sign("gateway");
  TlsFiles files_;
  SessionLimits limits_;
  WireMetrics metrics_;
  EchoRoutes routes_;
  Large large_;
  std::unique_ptr<TlsSource> tls_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(TlsListenerTest, AnswersWhomTheAuthorityKnows) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Caller caller(port());
    ASSERT_TRUE(caller.ShakeHands(gateway_, "", version));
    EXPECT_EQ(SSL_version(caller.ssl()), version);
    for (int i = 0; i < 3; ++i) EXPECT_THAT(caller.Ask(), HasSubstr("\r\n\r\nGET /echo h "));
  }
  EXPECT_EQ(Errors("tls"), 0);
}

TEST_F(TlsListenerTest, TurnsEverybodyElseAway) {
  const TlsAuthority::Pair stranger = other_.Sign("stranger");
  for (const TlsAuthority::Pair& pair : {TlsAuthority::Pair{}, stranger}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      Caller caller(port());
      // A caller by TLS 1.3 hears of it with its first answer.
      const bool shaken = caller.ShakeHands(pair, "", version);
      EXPECT_EQ(shaken ? caller.Ask() : "", "");
      EXPECT_TRUE(caller.AwaitEnd());
    }
  }
  Caller plain(port());
  plain.SendRaw(kGet);
  EXPECT_TRUE(plain.AwaitEnd());
  Caller old(port());
  EXPECT_FALSE(old.ShakeHands(gateway_, "", TLS1_1_VERSION));
  EXPECT_EQ(routes_.handler.calls, 0);
}

TEST_F(TlsListenerTest, CountsHandshakesThatFailedAndNotWhoOnlyLooked) {
  { Caller looks(port()); }
  Caller plain(port());
  plain.SendRaw(kGet);
  EXPECT_TRUE(plain.AwaitEnd());  // the thread has seen the end of the one before it, too
  EXPECT_EQ(Errors("tls"), 1);
}

TEST_F(TlsListenerTest, AgreesOnAProtocolOrSaysThatThereIsNone) {
  Caller both(port());
  ASSERT_TRUE(both.ShakeHands(gateway_, "\x08http/1.1\x02h2"));
  const unsigned char* chosen = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(both.ssl(), &chosen, &size);
  EXPECT_EQ(absl::string_view(reinterpret_cast<const char*>(chosen), size), "h2");
  Caller neither(port());
  EXPECT_FALSE(neither.ShakeHands(gateway_,
                                  "\x03"
                                  "ftp"));
}

TEST_F(TlsListenerTest, AnswersTheSameHoweverTheBytesCome) {
  Caller caller(port());
  ASSERT_TRUE(caller.ShakeHands(gateway_));
  caller.SendByBytes();
  for (int i = 0; i < 2; ++i) {
    caller.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    caller.Send("llo");
    EXPECT_THAT(caller.ReadResponse(), HasSubstr("\r\n\r\nPOST /echo h hello"));
  }
}

TEST_F(TlsListenerTest, CarriesMegabytesBothWaysToAReaderThatWaits) {
  Caller caller(port());
  ASSERT_TRUE(caller.ShakeHands(gateway_));
  const std::string body(900'000, 'b');
  ASSERT_TRUE(caller.Send(absl::StrCat("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n\r\n")));
  ASSERT_TRUE(caller.Send(body));
  EXPECT_THAT(caller.ReadResponse(), testing::EndsWith(body));
  // 8 MB that the sockets do not hold: the rest waits for this caller, and nobody for it.
  caller.Send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i < 4; ++i) {
    Caller meanwhile(port());
    ASSERT_TRUE(meanwhile.ShakeHands(gateway_));
    EXPECT_THAT(meanwhile.Ask(), StartsWith("HTTP/1.1 200 OK"));
  }
  const std::string response = caller.ReadResponse();
  EXPECT_GT(response.size(), size_t{8} << 20);
  EXPECT_EQ(response.back(), 'l');
  EXPECT_THAT(caller.Ask(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(TlsListenerTest, AnswersWhatCameWithTheEndAndEndsToo) {
  Caller polite(port());
  ASSERT_TRUE(polite.ShakeHands(gateway_));
  polite.Send(kGet);
  SSL_shutdown(polite.ssl());  // in words of TLS: the socket stays open
  EXPECT_THAT(polite.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  char byte;
  EXPECT_EQ(SSL_get_error(polite.ssl(), SSL_read(polite.ssl(), &byte, 1)), SSL_ERROR_ZERO_RETURN);
  EXPECT_TRUE(polite.AwaitEnd());
  Caller abrupt(port());
  ASSERT_TRUE(abrupt.ShakeHands(gateway_));
  abrupt.Send(kGet);
  shutdown(abrupt.fd(), SHUT_WR);
  EXPECT_THAT(abrupt.ReadResponse(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(abrupt.AwaitEnd());
}

TEST_F(TlsListenerTest, ChangesKeysWhenAskedTo) {
  Caller caller(port());
  ASSERT_TRUE(caller.ShakeHands(gateway_, "", TLS1_3_VERSION));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(caller.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    EXPECT_THAT(caller.Ask(), StartsWith("HTTP/1.1 200 OK"));
  }
}

TEST_F(TlsListenerTest, NeitherRenegotiatesNorResumes) {
  Caller caller(port());
  ASSERT_TRUE(caller.ShakeHands(gateway_, "", TLS1_2_VERSION));
  EXPECT_THAT(caller.Ask(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get_session(caller.ssl())), 0);
  SSL_renegotiate(caller.ssl());
  EXPECT_NE(SSL_do_handshake(caller.ssl()), 1);
  Caller modern(port());
  ASSERT_TRUE(modern.ShakeHands(gateway_, "", TLS1_3_VERSION));
  EXPECT_THAT(modern.Ask(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get_session(modern.ssl())), 0);
}

TEST_F(TlsListenerTest, OutlivesCallersThatVanishAtEveryByteOfTheirHandshake) {
  Caller model(port());
  ASSERT_TRUE(model.ShakeHands(gateway_));
  const std::string hello = FirstWords(SSL_get_SSL_CTX(model.ssl()));
  ASSERT_GT(hello.size(), 100u);
  for (size_t at = 0; at <= hello.size(); ++at) {
    Caller caller(port());
    if (at > 0) caller.SendRaw(hello.substr(0, at));
    if (at % 2 == 0) {  // a reset rather than an end
      const linger hard = {1, 0};
      setsockopt(caller.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
  }
  EXPECT_THAT(model.Ask(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(TlsListenerTest, AnswersThoseItKnowsBeforeItShakesHandsWithAStranger) {
  HeldHandler held;
  routes_.router.AddHttp("/held", &held);
  constexpr absl::string_view kPing = "pingpong";
  Caller known(port());
  ASSERT_TRUE(known.ShakeHands(gateway_));
  ASSERT_TRUE(known.Send(absl::StrCat(http2::kPreface, http2::FrameBytes(http2::FrameType::kSettings, 0, 0, ""),
                                      http2::FrameBytes(http2::FrameType::kPing, 0, 0, kPing))));
  std::string heard;
  while (!absl::StrContains(heard, kPing)) {
    const std::string more = known.Read(1);
    ASSERT_FALSE(more.empty());
    heard += more;
  }
  Caller stranger(port()), holder(port());
  ASSERT_TRUE(holder.ShakeHands(gateway_));
  ASSERT_TRUE(holder.Send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"));
  held.entered.WaitForNotification();
  // Both are ready when the thread looks, in this order.
  const auto fields = http2::Block(http2::GrpcFields("/t.T/Unary"));
  ASSERT_TRUE(
      known.Send(absl::StrCat(http2::FrameBytes(http2::FrameType::kHeaders, http2::kEndHeaders, 1, fields),
                              http2::FrameBytes(http2::FrameType::kData, http2::kEndStream, 1, http2::Message("hi")))));
  stranger.SendRaw(FirstWords(SSL_get_SSL_CTX(holder.ssl())));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const Caller* caller : {&known, &stranger}) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = caller->fd();
    EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, caller->fd(), &event), 0);
  }
  held.let_go.Notify();
  // The kernel tells of them in the order in which something came for them.
  epoll_event first = {};
  EXPECT_EQ(epoll_wait(epoll, &first, 1, 20'000), 1);
  EXPECT_EQ(first.data.fd, known.fd());
  close(epoll);
}

TEST_F(TlsListenerTest, MakesRoomForWhoComesByCuttingTheOldestThatHasNotShownWhoItIs) {
  Caller known(port());
  ASSERT_TRUE(known.ShakeHands(gateway_));
  std::vector<std::unique_ptr<Caller>> silent;
  for (int i = 0; i < 120; ++i) silent.push_back(std::make_unique<Caller>(port()));
  Caller comes(port());
  ASSERT_TRUE(comes.ShakeHands(gateway_));
  EXPECT_THAT(comes.Ask(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(silent.front()->AwaitEnd());
  EXPECT_EQ(Errors("too_many"), 120 + 1 - 100);
  char byte;
  EXPECT_EQ(recv(silent.back()->fd(), &byte, 1, MSG_DONTWAIT), -1);  // it is there still
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_THAT(known.Ask(), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(TlsListenerTest, GivesTenSecondsToShowWhoOneIs) {
  WireCounts counts;
  const MonotonicTime start{0};
  auto [end, connection] = Accepted(&counts, start);
  EXPECT_EQ(connection->wanted_events(), uint32_t{EPOLLIN});
  EXPECT_TRUE(connection->Tick({9'000'000'000}));
  EXPECT_FALSE(connection->Tick({11'000'000'000}));
  close(end);
}

TEST_F(TlsListenerTest, KnowsHowLongRecordsOfAnySizeHaveWaited) {
  WireCounts counts;
  const MonotonicTime accepted = MonotonicNow();
  auto [end, connection] = Accepted(&counts, accepted);
  std::vector<char> scratch(AcceptedConnection::kScratchBytes);
  const auto serve = [&, connection = connection.get()] {
    const MonotonicTime now = MonotonicNow();
    return connection->Read(absl::MakeSpan(scratch), accepted, now) && connection->Work(nullptr, now);
  };
  Caller model(port());  // for its context
  ASSERT_TRUE(model.ShakeHands(gateway_));
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(SSL_get_SSL_CTX(model.ssl())), SSL_free);
  SSL_set_fd(ssl.get(), end);
  while (SSL_connect(ssl.get()) != 1) ASSERT_TRUE(serve());
  // Far more than one read takes, in records that are half overhead. They wait in the socket.
  BIO* const records = BIO_new(BIO_s_mem());
  SSL_set0_wbio(ssl.get(), records);
  constexpr int kRequests = 12'000;
  for (int i = 0; i < kRequests; ++i) SSL_write(ssl.get(), kGet, sizeof kGet - 1);
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(records, &bytes));
  size_t sent = 0;
  char answers[1 << 16];
  while (routes_.handler.calls < kRequests) {
    const ssize_t took = send(end, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (took > 0) sent += static_cast<size_t>(took);
    ASSERT_TRUE(serve());
    while (recv(end, answers, sizeof answers, 0) > 0) {
    }
    ASSERT_TRUE(connection->OnWritable(MonotonicNow()));
  }
  EXPECT_EQ(sent, size);
  // Nothing was left, so that what comes now came after the last read, whatever was known of the thread before it.
  const MonotonicTime emptied = CoarseNow();
  BIO_reset(records);
  SSL_write(ssl.get(), kGet, sizeof kGet - 1);
  const long last = BIO_get_mem_data(records, &bytes);
  ASSERT_EQ(send(end, bytes, static_cast<size_t>(last), MSG_NOSIGNAL), last);
  ASSERT_TRUE(serve());
  EXPECT_EQ(routes_.handler.calls, kRequests + 1);
  EXPECT_GT(ArrivedSince().ns, accepted.ns);
  EXPECT_LE(ArrivedSince().ns, emptied.ns);
  SetArrivedSince({0});
  close(end);
}

// A peer that changes its keys, and what the node's thread does with its socket.
class TlsKeyChangeTest : public TlsListenerTest {
 protected:
  static constexpr int kTurnsMax = 10'000;

  void Meet(bool own_records) {
    context_.reset(TlsPeer::NewContext(gateway_.certificate, gateway_.key));
    peer_ = std::make_unique<TlsPeer>(context_.get(), TlsPeer::Kind{.own_records = own_records});
    std::tie(end_, connection_) = Accepted(&counts_, {0});
    const int least = 1;
    setsockopt(connection_->fd(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    for (int i = 0; i < 10 && !peer_->established(); ++i) Exchange();
    ASSERT_TRUE(peer_->established());
    Exchange();
    ASSERT_FALSE(connection_->handshaking());
  }
  ~TlsKeyChangeTest() override {
    connection_.reset();
    close(end_);
  }
  // Whether the socket has something for the node, of what it waits for; and the node has gone on with it.
  bool Turn() {
    pollfd look = {connection_->fd(), static_cast<short>(connection_->wanted_events()), 0};
    if (poll(&look, 1, 0) <= 0) return false;
    if ((look.revents & POLLOUT) != 0) {
      EXPECT_TRUE(connection_->OnWritable({0}));
    }
    if ((look.revents & POLLIN) != 0 || connection_->read_wants_room()) {
      EXPECT_TRUE(connection_->Read(absl::MakeSpan(scratch_), {0}, {0}) && connection_->Work(nullptr, {0}));
    }
    return true;
  }
  // Whether the node comes to the end of what it can do, rather than to turn on and on.
  bool Rests() {
    for (int i = 0; i < kTurnsMax && !HasFailure(); ++i) {
      if (!Turn()) return true;
    }
    return false;
  }
  // In the socket, for the node.
  int BytesLeft() const {
    int bytes = 0;
    ioctl(connection_->fd(), FIONREAD, &bytes);
    return bytes;
  }
  void Send() {
    const std::string said = peer_->TakeSaid();
    EXPECT_EQ(send(end_, said.data(), said.size(), MSG_NOSIGNAL), said.size());
  }
  // The peer takes and says what it can; the node answers.
  void Exchange() {
    char bytes[16 << 10];
    ssize_t got;
    while ((got = recv(end_, bytes, sizeof bytes, 0)) > 0) peer_->Hear({bytes, static_cast<size_t>(got)});
    peer_->GoOn(&heard_);
    Send();
    ASSERT_TRUE(Rests());
  }
  void ExchangeUntilAnswered() {
    constexpr absl::string_view kAnswer = "\r\n\r\nGET /echo h ";
    const auto answered = [&] {
      return heard_.size() > kAnswer.size() && heard_.substr(heard_.size() - kAnswer.size()) == kAnswer;
    };
    for (int i = 0; i < kTurnsMax && !answered() && !HasFailure(); ++i) Exchange();
    EXPECT_TRUE(answered()) << heard_.size();
    EXPECT_FALSE(peer_->failed());
  }

  WireCounts counts_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<TlsPeer> peer_;
  int end_ = -1;
  std::unique_ptr<AcceptedConnection> connection_;
  std::vector<char> scratch_ = std::vector<char>(AcceptedConnection::kScratchBytes);
  std::string heard_;
};

TEST_F(TlsKeyChangeTest, WaitsForTheRestOfAChangeThatKeepsItFromWriting) {
  Meet(/*own_records=*/true);
  peer_->Say(kGet, 0);
  peer_->ChangeKeys(/*ask=*/true, /*first_bytes=*/4);
  Send();
  EXPECT_TRUE(Rests());
  EXPECT_EQ(routes_.handler.calls, 1);
  EXPECT_EQ(connection_->wanted_events(), uint32_t{EPOLLIN});
  peer_->FinishChangeOfKeys();
  ExchangeUntilAnswered();
}

TEST_F(TlsKeyChangeTest, WaitsForRoomAloneWhereTheAnswerToAChangeHasNone) {
  Meet(/*own_records=*/false);
  for (int i = 0; i < kTurnsMax && !connection_->read_wants_room(); ++i) {
    peer_->ChangeKeys(/*ask=*/true, 0);
    Send();
    ASSERT_TRUE(Rests());
  }
  peer_->Say(kGet, 0);
  Send();  // it stays in the socket
  EXPECT_TRUE(Rests());
  EXPECT_EQ(connection_->wanted_events(), uint32_t{EPOLLOUT});
  ExchangeUntilAnswered();
}

TEST_F(TlsKeyChangeTest, ComesBetweenTwoRecordsOfAnAnswerThatWaits) {
  Meet(/*own_records=*/false);
  // More than the socket holds, and less than what nobody is read from for.
  const std::string piece(10'000, 'b');
  peer_->Say("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", 0);
  for (int i = 0; i < 10; ++i) peer_->Say(piece, 0);
  Send();
  ASSERT_TRUE(Rests());
  EXPECT_EQ(routes_.handler.calls, 1);
  // OpenSSL answers the first when it comes to the second.
  for (int i = 0; i < 2; ++i) peer_->ChangeKeys(/*ask=*/true, 0);
  peer_->Say(kGet, 0);
  Send();
  ASSERT_TRUE(Rests());
  ExchangeUntilAnswered();
  EXPECT_GT(heard_.size(), 100'000);
}

TEST_F(TlsKeyChangeTest, IsOneTurnOfTheThreadHoweverManyFollow) {
  Meet(/*own_records=*/true);
  for (int i = 0; i < 1000; ++i) peer_->ChangeKeys(/*ask=*/false, 0);
  peer_->Say(kGet, 0);
  Send();
  EXPECT_TRUE(connection_->Read(absl::MakeSpan(scratch_), {0}, {0}));
  EXPECT_TRUE(connection_->Work(nullptr, {0}));
  EXPECT_GT(BytesLeft(), 999 * 20);
  EXPECT_EQ(routes_.handler.calls, 0);
  ExchangeUntilAnswered();
}

TEST_F(TlsKeyChangeTest, EndsWhoDoesLittleElse) {
  Meet(/*own_records=*/true);
  // So many in each second are no reason.
  MonotonicTime now{0};
  for (int second = 0; second < 3; ++second, now.ns += 1'500'000'000) {
    for (int i = 0; i < 900; ++i) peer_->ChangeKeys(/*ask=*/false, 0);
    peer_->Say(kGet, 0);
    Send();
    while (BytesLeft() > 0) {
      ASSERT_TRUE(connection_->Read(absl::MakeSpan(scratch_), {0}, now) && connection_->Work(nullptr, now));
    }
  }
  EXPECT_EQ(routes_.handler.calls, 3);
  EXPECT_EQ(counts_.errors(WireProtocol::kHttp1, WireError::kTooMany), 0);
  for (int i = 0; i < 2100; ++i) peer_->ChangeKeys(/*ask=*/false, 0);
  Send();
  bool goes_on = true;
  while (goes_on && BytesLeft() > 0) {
    goes_on = connection_->Read(absl::MakeSpan(scratch_), {0}, now) && connection_->Work(nullptr, now);
  }
  EXPECT_FALSE(goes_on);
  EXPECT_EQ(counts_.errors(WireProtocol::kHttp1, WireError::kTooMany), 1);
}

TEST_F(TlsKeyChangeTest, LeavesWhatIsKnownOfTheTimeOfOtherBytesRight) {
  Meet(/*own_records=*/true);
  for (int i = 0; i < 10; ++i) peer_->ChangeKeys(/*ask=*/false, 0);
  peer_->Say(kGet, 0);
  const MonotonicTime arrived = MonotonicNow();
  Send();
  // What is left after a read that brought nothing to the session had arrived before that read, whenever it comes to
  // it.
  for (int turn = 0; routes_.handler.calls == 0 && turn < 100; ++turn) {
    const MonotonicTime now = MonotonicNow();
    ASSERT_TRUE(connection_->Read(absl::MakeSpan(scratch_), turn == 0 ? arrived : now, now) &&
                connection_->Work(nullptr, now));
  }
  EXPECT_EQ(routes_.handler.calls, 1);
  EXPECT_LE(ArrivedSince().ns, arrived.ns);
  SetArrivedSince({0});
}

// The ClientHello `hello`, and that more is to come before the handshake is done (RFC 8446, 4.2.10): what a server that
// wants none of it has to pass over.
std::string WithEarlyData(std::string hello) {
  const auto grow = [&hello](size_t at) {
    const size_t size = 256 * static_cast<uint8_t>(hello[at]) + static_cast<uint8_t>(hello[at + 1]) + 4;
    hello[at] = static_cast<char>(size >> 8);
    hello[at + 1] = static_cast<char>(size & 0xff);
  };
  size_t at = 5 + 4 + 2 + 32;                 // heads of the record and the message, version, random number
  at += 1 + static_cast<uint8_t>(hello[at]);  // session
  at += 2 + 256 * static_cast<uint8_t>(hello[at]) + static_cast<uint8_t>(hello[at + 1]);  // ciphers
  at += 1 + static_cast<uint8_t>(hello[at]);                                              // compression
  for (const size_t size : {size_t{3}, size_t{7}, at}) grow(size);
  return hello + std::string("\0\x2a\0\0", 4);
}

TEST_F(TlsListenerTest, TakesABoundedNumberOfRecordsOfAStrangerATurn) {
  WireCounts counts;
  auto [end, connection] = Accepted(&counts, {0});
  std::vector<char> scratch(AcceptedConnection::kScratchBytes);
  Caller model(port());  // for its context
  ASSERT_TRUE(model.ShakeHands(gateway_));
  const auto left = [fd = connection->fd()] {
    int bytes = 0;
    ioctl(fd, FIONREAD, &bytes);
    return bytes;
  };
  // Empty ones do not count against what OpenSSL passes over.
  std::string said = WithEarlyData(FirstWords(SSL_get_SSL_CTX(model.ssl())));
  for (int i = 0; i < 10'000; ++i) said.append("\x17\x03\x03\0\0", 5);
  ASSERT_EQ(send(end, said.data(), said.size(), 0), said.size());
  EXPECT_TRUE(connection->Read(absl::MakeSpan(scratch), {0}, {0}));
  EXPECT_GT(left(), 9'000 * 5);
  char answer;
  EXPECT_EQ(recv(end, &answer, 1, 0), 1);
  EXPECT_EQ(answer, '\x16');  // it was taken for a greeting
  // Turn by turn, until its time is over.
  for (int before = left() + 1; left() > 0 && left() < before;) {
    before = left();
    EXPECT_TRUE(connection->Read(absl::MakeSpan(scratch), {0}, {0}));
  }
  EXPECT_EQ(left(), 0);
  EXPECT_FALSE(connection->Tick({11'000'000'000}));
  close(end);
}

TEST_F(TlsListenerTest, TakesABoundedNumberOfRecordsOfACallerATurn) {
  WireCounts counts;
  auto [end, connection] = Accepted(&counts, {0});
  std::vector<char> scratch(AcceptedConnection::kScratchBytes);
  Caller model(port());  // for its context
  ASSERT_TRUE(model.ShakeHands(gateway_));
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(SSL_get_SSL_CTX(model.ssl())), SSL_free);
  SSL_set_fd(ssl.get(), end);
  while (SSL_connect(ssl.get()) != 1) {
    ASSERT_TRUE(connection->Read(absl::MakeSpan(scratch), {0}, {0}) && connection->Work(nullptr, {0}));
  }
  while (connection->handshaking()) ASSERT_TRUE(connection->Read(absl::MakeSpan(scratch), {0}, {0}));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(SSL_write(ssl.get(), "G", 1), 1);
  ASSERT_TRUE(connection->Read(absl::MakeSpan(scratch), {0}, {0}));
  EXPECT_EQ(connection->bytes_read(), 64u);  // of two recv(2) each
  close(end);
}

TEST_F(TlsListenerTest, TakesFilesThatChangeAndKeepsTheLastGoodOnes) {
  Caller before(port());
  ASSERT_TRUE(before.ShakeHands(gateway_));
  EXPECT_EQ(*tls_->Refresh(), TlsSource::Change::kNone);
  // Half of a rotation: a certificate whose key is not there yet.
  const TlsAuthority::Pair next = other_.Sign("next");
  std::filesystem::rename(next.certificate, files_.certificate);
  const auto half = tls_->Refresh();
  EXPECT_EQ(half.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(half.status().message()), AllOf(StartsWith(files_.key), HasSubstr("key values mismatch")));
  EXPECT_EQ(*tls_->Refresh(), TlsSource::Change::kNone);  // told once
  Caller meanwhile(port());
  ASSERT_TRUE(meanwhile.ShakeHands(gateway_));
  EXPECT_THAT(meanwhile.Ask(), StartsWith("HTTP/1.1 200 OK"));
  std::filesystem::rename(next.key, files_.key);
  std::filesystem::copy_file(other_.path(), files_.client_ca, std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(*tls_->Refresh(), TlsSource::Change::kTaken);
  Caller stranger(port());
  const bool shaken = stranger.ShakeHands(gateway_);
  EXPECT_EQ(shaken ? stranger.Ask() : "", "");
  Caller moved(port());
  ASSERT_TRUE(moved.ShakeHands(other_.Sign("moved")));
  EXPECT_THAT(moved.Ask(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(before.Ask(), StartsWith("HTTP/1.1 200 OK"));  // who is connected stays so
}

TEST_F(TlsListenerTest, SaysWhichFileIsOfNoUse) {
  const std::string nowhere = folder_.Below("nowhere.pem");
  const auto error = [](const TlsFiles& files) { return std::string(TlsSource::Open(files).status().message()); };
  EXPECT_THAT(error({nowhere, files_.key, files_.client_ca}),
              AllOf(StartsWith(nowhere), HasSubstr("a certificate chain (PEM)"), HasSubstr("No such file")));
  EXPECT_THAT(error({files_.certificate, files_.certificate, files_.client_ca}),
              AllOf(StartsWith(files_.certificate), HasSubstr("the private key")));
  EXPECT_THAT(error({files_.certificate, gateway_.key, files_.client_ca}),
              AllOf(StartsWith(gateway_.key), HasSubstr("key values mismatch")));
  EXPECT_THAT(error({files_.certificate, files_.key, files_.key}),
              AllOf(StartsWith(files_.key), HasSubstr("certificates of authorities")));
}

TEST_F(TlsListenerTest, EndsWithAWordWhenItDrains) {
  Caller idle(port());
  ASSERT_TRUE(idle.ShakeHands(gateway_));
  EXPECT_THAT(idle.Ask(), StartsWith("HTTP/1.1 200 OK"));
  Caller shaking(port());
  std::thread drain([this] { listener_->Shutdown(absl::Minutes(5)); });
  char byte;
  EXPECT_EQ(SSL_get_error(idle.ssl(), SSL_read(idle.ssl(), &byte, 1)), SSL_ERROR_ZERO_RETURN);
  EXPECT_TRUE(shaking.AwaitEnd());
  shutdown(idle.fd(), SHUT_RDWR);
  drain.join();  // long before its five minutes are over
}

}  // namespace
}  // namespace sluice
