// A connection of the data path by TLS, from its first byte to its last, as typed operations of its peer and of time:
// hands shaken in whatever pieces, records of any size, bytes on the way that are changed, lost, sent twice or made up,
// ends of all kinds. What must hold: what the session is given is what the peer said, in order, and nothing from where
// the records were touched; what the session says arrives; nobody without a certificate is heard; what waits in OpenSSL
// is not left behind, and nothing spins; and all of it in bounded memory, whatever other connections left in OpenSSL's
// queue of errors.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/listen/connection.h"
#include "server/listen/tls_source.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/openssl_hooks.h"
#include "tests/server/echo_methods.h"
#include "tests/server/tls_authority.h"
#include "tests/server/tls_peer.h"

namespace sluice {
namespace {

constexpr size_t kNowhere = SIZE_MAX;
constexpr absl::string_view kGet = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
// Of one connection, in OpenSSL: a ClientHello of 128 kB, which a stranger may announce, and the buffers of both ways.
constexpr size_t kNodeBytesMax = size_t{256} << 10;
// More than OpenSSL and the kernel make of one another's offers; a turn after that is one too many.
constexpr int kVainTurnsMax = 8;
// What its queue of errors keeps of texts.
constexpr size_t kLeftBytesMax = size_t{2} << 10;
constexpr size_t kSaidMax = size_t{3} << 19;

void Require(bool holds) {
  if (!holds) abort();
}

// What each side has to say on one connection, and never comes to the end of.
std::string Speech(uint32_t factor) {
  std::string speech(kSaidMax + (size_t{64} << 10), '\0');
  for (uint32_t i = 0; i < speech.size(); ++i) speech[i] = static_cast<char>(i * factor >> 13);
  return speech;
}
absl::string_view OfPeer(size_t at, size_t size) {
  static const std::string* const speech = new std::string(Speech(2654435761));
  return absl::string_view(*speech).substr(at, size);
}
absl::string_view OfNode(size_t at, size_t size) {
  static const std::string* const speech = new std::string(Speech(2246822519));
  return absl::string_view(*speech).substr(at, size);
}

// Made once: one listener's certificates, and three sorts of callers.
struct World {
  World() {
    signal(SIGPIPE, SIG_IGN);  // as in the node
    OpensslHooks::Install();
    std::string folder = (std::filesystem::temp_directory_path() / "sluice.XXXXXX").string();
    Require(mkdtemp(folder.data()) != nullptr);
    TlsAuthority authority(folder, "authority"), other(folder, "other");
    const TlsAuthority::Pair node = authority.Sign("node"), gateway = authority.Sign("gateway"),
                             stranger = other.Sign("stranger");
    auto opened = TlsSource::Open({node.certificate, node.key, authority.path()});
    Require(opened.ok());
    source = *std::move(opened);
    known = TlsPeer::NewContext(gateway.certificate, gateway.key);
    unknown = TlsPeer::NewContext(stranger.certificate, stranger.key);
    nobody = TlsPeer::NewContext("", "");
    std::filesystem::remove_all(folder);
  }
  std::unique_ptr<TlsSource> source;
  SSL_CTX *known, *unknown, *nobody;
  bool warm = false;  // OpenSSL has made what it makes once
  std::vector<char> scratch = std::vector<char>(AcceptedConnection::kScratchBytes);
};

// What one session has been given and has said; outlives it.
struct Book {
  size_t bound = 0;  // so much may be given, at most
  size_t unit = 1;   // taken in whole ones
  size_t taken = 0;  // done with
  size_t given = 0;  // together with what is to come again
  size_t said = 0;
  size_t to_say = 0;  // when it is told that something changed
  bool to_finish = false;
  bool finished = false;
};

absl::string_view Requests(size_t at, size_t size) {
  static const std::string* const requests = [] {
    auto* const all = new std::string;
    while (all->size() < kGet.size() + TlsPeer::kRecordBytes) absl::StrAppend(all, kGet);
    return all;
  }();
  return absl::string_view(*requests).substr(at % kGet.size(), size);
}

class BookedSession final : public Session {
 public:
  explicit BookedSession(Book* book) : book_(book) {}
  WireProtocol protocol() const override { return WireProtocol::kHttp1; }
  size_t Receive(absl::Span<char> bytes, MonotonicTime now) override {
    if (finished_) return bytes.size();
    Require(book_->taken + bytes.size() <= book_->bound);
    Require(absl::string_view(bytes.data(), bytes.size()) == OfPeer(book_->taken, bytes.size()));
    book_->given = std::max(book_->given, book_->taken + bytes.size());
    const size_t done = bytes.size() / book_->unit * book_->unit;
    book_->taken += done;
    std::fill_n(bytes.begin(), done, '~');
    return done;
  }
  void Tick(MonotonicTime now) override {}
  void OnWatchedChanged() override {
    if (finished_) return;
    absl::StrAppend(&out_, OfNode(book_->said, book_->to_say));
    book_->said += std::exchange(book_->to_say, 0);
    finished_ = book_->finished = book_->to_finish;
  }
  void Drain(MonotonicTime now) override { finished_ = book_->finished = true; }

 private:
  Book* const book_;
};

class Run {
 public:
  Run(World* world, const uint8_t* data, size_t size) : world_(world), choices_(data, size) {
    OpensslHooks::Restart();
    const int what = choices_.Byte();
    TlsPeer::Kind kind;
    if ((what & 1) != 0) kind.version = TLS1_2_VERSION;
    modern_ = kind.version == TLS1_3_VERSION;
    kind.own_records = own_records_ = modern_ && (what & 2) != 0;
    if ((what & 32) != 0) kind.record_bytes_max = record_bytes_max_ = record_bytes_ = 512;  // the least that there is
    http_ = (what & 4) != 0;
    scarce_ = (what & 8) != 0;
    constexpr std::array<absl::string_view, 8> kProtocols = {
        "", "", "", "", "\2h2", "\10http/1.1\2h2", "\10http/1.1", "\3ftp"};
    kind.protocols = kProtocols[choices_.Of(8)];
    const int who = choices_.Of(8);
    SSL_CTX* const context = who == 6 ? world->nobody : who == 7 ? world->unknown : world->known;
    welcome_ = context == world->known && kind.protocols != kProtocols[7];
    constexpr std::array<size_t, 6> kUnits = {1, 2, 100, 5000, 17000, 40000};
    book_.unit = kUnits[choices_.Of(6)];
    peer_ = std::make_unique<TlsPeer>(context, kind);
    int ends[2];
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    end_ = ends[0];
    node_end_ = ends[1];
    if ((what & 16) != 0) {  // as little as the kernel gives
      const int least = 1;
      setsockopt(node_end_, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    }
    bytes_before_ = OpensslHooks::node_bytes();
    OpensslHooks::TakeMost();
    const OpensslHooks::OfNode of_node;
    std::unique_ptr<Session> session;
    if (!http_) session = std::make_unique<BookedSession>(&book_);
    connection_ =
        std::make_unique<AcceptedConnection>(node_end_, &routes_.router, &limits_, scarce_ ? &budget_ : nullptr,
                                             &counts_, now_, std::move(session), world->source->Accept(node_end_));
  }
  ~Run() {
    if (end_ >= 0) close(end_);
  }

  void Go() {
    for (int step = 0; step < 200 && choices_.more(); ++step) Step();
    Settle();
    if (peer_->established() && !peer_->failed()) peer_->FinishChangeOfKeys();
    Settle();
    Look();
    End();
  }

 private:
  void Step() {
    switch (choices_.Of(24)) {
      case 0:
      case 1:
        Settle();
        break;
      case 2:
        Move();
        break;
      case 3:
        Send(Size());
        break;
      case 4:
        Send(kNowhere);
        break;
      case 5:
        Turn();
        break;
      case 6:
        TakeFromNode(Size());
        break;
      case 7:
      case 8:
        Say(Size());
        break;
      case 9:
        for (int left = choices_.Byte(); left > 0; --left) Say(1);
        break;
      case 10:
      case 11:
        Answer(Size());
        break;
      case 12: {
        const bool ask = choices_.Of(2) == 1;
        const auto first_bytes = static_cast<size_t>(choices_.Of(6));
        if (modern_ && CanSpeak()) peer_->ChangeKeys(ask, first_bytes);
        break;
      }
      case 13:
        if (!modern_ && CanSpeak()) {
          peer_->Renegotiate();
          odd_ = true;
        }
        break;
      case 14:
        if (CanSpeak()) {
          peer_->SayEnd();
          ended_ = true;
          end_of_plain_ = std::min(end_of_plain_, plain_);
        }
        break;
      case 15:
        shutdown(end_, SHUT_WR);
        ended_ = true;
        break;
      case 16: {
        const size_t place = Place();
        const int bit = choices_.Of(8);
        if (place < wire_.size()) wire_[place] ^= static_cast<char>(1 << bit);
        break;
      }
      case 17: {
        const size_t place = Place();
        wire_.erase(place, Size());
        break;
      }
      case 18: {
        const size_t place = Place();
        const size_t from = honest_.size() * choices_.Byte() / 256;
        wire_.insert(place, honest_, from, Size());
        break;
      }
      case 19: {
        const size_t place = Place();
        wire_.insert(place, Text());
        break;
      }
      case 20: {
        constexpr std::array<uint8_t, 7> kTypes = {22, 22, 23, 21, 20, 24, 0};
        const uint8_t type = kTypes[static_cast<size_t>(choices_.Of(7))];
        const std::string content = Text();
        const size_t padding = choices_.Byte();
        if (!own_records_ || !CanSpeak()) break;
        peer_->Seal(type, type == TlsPeer::kApplicationData ? "" : content, padding);
        odd_ = true;
        break;
      }
      case 21:
        PassTime();
        break;
      case 22:
        record_bytes_ = std::min(record_bytes_max_, size_t{1} << choices_.Of(15));
        padding_ = size_t{1} << choices_.Of(13);
        peer_->PadTo(padding_);
        break;
      default:
        if (choices_.Of(2) == 0) {
          drained_ = true;
          CallNode([this] { return connection_->Drain(now_); });
        } else {
          book_.to_finish = true;
          Answer(Size());
        }
    }
  }

  // Small ones often.
  size_t Size() {
    const int kind = choices_.Of(4);
    const size_t low = choices_.Byte();
    return kind < 2 ? low : kind == 2 ? low << 4 : low << 8;
  }
  size_t Place() { return wire_.size() * choices_.Byte() / 256; }
  std::string Text() {
    std::string text;
    for (int left = choices_.Of(24); left > 0; --left) text.push_back(static_cast<char>(choices_.Byte()));
    return text;
  }

  // The peer.

  bool CanSpeak() const { return peer_->established() && !peer_->failed(); }

  // It does what it can; what it says is on its way then.
  bool Move() {
    std::string plain;
    const bool moved = peer_->GoOn(&plain);
    if (http_) {
      heard_text_ += plain;
    } else {
      Require(heard_ + plain.size() <= book_.said && plain == OfNode(heard_, plain.size()));
    }
    heard_ += plain.size();
    Dispatch();
    if (finished_at_ == kNowhere && peer_->established()) finished_at_ = honest_.size();
    return moved;
  }
  void Dispatch() {
    const std::string said = peer_->TakeSaid();
    wire_ += said;
    honest_ += said;
  }
  void Say(size_t size) {
    Move();
    while (size > 0 && CanSpeak() && honest_.size() < kSaidMax) {
      const size_t piece = std::min(size, record_bytes_);
      if (!peer_->Say(http_ ? Requests(plain_, piece) : OfPeer(plain_, piece), padding_)) return;
      Dispatch();
      plain_ += piece;
      size -= piece;
      records_.emplace_back(honest_.size(), plain_);
    }
  }
  // Up to `size` bytes of what is on its way arrive. Whether any did.
  bool Send(size_t size) {
    size = std::min(size, wire_.size());
    const ssize_t sent = size == 0 ? 0 : send(end_, wire_.data(), size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    for (size_t i = 0; touched_at_ == kNowhere && i < static_cast<size_t>(sent); ++i) {
      if (sent_ + i >= honest_.size() || honest_[sent_ + i] != wire_[i]) touched_at_ = sent_ + i;
    }
    sent_ += static_cast<size_t>(sent);
    wire_.erase(0, static_cast<size_t>(sent));
    return true;
  }
  bool TakeFromNode(size_t size) {
    bool any = false;
    char bytes[16 << 10];
    while (size > 0) {
      const ssize_t got = recv(end_, bytes, std::min(size, sizeof bytes), 0);
      if (got <= 0) break;
      any = true;
      from_node_ += static_cast<size_t>(got);
      size -= static_cast<size_t>(got);
      peer_->Hear({bytes, static_cast<size_t>(got)});
    }
    return any;
  }

  // The node.

  // So much of what the peer said may be handed out: what is in records that have arrived whole. What comes before
  // hands are shaken is not all protected, but then there is nothing to hand out that the peer did not say.
  size_t Bound() const {
    if (!welcome_) return 0;
    if (touched_at_ < finished_at_) return std::min(plain_, end_of_plain_);
    const size_t arrived = std::min(sent_, touched_at_);
    const auto behind =
        std::upper_bound(records_.begin(), records_.end(), arrived,
                         [](size_t at, const std::pair<size_t, size_t>& record) { return at < record.first; });
    return behind == records_.begin() ? 0 : std::min(std::prev(behind)->second, end_of_plain_);
  }
  // Honest and welcome: it is served until it wants no more.
  bool MayBeCut() const {
    return !welcome_ || touched_at_ != kNowhere || odd_ || ended_ || passed() || drained_ || book_.finished ||
           may_lack_room();
  }

  template <typename Call>
  void CallNode(Call call) {
    if (connection_ == nullptr) return;
    book_.bound = Bound();
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);  // of another connection
    bool goes_on = false;
    {
      const OpensslHooks::OfNode of_node;
      goes_on = call();
    }
    Require(OpensslHooks::TakeMost() <= bytes_before_ + kNodeBytesMax);
    if (http_) Require(static_cast<size_t>(routes_.handler.calls) <= book_.bound / kGet.size());
    if (goes_on) return;
    Require(MayBeCut());
    connection_.reset();
  }
  // What a thread of the listener does when the socket has something for it. Whether it had.
  bool Turn() {
    if (connection_ == nullptr) return false;
    pollfd look = {node_end_, static_cast<short>(connection_->wanted_events()), 0};  // the same numbers as of epoll
    if (poll(&look, 1, 0) <= 0) return false;
    const auto before = Progress();
    CallNode([&] {
      bool goes_on = true;
      if ((look.revents & POLLOUT) != 0) goes_on = connection_->OnWritable(now_);
      if (goes_on && ((look.revents & (POLLIN | POLLHUP | POLLERR)) != 0 || connection_->read_wants_room())) {
        goes_on = connection_->Read(absl::MakeSpan(world_->scratch), MonotonicTime{0}, now_) &&
                  connection_->Work(nullptr, now_);
      }
      return goes_on;
    });
    vain_turns_ = connection_ != nullptr && before == Progress() ? vain_turns_ + 1 : 0;
    Require(vain_turns_ <= kVainTurnsMax);
    return true;
  }
  std::tuple<int, size_t, size_t, uint32_t> Progress() const {
    int unread = 0, untaken = 0;
    ioctl(node_end_, FIONREAD, &unread);
    ioctl(end_, FIONREAD, &untaken);
    return {unread, from_node_ + static_cast<size_t>(untaken), book_.taken, connection_->wanted_events()};
  }
  void Answer(size_t size) {
    if (connection_ == nullptr || connection_->handshaking() || http_ || book_.said > kSaidMax) return;
    book_.to_say = size;
    CallNode([this] { return connection_->OnWatchedChanged(now_); });
  }
  void PassTime() {
    constexpr std::array<int64_t, 4> kTimes = {1'000'000, 1'000'000'000, 3'000'000'000, 31'000'000'000};
    passed_ns_ += kTimes[choices_.Of(4)];
    now_.ns = kBegan.ns + passed_ns_;
    CallNode([this] { return connection_->Tick(now_); });
  }

  // Both.

  // Until nobody has anything to do.
  void Settle() {
    for (bool moved = true; moved;) {
      moved = Move();
      moved |= Send(kNowhere);
      while (Turn()) moved = true;
      moved |= TakeFromNode(kNowhere);
    }
  }
  // All that was to arrive has.
  void Look() const {
    if (!welcome_ || touched_at_ != kNowhere || odd_ || passed() || may_lack_room()) return;
    if (sent_ < finished_at_) {  // it went away before its hands were shaken
      Require(ended_ || drained_ || sent_ < honest_.size());
      return;
    }
    Require(!peer_->failed());
    const bool finished = drained_ || book_.finished;
    // Whoever is in the middle of new keys is not told everything.
    const bool is_told_all = !own_records_ || sent_ == honest_.size();
    // Who has said that nothing follows, and has all that it is owed, is done with.
    if (ended_ && !finished && sent_ == honest_.size()) Require(connection_ == nullptr);
    if (http_) {
      const auto calls = static_cast<size_t>(routes_.handler.calls);
      if (!finished) Require(calls == Bound() / kGet.size());
      size_t answers = 0;
      for (size_t at = 0; (at = heard_text_.find("HTTP/1.1 200 OK\r\n", at)) != std::string::npos; ++at) ++answers;
      if (is_told_all) Require(answers == calls);
      return;
    }
    if (!finished) Require(book_.given == Bound());
    if (is_told_all) Require(heard_ == book_.said);
  }
  // Each ends: one that shakes no hands by time, others when the peer is gone.
  void End() {
    if (http_ && connection_ != nullptr && connection_->handshaking()) {
      now_.ns += 11'000'000'000;
      Require(!connection_->Tick(now_));
      connection_.reset();
    }
    close(std::exchange(end_, -1));
    ended_ = true;
    while (Turn()) {
    }
    Require(connection_ == nullptr);
    ERR_clear_error();
    Require(!world_->warm || OpensslHooks::node_bytes() <= bytes_before_ + kLeftBytesMax);
  }

  // Where there is memory for nobody, who takes no answers is cut.
  bool may_lack_room() const { return scarce_ && (http_ || book_.said > BufferShare::kOwnBytes); }
  // More than anybody has to have patience for.
  bool passed() const { return passed_ns_ >= 2'000'000'000; }

  static constexpr MonotonicTime kBegan{1'000'000'000'000};

  World* const world_;
  Choices choices_;
  bool modern_ = true, own_records_ = false, http_ = false, scarce_ = false;
  bool welcome_ = true;
  // What happened.
  bool odd_ = false;    // the peer said under its keys what it should not
  bool ended_ = false;  // it says nothing more
  int64_t passed_ns_ = 0;
  bool drained_ = false;

  EchoRoutes routes_;
  SessionLimits limits_;
  BufferBudget budget_{0};
  WireCounts counts_;
  MonotonicTime now_ = kBegan;
  Book book_;
  int end_ = -1, node_end_ = -1;
  size_t bytes_before_ = 0;
  std::unique_ptr<AcceptedConnection> connection_;
  int vain_turns_ = 0;
  size_t from_node_ = 0;

  std::unique_ptr<TlsPeer> peer_;
  size_t record_bytes_max_ = TlsPeer::kRecordBytes, record_bytes_ = record_bytes_max_, padding_ = 0;
  std::string honest_;                              // all that it said
  std::string wire_;                                // of which so much has not arrived, or something else in its place
  size_t sent_ = 0;                                 // what arrived
  size_t touched_at_ = kNowhere;                    // the first byte of it that is not what it said
  size_t finished_at_ = kNowhere;                   // from here it said things under its keys
  std::vector<std::pair<size_t, size_t>> records_;  // where one ends, of `honest_` and of what is in them
  size_t plain_ = 0;                                // what it said, without TLS
  size_t end_of_plain_ = kNowhere;                  // before it said that nothing follows
  size_t heard_ = 0;
  std::string heard_text_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static sluice::World* const world = [] {
    auto* const made = new sluice::World();
    for (const uint8_t what : {0, 1}) sluice::Run(made, &what, 1).Go();
    made->warm = true;
    return made;
  }();
  sluice::Run(world, data, size).Go();
  return 0;
}
