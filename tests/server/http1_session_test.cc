// HTTP/1.1 as RFC 9112 wants it, and refused where two readers could differ.
#include "server/listen/http1_session.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "echo_methods.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Http1SessionTest : public testing::Test {
 protected:
  Http1SessionTest() { Renew(); }
  void Renew() {
    session_ = std::make_unique<Http1Session>(&routes_.router, &limits_, now_);
    unread_.clear();
  }

  std::string Send(absl::string_view bytes) {
    unread_.append(bytes.data(), bytes.size());
    unread_.erase(0, session_->Receive(absl::MakeSpan(unread_), now_));
    std::string out;
    std::swap(out, session_->out());
    return out;
  }
  std::string Drip(absl::string_view bytes) {
    std::string out;
    for (const char c : bytes) out += Send(absl::string_view(&c, 1));
    return out;
  }
  static std::string Body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }
  void Advance(absl::Duration by) {
    now_.ns += absl::ToInt64Nanoseconds(by);
    session_->Tick(now_);
  }
  // `request` is refused with this status, and the connection ends; however it arrives.
  void ExpectRefused(const std::string& request, int status) {
    for (const bool drip : {false, true}) {
      Renew();
      const std::string response = drip ? Drip(request) : Send(request);
      EXPECT_THAT(response, StartsWith(absl::StrCat("HTTP/1.1 ", status, " "))) << request;
      EXPECT_THAT(response, HasSubstr("\r\nConnection: close\r\n"));
      EXPECT_TRUE(session_->finished());
    }
    EXPECT_EQ(routes_.handler.calls, 0) << request;
  }

  EchoRoutes routes_;
  SessionLimits limits_;
  MonotonicTime now_{1'000'000'000'000};
  std::unique_ptr<Http1Session> session_;
  std::string unread_;
};

TEST_F(Http1SessionTest, AnswersARequest) {
  const std::string response = Send("GET /echo?q=1 HTTP/1.1\r\nHost: h:80\r\nX-Ask:  a b \r\n\r\n");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(response, HasSubstr(" GMT\r\nContent-Length: 19\r\nx-echo: a b\r\n\r\n"));
  EXPECT_EQ(Body(response), "GET /echo?q=1 h:80 ");
  EXPECT_FALSE(session_->finished());
}

TEST_F(Http1SessionTest, AnswersWhatIsPipelinedInOrderHoweverItArrives) {
  std::string requests;
  for (int i = 0; i < 5; ++i) {
    absl::StrAppend(&requests, "GET /deep/", i, " HTTP/1.1\r\nHost: h\r\n\r\n",
                    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", i, i);
  }
  const std::string whole = Send(requests);
  EXPECT_THAT(whole, HasSubstr("GET /deep/4 h "));
  EXPECT_LT(whole.find("GET /deep/0"), whole.find("POST /echo h 00"));
  EXPECT_LT(whole.find("POST /echo h 00"), whole.find("GET /deep/1"));
  Renew();
  EXPECT_EQ(Drip(requests), whole);
}

TEST_F(Http1SessionTest, ReadsChunkedBodies) {
  const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n";
  const std::string body = "3\r\nabc\r\n0A;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  EXPECT_EQ(Body(Send(head + body)), "POST /echo h abc0123456789");
  EXPECT_EQ(Body(Drip(head + body)), "POST /echo h abc0123456789");
  EXPECT_EQ(Body(Send(head + "0\r\n\r\n")), "POST /echo h ");
}

TEST_F(Http1SessionTest, SaysContinueOnlyWhereItIsWaitedFor) {
  const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(Send(head), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(Body(Send("abc")), "POST /echo h abc");
  EXPECT_THAT(Send(head + "abc"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(Send(absl::StrCat("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n",
                                "\r\n")),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(Http1SessionTest, SaysContinueBeforeChunksToo) {
  EXPECT_EQ(Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"),
            "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(Body(Send("1\r\na\r\n0\r\n\r\n")), "POST /echo h a");
}

TEST_F(Http1SessionTest, KeepsAliveAsAsked) {
  Send("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n");
  EXPECT_FALSE(session_->finished());
  EXPECT_THAT(Send("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n"),
              HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(session_->finished());
  Renew();
  EXPECT_THAT(Send("GET /echo HTTP/1.0\r\n\r\n"), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(session_->finished());
  Renew();
  EXPECT_THAT(Send("GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
              HasSubstr("\r\nConnection: keep-alive\r\n"));
  EXPECT_FALSE(session_->finished());
}

TEST_F(Http1SessionTest, SendsNoBodyWhereThereIsNone) {
  std::string response = Send("HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(response, HasSubstr("\r\nContent-Length: 13\r\n"));
  EXPECT_EQ(Body(response), "");
  routes_.handler.status = 204;
  response = Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(response, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(Body(response), "");
}

TEST_F(Http1SessionTest, TakesTheAbsoluteForm) {
  EXPECT_EQ(Body(Send("GET http://other:81/echo?x HTTP/1.1\r\nHost: h\r\n\r\n")), "GET /echo?x other:81 ");
  EXPECT_THAT(Send("GET HTTP://other HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(Send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(Http1SessionTest, LetsNoDoorWriteALineOfItsOwn) {
  // No request can bring one in; a door that decodes what it was given could.
  class Careless final : public HttpHandler {
   public:
    void Answer(const HttpRequest& request, HttpResponse* response) override {
      response->headers.emplace_back("x-id", "a\r\nSet-Cookie: b");
    }
  } careless;
  routes_.router.AddHttp("/careless", &careless);
  EXPECT_THAT(Send("GET /careless HTTP/1.1\r\nHost: h\r\n\r\n"), HasSubstr("\r\nx-id: a  Set-Cookie: b\r\n"));
}

TEST_F(Http1SessionTest, RefusesWhatIsMalformed) {
  for (const char* request : {
           "GET /echo\r\n\r\n",
           "GET  /echo HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /echo HTTP/1.1 \r\nHost: h\r\n\r\n",
           "GET /echo http/1.1\r\nHost: h\r\n\r\n",
           "G\xc3\x84T /echo HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET echo HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /ec\xc3\xa4ho HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /echo#f HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET http://u@h/echo HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET /echo HTTP/1.1\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h/x\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost : h\r\n\r\n",
           "GET /echo HTTP/1.1\r\n Host: h\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n",
           "GET /echo HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
           "GET /echo HTTP/1.1\nHost: h\n\n",
           "GET /echo HTTP/1.1\r\nHost: h\n\r\n",
           "\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
       }) {
    ExpectRefused(request, 400);
  }
  ExpectRefused("GET /echo HTTP/2.0\r\nHost: h\r\n\r\n", 505);
  ExpectRefused("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: a miracle\r\n\r\n", 417);
}

TEST_F(Http1SessionTest, RefusesWhatCouldSmuggleARequest) {
  const std::string post = "POST /echo HTTP/1.1\r\nHost: h\r\n";
  for (const char* framing : {
           "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
           "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
           "Content-Length: 3, 3\r\n\r\nabc",
           "Content-Length: +3\r\n\r\nabc",
           "Content-Length: -3\r\n\r\nabc",
           "Content-Length: 0x3\r\n\r\nabc",
           "Content-Length: 3 4\r\n\r\nabc",
           "Content-Length:\r\n\r\n",
           "Content-Length: 99999999999999999999\r\n\r\n",
           "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n000000003\r\nabc\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
       }) {
    ExpectRefused(post + framing, 400);
  }
  ExpectRefused(post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
  ExpectRefused(post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501);
  ExpectRefused("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

TEST_F(Http1SessionTest, BoundsWhatARequestMayHold) {
  ExpectRefused(absl::StrCat("GET /", std::string(20'000, 'x')), 431);
  std::string many = "GET /echo HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 130; ++i) absl::StrAppend(&many, "a:b\r\n");
  ExpectRefused(many + "\r\n", 431);
  ExpectRefused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413);
  ExpectRefused("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", 413);
  ExpectRefused(
      absl::StrCat("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;", std::string(5000, 'x')),
      400);
}

TEST_F(Http1SessionTest, CutsWhoTakesTooLong) {
  Send("GET /echo HT");
  Advance(absl::Seconds(31));
  EXPECT_THAT(session_->out(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(session_->finished());
  Renew();
  Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  Advance(absl::Minutes(9));
  EXPECT_FALSE(session_->finished());
  Advance(absl::Minutes(2));
  EXPECT_TRUE(session_->finished());
  EXPECT_EQ(session_->out(), "");
}

TEST_F(Http1SessionTest, DrainsAfterTheRequestUnderWay) {
  Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
  session_->Drain(now_);
  EXPECT_FALSE(session_->finished());
  EXPECT_THAT(Send("bc"), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_TRUE(session_->finished());
  Renew();
  session_->Drain(now_);
  EXPECT_TRUE(session_->finished());
}

TEST_F(Http1SessionTest, RefusesABodyThatThereIsNoRoomFor) {
  BufferBudget budget(0);
  for (const bool chunked : {false, true}) {
    WireCounts counts;
    BufferShare share(&budget);
    Renew();
    session_->CountIn(&counts);
    session_->DrawOn(&share);
    // What is a connection's own is left to it.
    EXPECT_THAT(Drip("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"), StartsWith("HTTP/1.1 200 "));
    const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\n";
    std::string response =
        Send(head + (chunked ? "Transfer-Encoding: chunked\r\n\r\n7ffff\r\n" : "Content-Length: 524287\r\n\r\n"));
    for (int i = 0; i < 20 && response.empty(); ++i) response = Send(std::string(20'000, 'b'));
    EXPECT_THAT(response, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
    EXPECT_THAT(response, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_TRUE(session_->finished());
    EXPECT_EQ(counts.errors(WireProtocol::kHttp1, WireError::kNoRoom), 1);
    session_.reset();  // before what it draws on
  }
}

}  // namespace
}  // namespace sluice
