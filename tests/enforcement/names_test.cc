#include "enforcement/names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string Canonical(absl::string_view host) {
  std::string buffer;
  const absl::StatusOr<absl::string_view> canonical = CanonicalHost(host, &buffer);
  return canonical.ok() ? std::string(*canonical) : "!" + std::string(canonical.status().message());
}

TEST(CanonicalHost, DropsPortAndTrailingDotAndLowersCase) {
  EXPECT_EQ(Canonical("CDN.Example.CN"), "cdn.example.cn");
  EXPECT_EQ(Canonical("cdn.example.cn."), "cdn.example.cn");
  EXPECT_EQ(Canonical("cdn.example.cn:8080"), "cdn.example.cn");
  EXPECT_EQ(Canonical("CDN.EXAMPLE.CN.:443"), "cdn.example.cn");
  EXPECT_EQ(Canonical("cdn.example.cn:"), "cdn.example.cn");
  EXPECT_EQ(Canonical("[2001:DB8::1]:443"), "[2001:db8::1]");
  EXPECT_EQ(Canonical("[2001:db8::1]"), "[2001:db8::1]");
  EXPECT_EQ(Canonical("*.Example.CN"), "*.example.cn");
}

TEST(CanonicalHost, HasOneNameForAnAddressHoweverItIsSpelt) {
  for (const char* spelt :
       {"[2001:db8::1]", "[2001:DB8:0:0::1]:443", "[2001:0db8:0000::0:1]:", "[2001:db8::0.0.0.1]"}) {
    EXPECT_EQ(Canonical(spelt), "[2001:db8::1]") << spelt;
  }
  EXPECT_EQ(Canonical("[::ffff:192.0.2.1]:80"), "192.0.2.1");
  EXPECT_EQ(Canonical("192.0.2.1:80"), "192.0.2.1");
}

// Without brackets the last group would be taken for a port, and that of the rest again.
TEST(CanonicalHost, RefusesAnAddressWithoutItsBrackets) {
  for (const char* spelt : {"2001:db8::1", "::1", "::1:80", "[::1", "::1]", "a[::1]", "[::1].", "[::1].:80", "[]",
                            "[cdn.example.cn]", "[192.0.2.1]", "[fe80::1%25eth0]", "[::1]x:80", "*.[::1]"}) {
    EXPECT_THAT(Canonical(spelt), AnyOf(HasSubstr("brackets"), HasSubstr("want a port"))) << spelt;
  }
}

TEST(CanonicalHost, SpellsInternationalNamesAsPunycode) {
  EXPECT_EQ(Canonical("图.example.cn"), "xn--wcs.example.cn");
  EXPECT_EQ(Canonical("XN--WCS.example.cn"), "xn--wcs.example.cn");
  EXPECT_EQ(Canonical("图。example.cn"), "xn--wcs.example.cn");
  EXPECT_EQ(Canonical("BÜCHER.example"), Canonical("bücher.example"));
  EXPECT_EQ(Canonical("bu\xcc\x88"
                      "cher.example"),
            Canonical("bücher.example"));  // decomposed
  EXPECT_EQ(Canonical("*.图.cn:80"), "*.xn--wcs.cn");
}

TEST(CanonicalHost, RefusesWhatIsNoHost) {
  EXPECT_THAT(Canonical(""), HasSubstr("want a name"));
  EXPECT_THAT(Canonical("."), HasSubstr("want a name"));
  EXPECT_THAT(Canonical(":80"), HasSubstr("want a name"));
  EXPECT_THAT(Canonical("a..b"), HasSubstr("empty label"));
  EXPECT_THAT(Canonical("a.."), HasSubstr("empty label")) << "one at the end stands for the root, two do not";
  EXPECT_THAT(Canonical("a:port"), HasSubstr("port"));
  EXPECT_THAT(Canonical("a b"), HasSubstr("blanks"));
  EXPECT_THAT(Canonical("a/b"), HasSubstr("slashes"));
  EXPECT_THAT(Canonical("\xff.cn"), HasSubstr("UTF-8"));
  for (const char* wide : {"［", "a.cn：80", "a／b.cn"}) {
    EXPECT_THAT(Canonical(wide), HasSubstr("of any width")) << "it would become ASCII that means something else";
  }
  EXPECT_THAT(Canonical(std::string(254, 'a')), HasSubstr("253"));
}

TEST(PercentDecode, DecodesOnceAndLeavesMalformedEscapes) {
  std::string buffer;
  EXPECT_EQ(PercentDecode("/%E5%9B%BE/1.jpg", &buffer), "/图/1.jpg");
  EXPECT_EQ(PercentDecode("%2541", &buffer), "%41");
  EXPECT_EQ(PercentDecode("100%", &buffer), "100%");
  EXPECT_EQ(PercentDecode("%4", &buffer), "%4");
  EXPECT_EQ(PercentDecode("%zz%41", &buffer), "%zzA");
  EXPECT_EQ(PercentDecode("a+b", &buffer), "a+b");
}

TEST(KeyOfPath, DropsOneLeadingSlashAndNothingElse) {
  std::string buffer;
  EXPECT_EQ(KeyOfPath("/k1", &buffer), "k1");
  EXPECT_EQ(KeyOfPath("//k1", &buffer), "/k1");
  EXPECT_EQ(KeyOfPath("/a/../b", &buffer), "a/../b");
  EXPECT_EQ(KeyOfPath("", &buffer), "");
}

TEST(ParseAddress, ReadsBothFamiliesAndMapsMappedOnes) {
  EXPECT_EQ(FormatAddressBlock(*ParseAddress("203.0.113.7")), "203.0.113.7");
  EXPECT_EQ(FormatAddressBlock(*ParseAddress("::ffff:203.0.113.7")), "203.0.113.7");
  EXPECT_EQ(FormatAddressBlock(*ParseAddress("2001:DB8:0::1")), "2001:db8::1");
  EXPECT_EQ(FormatAddressBlock(*ParseAddressBlock("203.0.113.77/24")), "203.0.113.0/24");
  EXPECT_EQ(FormatAddressBlock(*ParseAddressBlock("::ffff:203.0.113.77/120")), "203.0.113.0/24");
  EXPECT_EQ(FormatAddressBlock(*ParseAddressBlock("2001:db8::ff/64")), "2001:db8::/64");
  EXPECT_EQ(FormatAddressBlock(*ParseAddressBlock("0.0.0.0/0")), "0.0.0.0/0");
  for (const char* bad : {"", "203.0.113", "203.0.113.256", "203.0.113.7:80", "[::1]", "::g", "fe80::1%eth0"}) {
    EXPECT_FALSE(ParseAddress(bad)) << bad;
  }
  using namespace std::string_literals;
  for (const std::string& bad : {"::1\0"s, "203.0.113.7\0.example"s}) EXPECT_FALSE(ParseAddress(bad));
  for (const char* bad : {"203.0.113.0/33", "203.0.113.0/", "203.0.113.0/-1", "203.0.113.0/x", "::/129", "/8"}) {
    EXPECT_FALSE(ParseAddressBlock(bad)) << bad;
  }
}

TEST(IsUtf8, RefusesOverlongSurrogatesAndTruncation) {
  EXPECT_TRUE(IsUtf8("图 ü a \xF0\x9F\x98\x80"));
  for (const char* bad :
       {"\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe5\x9b", "a\x80"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(SubjectHash, TellsPartsApart) {
  EXPECT_FALSE(SubjectHash(SubjectKind::kObject, "ab", "c") == SubjectHash(SubjectKind::kObject, "a", "bc"));
  EXPECT_FALSE(SubjectHash(SubjectKind::kBucket, "a") == SubjectHash(SubjectKind::kAccount, "a"));
  EXPECT_TRUE(SubjectHash(SubjectKind::kObject, "b", std::string(9000, 'k')) ==
              SubjectHash(SubjectKind::kObject, "b", std::string(9000, 'k')));
}

Subject Of(absl::string_view field, absl::string_view value) {
  Subject subject;
  if (field == "host") subject.host = std::string(value);
  if (field == "client_ip") subject.client_ip = std::string(value);
  if (field == "bucket") subject.bucket = std::string(value);
  return subject;
}

TEST(CanonicalSubject, WantsExactlyOneScope) {
  EXPECT_THAT(std::string(CanonicalSubject(Subject()).status().message()), HasSubstr("got none"));
  Subject both = Of("host", "a.cn");
  both.account = "u1";
  EXPECT_THAT(std::string(CanonicalSubject(both).status().message()), HasSubstr("got several"));
  Subject key_alone;
  key_alone.account = "u1";
  key_alone.key = "k";
  EXPECT_THAT(std::string(CanonicalSubject(key_alone).status().message()), HasSubstr("bucket"));
}

TEST(CanonicalSubject, RefusesMalformedAndOverlongNames) {
  EXPECT_FALSE(CanonicalSubject(Of("client_ip", "not an address")).ok());
  EXPECT_FALSE(CanonicalSubject(Of("host", "a.*.cn")).ok());
  EXPECT_FALSE(CanonicalSubject(Of("bucket", std::string(257, 'b'))).ok());
  EXPECT_FALSE(CanonicalSubject(Of("bucket", std::string("a\0b", 3))).ok());
  EXPECT_THAT(std::string(CanonicalSubject(Of("bucket", "\xff")).status().message()),
              HasSubstr("subject.bucket: want UTF-8"));
  EXPECT_FALSE(CanonicalSubject(Of("account", "u\xc3")).ok());
  Subject prefix = Of("bucket", "b1");
  prefix.prefix = "a/b";
  EXPECT_THAT(std::string(CanonicalSubject(prefix).status().message()), HasSubstr("end with"));
}

TEST(CanonicalSubject, ComparesDigestsAndPathsInOneForm) {
  Subject upper, lower;
  upper.hash = {"MD5", "0CC175B9C0F1B6A831C399E269772661"};
  lower.hash = {"md5", "0cc175b9c0f1b6a831c399e269772661"};
  EXPECT_TRUE(KeyOf(*CanonicalSubject(upper)).hash == KeyOf(*CanonicalSubject(lower)).hash);
  Subject etag = upper;
  etag.hash = {"etag", "FhABC_-x"};
  EXPECT_EQ(CanonicalSubject(etag)->hash.digest, "FhABC_-x");
  Subject url = Of("host", "A.cn:80");
  url.path = "/%E5%9B%BE";
  EXPECT_EQ(CanonicalSubject(url)->path, "/图");
  url.path = "/%ff";
  EXPECT_THAT(std::string(CanonicalSubject(url).status().message()), HasSubstr("UTF-8"));
}

}  // namespace
}  // namespace sluice
