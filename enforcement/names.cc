#include "enforcement/names.h"

#include <idn2.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <random>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/check.h"

namespace sluice {
namespace {

constexpr size_t kDnsBytesMax = 253;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

absl::Status HostError(absl::string_view what, absl::string_view host) {
  return absl::InvalidArgumentError(
      absl::StrCat("host: ", what, ", got \"", absl::CHexEscape(host.substr(0, kHostBytesMax)), "\""));
}

// "h:8080" -> "h"; "[::1]:80" -> "[::1]". False where what follows the colon is no port.
bool DropPort(absl::string_view* host) {
  const size_t colon = host->rfind(':');
  if (colon == absl::string_view::npos) return true;
  if (!host->empty() && host->front() == '[' && host->back() == ']') return true;  // an IPv6 literal without a port
  const absl::string_view port = host->substr(colon + 1);
  if (port.size() > 5) return false;
  for (char c : port) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  *host = host->substr(0, colon);
  return true;
}

bool HasEmptyLabel(absl::string_view host) {
  return absl::StartsWith(host, ".") || absl::StrContains(host, "..") || absl::EndsWith(host, ".");
}

// What a byte means for a host.
enum HostByte : uint8_t { kUpper = 1, kBeyondAscii = 2, kBlank = 4, kOfAddress = 8 };
constexpr std::array<uint8_t, 256> HostBytes() {
  std::array<uint8_t, 256> bytes{};
  for (size_t c = 0; c < 256; ++c) {
    if (c >= 'A' && c <= 'Z') bytes[c] = kUpper;
    if (c >= 0x80) bytes[c] = kBeyondAscii;
    if (c <= 0x20 || c == 0x7f || c == '/') bytes[c] = kBlank;
    if (c == ':' || c == '[' || c == ']') bytes[c] = kOfAddress;
  }
  return bytes;
}
constexpr std::array<uint8_t, 256> kHostBytes = HostBytes();

uint8_t BytesMet(absl::string_view host) {
  uint8_t met = 0;
  for (char c : host) met |= kHostBytes[static_cast<unsigned char>(c)];
  return met;
}

// UTS 46 mapping and punycode. Only for hosts with a byte beyond ASCII: libidn2 allocates and takes microseconds.
absl::StatusOr<absl::string_view> IdnToAscii(absl::string_view host, std::string* buffer) {
  if (!IsUtf8(host)) return HostError("want UTF-8", host);
  const bool wildcard = absl::StartsWith(host, "*.");
  const std::string name(wildcard ? host.substr(2) : host);
  uint8_t* ascii = nullptr;
  const int rc =
      idn2_lookup_u8(reinterpret_cast<const uint8_t*>(name.c_str()), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (rc != IDN2_OK) return HostError(absl::StrCat("want an internationalised name (", idn2_strerror(rc), ")"), host);
  *buffer = absl::StrCat(wildcard ? "*." : "", reinterpret_cast<const char*>(ascii));
  idn2_free(ascii);
  return absl::string_view(*buffer);
}

// "[2001:DB8:0::1]" -> "[2001:db8::1]": else one address had many names, and a rule on one of them would miss the rest.
absl::StatusOr<absl::string_view> CanonicalLiteral(absl::string_view host, absl::string_view given,
                                                   std::string* buffer) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') {
    return HostError("want an IPv6 address between brackets, and neither colons nor brackets in a name", given);
  }
  const absl::string_view inside = host.substr(1, host.size() - 2);
  const absl::optional<AddressBlock> address = ParseAddress(inside);
  if (!address || !absl::StrContains(inside, ':')) {
    return HostError("want an IPv6 address between the brackets", given);
  }
  const std::string shown = FormatAddressBlock(*address);
  *buffer = address->v4 ? shown : absl::StrCat("[", shown, "]");
  return absl::string_view(*buffer);
}

}  // namespace

absl::StatusOr<absl::string_view> CanonicalHost(absl::string_view host, std::string* buffer) {
  const absl::string_view given = host;
  if (!DropPort(&host)) return HostError("want a port of digits after the colon", given);
  const absl::string_view literal = host;
  if (absl::EndsWith(host, ".")) host.remove_suffix(1);
  if (host.empty()) return HostError("want a name", given);
  const uint8_t met = BytesMet(host);
  if ((met & kBlank) != 0) return HostError("want a name without blanks, slashes or control characters", given);
  if ((met & kOfAddress) != 0) return CanonicalLiteral(literal, given, buffer);
  if ((met & kBeyondAscii) != 0) {
    absl::StatusOr<absl::string_view> ascii = IdnToAscii(host, buffer);
    if (!ascii.ok()) return ascii;
    host = *ascii;
    // UTS 46 maps wide forms to ASCII, of colons, slashes and brackets too.
    if ((BytesMet(host) & (kBlank | kOfAddress)) != 0) {
      return HostError("want a name without blanks, slashes, colons or brackets of any width", given);
    }
    // UTS 46 maps the ideographic full stop to ".", so a trailing one shows only now.
    if (absl::EndsWith(host, ".")) host.remove_suffix(1);
  } else if ((met & kUpper) != 0) {
    buffer->assign(host.data(), host.size());
    absl::AsciiStrToLower(buffer);
    host = *buffer;
  }
  if (host.size() > kDnsBytesMax) return HostError("want at most 253 bytes", given);
  if (host.empty() || HasEmptyLabel(host)) return HostError("want no empty label", given);
  return host;
}

absl::string_view PercentDecodeTo(absl::string_view text, char* room) {
  char* out = room;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
      if (high >= 0 && low >= 0) {
        *out++ = static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
    }
    *out++ = text[i];
  }
  return {room, static_cast<size_t>(out - room)};
}

absl::string_view PercentDecode(absl::string_view text, std::string* buffer) {
  if (!absl::StrContains(text, '%')) return text;
  buffer->resize(text.size());
  buffer->resize(PercentDecodeTo(text, &(*buffer)[0]).size());
  return *buffer;
}

absl::string_view KeyOfPath(absl::string_view path, std::string* buffer) {
  absl::string_view key = PercentDecode(path, buffer);
  if (absl::StartsWith(key, "/")) key.remove_prefix(1);
  return key;
}

namespace {

// Eight bytes at a time, the last eight overlapping those before.
bool IsAscii(absl::string_view text) {
  uint64_t eight = 0, met = 0;
  if (text.size() < 8) {
    for (const char c : text) met |= static_cast<unsigned char>(c);
    return met < 0x80;
  }
  for (size_t i = 0; i + 8 < text.size(); i += 8) {
    std::memcpy(&eight, text.data() + i, 8);
    met |= eight;
  }
  std::memcpy(&eight, text.data() + text.size() - 8, 8);
  return ((met | eight) & 0x8080808080808080u) == 0;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  if (IsAscii(text)) return true;  // nearly every name
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
    if (*p < 0xC2 || *p > 0xF4 || end - p <= more) return false;
    const unsigned char second = p[1];
    if ((*p == 0xE0 && second < 0xA0) || (*p == 0xED && second > 0x9F) || (*p == 0xF0 && second < 0x90) ||
        (*p == 0xF4 && second > 0x8F)) {
      return false;  // overlong, a surrogate, or beyond U+10FFFF
    }
    for (int i = 1; i <= more; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
    }
    p += more + 1;
  }
  return true;
}

absl::string_view LowerCase(absl::string_view text, std::string* buffer) {
  if (std::none_of(text.begin(), text.end(), absl::ascii_isupper)) return text;
  *buffer = absl::AsciiStrToLower(text);
  return *buffer;
}

absl::string_view CanonicalDigest(absl::string_view algorithm, absl::string_view digest, std::string* buffer) {
  const bool hex = absl::EqualsIgnoreCase(algorithm, "md5") || absl::StartsWithIgnoreCase(algorithm, "sha") ||
                   absl::StartsWithIgnoreCase(algorithm, "crc") || absl::StartsWithIgnoreCase(algorithm, "blake");
  return hex ? LowerCase(digest, buffer) : digest;
}

namespace {

struct Secret {
  alignas(64) unsigned char bytes[XXH3_SECRET_SIZE_MIN + 56];
};

absl::Mutex secret_mutex(absl::kConstInit);
Secret secret_room ABSL_GUARDED_BY(secret_mutex);
// Points to the room once it is filled, for good.
std::atomic<const Secret*> process_secret{nullptr};

// Fills the room with `bytes`, or at random. Returns what it holds from now on.
const Secret& FillSecret(absl::string_view bytes) {
  absl::MutexLock lock(&secret_mutex);
  const Secret* filled = process_secret.load(std::memory_order_acquire);
  if (filled != nullptr) return *filled;
  if (!bytes.empty()) {
    std::memcpy(secret_room.bytes, bytes.data(), sizeof(secret_room.bytes));
  } else {
    std::random_device device;
    for (unsigned char& byte : secret_room.bytes) byte = static_cast<unsigned char>(device());
  }
  process_secret.store(&secret_room, std::memory_order_release);
  return secret_room;
}

const Secret& ProcessSecret() {
  const Secret* const secret = process_secret.load(std::memory_order_acquire);
  return secret != nullptr ? *secret : FillSecret({});
}

}  // namespace

std::string HashSecret() {
  return std::string(reinterpret_cast<const char*>(ProcessSecret().bytes), sizeof(Secret::bytes));
}

bool AdoptHashSecret(absl::string_view secret) {
  if (secret.size() != sizeof(Secret::bytes)) return false;
  return std::memcmp(FillSecret(secret).bytes, secret.data(), secret.size()) == 0;
}

namespace {

// Of what is written to `room`, which holds it.
Hash128 HashIn(char* room, SubjectKind kind, absl::string_view a, absl::string_view b, absl::string_view c) {
  // Kind and lengths first, so that ("ab", "c") and ("a", "bc") differ.
  const uint32_t lengths[] = {static_cast<uint32_t>(a.size()), static_cast<uint32_t>(b.size())};
  room[0] = static_cast<char>(kind);
  std::memcpy(room + 1, lengths, sizeof(lengths));
  char* p = room + 1 + sizeof(lengths);
  if (!a.empty()) std::memcpy(p, a.data(), a.size());
  p += a.size();
  if (!b.empty()) std::memcpy(p, b.data(), b.size());
  p += b.size();
  if (!c.empty()) std::memcpy(p, c.data(), c.size());
  p += c.size();
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(room, static_cast<size_t>(p - room), ProcessSecret().bytes, sizeof(Secret::bytes));
  return {hash.low64, hash.high64};
}

// Out of the way of the short ones.
ABSL_ATTRIBUTE_NOINLINE Hash128 HashLong(size_t size, SubjectKind kind, absl::string_view a, absl::string_view b,
                                         absl::string_view c) {
  char room[6144];
  if (size <= sizeof(room)) return HashIn(room, kind, a, b, c);
  return HashIn(std::string(size, '\0').data(), kind, a, b, c);
}

}  // namespace

Hash128 SubjectHash(SubjectKind kind, absl::string_view a, absl::string_view b, absl::string_view c) {
  char room[256];
  const size_t size = 1 + 2 * sizeof(uint32_t) + a.size() + b.size() + c.size();
  return size <= sizeof(room) ? HashIn(room, kind, a, b, c) : HashLong(size, kind, a, b, c);
}

Hash128 SubjectHash(const AddressBlock& block) {
  const char head[2] = {static_cast<char>(block.v4), static_cast<char>(block.bits)};
  return SubjectHash(SubjectKind::kAddressBlock, absl::string_view(head, 2),
                     absl::string_view(reinterpret_cast<const char*>(block.bytes.data()), block.v4 ? 4 : 16));
}

namespace {

absl::Status CheckName(absl::string_view field, absl::string_view name, size_t bytes_max) {
  if (name.size() > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("subject.", field, ": want at most ", bytes_max, " bytes, got ", name.size()));
  }
  if (absl::StrContains(name, '\0')) {
    return absl::InvalidArgumentError(absl::StrCat("subject.", field, ": want no NUL byte"));
  }
  // What is kept travels in messages, and those carry UTF-8 alone.
  if (!IsUtf8(name)) return absl::InvalidArgumentError(absl::StrCat("subject.", field, ": want UTF-8"));
  return absl::OkStatus();
}

absl::Status CheckBounds(const Subject& subject) {
  const struct {
    absl::string_view field, name;
    size_t bytes_max;
  } bounds[] = {{"account", subject.account, kAccountBytesMax},
                {"bucket", subject.bucket, kBucketBytesMax},
                {"key", subject.key, kKeyBytesMax},
                {"prefix", subject.prefix, kKeyBytesMax},
                {"version_id", subject.version_id, kIdBytesMax},
                {"hash.algorithm", subject.hash.algorithm, 64},
                {"hash.digest", subject.hash.digest, kIdBytesMax},
                {"host", subject.host, kHostBytesMax},
                {"path", subject.path, kKeyBytesMax}};
  for (const auto& bound : bounds) {
    if (absl::Status status = CheckName(bound.field, bound.name, bound.bytes_max); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Subject> CanonicalSubject(const Subject& given) {
  if (absl::Status status = CheckBounds(given); !status.ok()) return status;
  const int scopes = !given.account.empty() + !given.bucket.empty() + !given.hash.empty() + !given.host.empty() +
                     !given.client_ip.empty();
  if (scopes != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "subject: want exactly one of account, bucket, hash, host, client_ip, got ", scopes == 0 ? "none" : "several"));
  }
  if (given.bucket.empty() && !(given.key.empty() && given.prefix.empty() && given.version_id.empty())) {
    return absl::InvalidArgumentError("subject: key, prefix and version_id want a bucket");
  }
  if (given.host.empty() && !given.path.empty()) return absl::InvalidArgumentError("subject.path: wants a host");
  Subject subject = given;
  std::string buffer;
  if (!subject.bucket.empty()) {
    if (!subject.key.empty() && !subject.prefix.empty()) {
      return absl::InvalidArgumentError("subject: want key or prefix, got both");
    }
    if (!subject.version_id.empty() && subject.key.empty()) {
      return absl::InvalidArgumentError("subject.version_id: wants a key");
    }
    if (!subject.prefix.empty() && subject.prefix.back() != '/') {
      return absl::InvalidArgumentError(
          absl::StrCat("subject.prefix: want it to end with \"/\", got \"", subject.prefix, "\""));
    }
  } else if (!subject.hash.empty()) {
    if (subject.hash.algorithm.empty() || subject.hash.digest.empty()) {
      return absl::InvalidArgumentError("subject.hash: want both algorithm and digest");
    }
    absl::AsciiStrToLower(&subject.hash.algorithm);
    subject.hash.digest = std::string(CanonicalDigest(subject.hash.algorithm, given.hash.digest, &buffer));
  } else if (!subject.host.empty()) {
    const absl::StatusOr<absl::string_view> host = CanonicalHost(given.host, &buffer);
    if (!host.ok()) return absl::Status(host.status().code(), absl::StrCat("subject.", host.status().message()));
    subject.host = std::string(*host);
    if (absl::StrContains(absl::StripPrefix(subject.host, "*."), '*')) {
      return absl::InvalidArgumentError(
          absl::StrCat("subject.host: want \"*\" only as the whole first label, got \"", subject.host, "\""));
    }
    if (!subject.path.empty()) {
      if (absl::StartsWith(subject.host, "*.")) {
        return absl::InvalidArgumentError("subject.path: wants one host, not \"*.\"");
      }
      subject.path = std::string(PercentDecode(given.path, &buffer));
      if (!IsUtf8(subject.path)) {
        return absl::InvalidArgumentError("subject.path: want UTF-8 once it is percent-decoded");
      }
      if (subject.path.front() != '/') subject.path.insert(0, 1, '/');
    }
  } else if (!subject.client_ip.empty()) {
    const absl::optional<AddressBlock> block = ParseAddressBlock(subject.client_ip);
    if (!block) {
      return absl::InvalidArgumentError(
          absl::StrCat("subject.client_ip: want an IPv4 or IPv6 address or CIDR block, got \"",
                       absl::CHexEscape(subject.client_ip.substr(0, 64)), "\""));
    }
    subject.client_ip = FormatAddressBlock(*block);
  }
  return subject;
}

SubjectKey KeyOf(const Subject& subject) {
  if (!subject.account.empty()) return {SubjectKind::kAccount, SubjectHash(SubjectKind::kAccount, subject.account)};
  if (!subject.bucket.empty()) {
    if (!subject.prefix.empty()) {
      return {SubjectKind::kPrefix, SubjectHash(SubjectKind::kPrefix, subject.bucket, subject.prefix)};
    }
    if (!subject.version_id.empty()) {
      return {SubjectKind::kObjectVersion,
              SubjectHash(SubjectKind::kObjectVersion, subject.bucket, subject.key, subject.version_id)};
    }
    if (!subject.key.empty()) {
      return {SubjectKind::kObject, SubjectHash(SubjectKind::kObject, subject.bucket, subject.key)};
    }
    return {SubjectKind::kBucket, SubjectHash(SubjectKind::kBucket, subject.bucket)};
  }
  if (!subject.hash.empty()) {
    return {SubjectKind::kHash, SubjectHash(SubjectKind::kHash, subject.hash.algorithm, subject.hash.digest)};
  }
  if (!subject.host.empty()) {
    if (!subject.path.empty()) return {SubjectKind::kUrl, SubjectHash(SubjectKind::kUrl, subject.host, subject.path)};
    const absl::string_view below = absl::StripPrefix(subject.host, "*.");
    const SubjectKind kind = below.size() < subject.host.size() ? SubjectKind::kHostsBelow : SubjectKind::kHost;
    return {kind, SubjectHash(kind, below)};
  }
  if (const absl::optional<AddressBlock> block = ParseAddressBlock(subject.client_ip)) {
    return {SubjectKind::kAddressBlock, SubjectHash(*block)};
  }
  return {};
}

std::string Describe(const Subject& subject) {
  if (!subject.account.empty()) return absl::StrCat("account ", subject.account);
  if (!subject.prefix.empty()) return absl::StrCat("prefix ", subject.bucket, "/", subject.prefix);
  if (!subject.version_id.empty()) {
    return absl::StrCat("object ", subject.bucket, "/", subject.key, " version ", subject.version_id);
  }
  if (!subject.key.empty()) return absl::StrCat("object ", subject.bucket, "/", subject.key);
  if (!subject.bucket.empty()) return absl::StrCat("bucket ", subject.bucket);
  if (!subject.hash.empty()) return absl::StrCat(subject.hash.algorithm, " ", subject.hash.digest);
  if (!subject.path.empty()) return absl::StrCat("URL ", subject.host, subject.path);
  if (!subject.host.empty()) return absl::StrCat("host ", subject.host);
  if (!subject.client_ip.empty()) return absl::StrCat("address ", subject.client_ip);
  return "everyone";
}

}  // namespace sluice
