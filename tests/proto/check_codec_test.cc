// The codec beside the library: the same reading and the same refusal of whatever bytes, the same bytes of an answer.
#include "proto/check_codec.h"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "enforcement/names.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/unknown_field_set.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "proto/wire.h"
#include "sluice/v1/check.pb.h"

namespace sluice {
namespace {

// All that a message says, to compare: translated back, so that views are followed.
std::string Told(const CheckInput& input) {
  v1::CheckRequest message;
  ToProto(input, &message);
  return message.SerializeAsString();
}

// Empty where both agree on `bytes`.
std::string Disagreement(const std::string& bytes) {
  const google::protobuf::LogSilencer silencer;  // what it refuses, the library would also print
  v1::CheckRequest message;
  const bool library = message.ParseFromString(bytes);
  CheckInput ours;
  const bool own = DecodeCheckRequest(bytes, &ours);
  if (own != library) return library ? "the library reads it" : "the library refuses it";
  if (!library) return "";
  CheckInput theirs;
  FromProto(message, &theirs);
  return Told(ours) == Told(theirs) ? "" : "read as something else:\n" + message.DebugString();
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

v1::CheckRequest FullRequest() {
  v1::CheckRequest full;
  full.set_request_id("r-1");
  full.set_operation(v1::OPERATION_DOWNLOAD);
  full.set_requester("u2");
  full.set_owner("u1");
  full.set_bucket("b1");
  full.set_key("目录/a key.jpg");
  full.set_version_id("v");
  for (const char* algorithm : {"md5", "sha256", "etag"}) {
    v1::ContentHash* hash = full.add_hashes();
    hash->set_algorithm(algorithm);
    hash->set_digest("d41d8cd98f00b204e9800998ecf8427e");
  }
  full.set_host("cdn.example.cn:8080");
  full.set_path("/a%20b");
  full.set_client_ip("2001:db8::1");
  full.set_region("cn");
  full.set_bytes(int64_t{1} << 40);
  full.set_principal(v1::PRINCIPAL_MODERATION);
  full.mutable_copy_source()->set_bucket("b2");
  full.mutable_copy_source()->set_key("k2");
  full.mutable_copy_source()->set_version_id("v2");
  full.set_min_revision(77);
  full.set_dialect(v1::DIALECT_KODO);
  full.set_take_lease(true);
  full.set_detail(true);
  full.set_lease_id("lease");
  full.set_new_key(true);
  return full;
}

TEST(CheckCodecTest, ReadsAFullMessageAsTheLibraryDoes) {
  EXPECT_EQ(Disagreement(FullRequest().SerializeAsString()), "");
  EXPECT_EQ(Disagreement(""), "");
}

TEST(CheckCodecTest, ReadsWhatOtherWritersMayWrite) {
  using namespace std::string_literals;
  const std::string cases[] = {
      "\x2a\x01"s
      "a"
      "\x2a\x01"s
      "b",  // twice: the last
      "\x2a\x01"s
      "a"
      "\x2a\x00"s,  // and empty at last
      "\x7a\x03\x0a\x01"s
      "a"
      "\x7a\x03\x12\x01"s
      "k",                                                  // a message twice: merged
      "\x7a\x00"s,                                          // empty, and set all the same
      "\x42\x00"s,                                          // a hash of nothing
      "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,      // -1 as an operation
      "\x10\x81\x80\x80\x80\x10"s,                          // 2^32 + 1: the low bits count
      "\x10\x80\x02"s,                                      // 256, which one byte does not hold
      "\x90\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"s,  // a bool of 2^63
      "\x68\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"s,      // more than 64 bits
      "\x68\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,  // eleven bytes
      "\x2d\x00\x00\x00\x00"s,                              // bucket as a fixed32: unknown
      "\x28\x05"s,                                          // bucket as a varint: unknown
      "\x12\x01\x02"s,                                      // operation in packed form
      "\xa3\x06\xa4\x06"s,                                  // an unknown group
      "\xa3\x06\x2a\x01"s
      "a"
      "\xa4\x06"s,          // with something in it
      "\xa3\x06\xac\x06"s,  // with the end of another
      "\xa4\x06"s,          // an end without a beginning
      "\x2b\x2c"s,          // bucket as a group
      "\x00"s,
      "\x01\x00"s,
      "\x04"s,
      "\x06\x00"s,
      "\x07"s,
      "\x2a"s,
      "\x2a\x05"s
      "abc",
      "\x2a\x81\x80\x80\x80\x00"s
      "a",  // a size in more bytes than it needs
      "\x2a\x81\x80\x80\x80\x80\x00"s
      "a",  // and in too many
      "\x2a\x81\x80\x80\x80\x10"s
      "a",
      "\xaa\x80\x80\x80\x00\x01"s
      "a",  // a tag likewise
      "\xaa\x80\x80\x80\x80\x00\x01"s
      "a",
      "\xaa\x80\x80\x80\x70\x01"s
      "a",
      "\x2a\x02\xc3\x28"s,
      "\x2a\x02\xc0\xaf"s,
      "\x2a\x03\xed\xa0\x80"s,
      "\x2a\x04\xf4\x90\x80\x80"s,
      "\x2a\x04\xf0\x9f\x98\x80"s,
      "\x2a\x03\xef\xbf\xbf"s,
      "\x2a\x01\xe2"s,
      "\x42\x03\x0a\x01\xff"s,
      "\x7a\x03\x1a\x01\xff"s,
      "\x7a\x03\x22\x01\xff"s,  // the last in a field that there is not
  };
  for (const std::string& bytes : cases) EXPECT_EQ(Disagreement(bytes), "") << Hex(bytes);
}

TEST(CheckCodecTest, BoundsGroupsInGroupsAsTheLibraryDoes) {
  for (const int depth : {1, 98, 99, 100, 101, 200}) {
    std::string bytes;
    for (int i = 0; i < depth; ++i) bytes += "\xa3\x06";
    for (int i = 0; i < depth; ++i) bytes += "\xa4\x06";
    EXPECT_EQ(Disagreement(bytes), "") << depth;
    const std::string inner = bytes;
    bytes = "\x7a";
    AppendVarint(inner.size(), &bytes);
    EXPECT_EQ(Disagreement(bytes + inner), "") << depth << " in copy_source";
  }
}

TEST(CheckCodecTest, AgreesWithTheLibraryOnMutatedMessages) {
  std::mt19937_64 random(20261126);
  const auto below = [&random](size_t n) { return static_cast<size_t>(random() % n); };
  const std::string seeds[] = {FullRequest().SerializeAsString(),
                               "\x2a\x02"
                               "b1\x32\x01k",
                               "\x10\x02\xa3\x06\x08\x01\xa4\x06"};
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes = seeds[below(std::size(seeds))];
    for (size_t edits = 1 + below(4); edits > 0; --edits) {
      const size_t at = below(bytes.size() + 1);
      switch (below(5)) {
        case 0:
          if (at < bytes.size()) bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
        case 2:
          bytes.resize(at);
          break;
        case 3:
          bytes.erase(at, 1 + below(8));
          break;
        default: {
          const std::string& other = seeds[below(std::size(seeds))];
          const size_t from = below(other.size());
          bytes.insert(at, other.substr(from, 1 + below(16)));
        }
      }
    }
    ASSERT_EQ(Disagreement(bytes), "") << Hex(bytes);
  }
}

TEST(CheckCodecTest, WritesAnAnswerAsTheLibraryDoes) {
  Decision plain;
  plain.verdict = Verdict::kAllow;
  plain.revision = 5;
  Decision full;
  full.verdict = Verdict::kThrottle;
  full.reason = Reason::kRateLimited;
  full.fault = Fault::kCustomer;
  full.set_by = Role::kOperations;
  full.clause = "4.2";
  full.rule_id = "limit-1";
  full.lease_id = "lease";
  full.warnings = {Reason::kTerminationNotice, Reason::kTermsChanged};
  full.all_reasons = {Reason::kRateLimited, Reason::kSandboxed, static_cast<Reason>(255)};
  full.retry_after_ms = 1500;
  full.shape_bytes_per_second = int64_t{1} << 33;
  full.cache_for_ms = -1;
  full.recheck_after_ms = 60000;
  full.revision = int64_t{1} << 62;
  full.http = {503, "SlowDown", "Please reduce your request rate."};
  Decision bare;  // a refusal without a word
  bare.verdict = Verdict::kDeny;
  Decision large = full;  // past what is written without an allocation
  large.rule_id = std::string(900, 'r');
  large.lease_id = std::string(300, 'l');
  for (const Decision* decision : {&plain, &full, &bare, &large}) {
    for (const bool detail : {false, true}) {
      for (const char* id : {"", "request-1"}) {
        const absl::string_view trace = detail ? "4bf92f3577b34da6a3ce929d0e0e4736" : "";
        v1::CheckResponse message;
        ToProto(*decision, id, &message, detail, trace);
        EXPECT_EQ(message.trace_id(), decision->verdict == Verdict::kAllow ? "" : trace);
        std::string ours = "before";
        EncodeCheckResponse(*decision, id, trace, detail, &ours);
        EXPECT_EQ(Hex(ours), Hex("before" + message.SerializeAsString()));
      }
    }
  }
}

TEST(WireTest, TellsUtf8FromOtherBytesAtEveryPlace) {
  const std::string ascii = "0123456789abcdef";
  for (size_t at = 0; at <= ascii.size(); ++at) {
    for (const auto& [piece, good] : {std::pair<std::string, bool>{"\xe4\xb8\xad", true},
                                      {"\x80", false},
                                      {"\xe4\xb8", false},
                                      {"\xf5\x80\x80\x80", false},
                                      {"\xc1\x81", false}}) {
      std::string text = ascii;
      text.insert(at, piece);
      EXPECT_EQ(IsUtf8(text), good) << Hex(text);
    }
  }
}

TEST(WireTest, AppendsFieldsOfEveryNumberAsTheLibraryDoes) {
  for (const uint32_t number : {1u, 15u, 16u, 2047u, 2048u, 536870911u}) {
    google::protobuf::UnknownFieldSet fields;
    fields.AddVarint(static_cast<int>(number), std::numeric_limits<uint64_t>::max());
    fields.AddLengthDelimited(static_cast<int>(number), "text");
    std::string theirs, ours;
    ASSERT_TRUE(fields.SerializeToString(&theirs));
    AppendNumberField(number, std::numeric_limits<uint64_t>::max(), &ours);
    AppendBytesField(number, "text", &ours);
    EXPECT_EQ(Hex(ours), Hex(theirs)) << number;
  }
}

}  // namespace
}  // namespace sluice
