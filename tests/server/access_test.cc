#include "server/access.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agreement/loader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/access_source.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Credential User(uint32_t uid, std::vector<uint32_t> gids = {}) {
  Credential credential;
  credential.peer = Credential::Peer{uid, std::move(gids)};
  return credential;
}
Credential Token(const std::string& token) {
  Credential credential;
  credential.token = token;
  return credential;
}
Credential Certificate(const std::string& common_name, std::vector<std::string> names) {
  Credential credential;
  credential.certificate = Credential::Certificate{common_name, std::move(names)};
  return credential;
}
std::string Digest(const std::string& token) { return absl::BytesToHexString(TokenDigest(token)); }

std::shared_ptr<const Access> Parse(const std::string& yaml) {
  auto access = Access::Parse("access.yaml", yaml);
  EXPECT_TRUE(access.ok()) << access.status();
  return access.ok() ? *access : nullptr;
}
std::string FaultOf(const std::string& yaml) {
  return std::string(Access::Parse("access.yaml", yaml).status().message());
}

TEST(AccessTest, EachKindOfCredentialFindsItsCaller) {
  const auto access =
      Parse(absl::StrCat("callers:\n"
                         "- {name: billing, uid: 1000, roles: BILLING}\n"
                         "- {name: support, gid: [50, 51], reads: [policy, log]}\n"
                         "- {name: legal, certificate: spiffe://example.cn/legal, roles: [legal]}\n"
                         "- {name: old, common_name: old.example.cn, roles: [STORAGE]}\n"
                         "- {name: copy, token_sha256: ",
                         Digest("secret"), ", imports: true}\n"));
  const Grants billing = *access->Of(User(1000));
  EXPECT_EQ(billing.caller, "billing");
  EXPECT_TRUE(billing.Holds(Role::kBilling));
  EXPECT_FALSE(billing.Holds(Role::kLegal));
  EXPECT_FALSE(billing.Holds(Role::kUnspecified));
  EXPECT_FALSE(billing.reads_policy || billing.reads_log || billing.imports);
  const Grants support = *access->Of(User(7, {1, 51}));
  EXPECT_TRUE(support.reads_policy && support.reads_log);
  EXPECT_EQ(support.roles, 0);
  EXPECT_TRUE(access->Of(Certificate("any", {"a.example.cn", "spiffe://example.cn/legal"}))->Holds(Role::kLegal));
  EXPECT_TRUE(access->Of(Certificate("old.example.cn", {}))->Holds(Role::kStorage));
  EXPECT_TRUE(access->Of(Token("secret"))->imports);
}

TEST(AccessTest, NobodyElseIsLetIn) {
  const auto access = Parse(absl::StrCat(
      "callers:\n- {name: one, uid: 1000, certificate: a, token_sha256: ", Digest("secret"), ", roles: all}\n"));
  EXPECT_FALSE(access->Of(Credential()).has_value());
  EXPECT_FALSE(access->Of(User(1001, {1000})).has_value()) << "a group is no user";
  EXPECT_FALSE(access->Of(User(0)).has_value()) << "root is nobody where the file does not name it";
  EXPECT_FALSE(access->Of(Certificate("a", {"b"})).has_value()) << "a common name is no other name";
  EXPECT_FALSE(access->Of(Token("")).has_value());
  EXPECT_FALSE(access->Of(Token("secret ")).has_value());
  // Whoever shows a wrong token is not taken for who else it is.
  Credential both = User(1000);
  both.token = "wrong";
  EXPECT_FALSE(access->Of(both).has_value());
}

TEST(AccessTest, SeveralEntriesAddUp) {
  const auto access =
      Parse("callers:\n- {name: everybody, gid: 100, reads: policy}\n- {name: one, uid: 5, roles: [LEGAL, BILLING]}\n");
  const Grants grants = *access->Of(User(5, {100}));
  EXPECT_EQ(grants.caller, "everybody+one");
  EXPECT_TRUE(grants.reads_policy && grants.Holds(Role::kLegal) && grants.Holds(Role::kBilling));
}

TEST(AccessTest, WithoutAFileRootAndTheOwnUserDoEverything) {
  const auto access = Access::OwnUserAlone(42);
  for (const uint32_t uid : {0u, 42u}) {
    const Grants grants = *access->Of(User(uid));
    EXPECT_EQ(grants.roles, kAllRoles);
    EXPECT_TRUE(grants.reads_policy && grants.reads_log && grants.imports);
  }
  EXPECT_FALSE(access->Of(User(43, {0, 42})).has_value());
  EXPECT_FALSE(access->Of(Certificate("root", {"root"})).has_value());
}

TEST(AccessTest, EveryFaultIsToldWithItsLine) {
  const std::string faults = FaultOf(
      "callers:\n"
      "- {name: a, uid: x, roles: BILLING}\n"
      "- {name: a, uid: 1, roles: KING}\n"
      "- {uid: 1, roles: BILLING, color: red}\n"
      "- {name: b, roles: BILLING}\n"
      "- {name: c, uid: 1}\n"
      "- {name: d, user: nobody-has-this-name, reads: everything}\n"
      "- just text\n");
  for (const char* fault :
       {"access.yaml:2: callers[0].uid: wanted a number, got 'x'", "access.yaml:3: callers[1].name: a was given before",
        "access.yaml:3: callers[1].roles: wanted all, or one of BILLING",
        "access.yaml:4: callers[2].color: there is no such", "access.yaml:4: callers[2].name: wanted a name",
        "access.yaml:5: callers[3].wanted a credential", "access.yaml:6: callers[4].wanted something that it may do",
        "access.yaml:7: callers[5].user: there is no such user",
        "access.yaml:7: callers[5].reads: wanted policy or log", "access.yaml:8: callers[6].wanted a section"}) {
    EXPECT_THAT(faults, HasSubstr(fault));
  }
  EXPECT_THAT(FaultOf(""), HasSubstr("access.yaml:1: wanted one YAML document"));
  EXPECT_THAT(FaultOf("callers: []\nother: 1\n"), HasSubstr("access.yaml:2: wanted the key callers"));
  EXPECT_THAT(FaultOf("callers: [\n"), HasSubstr("access.yaml:2: syntax: wanted well-formed YAML"));
  EXPECT_THAT(FaultOf(","), HasSubstr("access.yaml:1: syntax: wanted well-formed YAML"));
  EXPECT_THAT(FaultOf(std::string("callers:\n\0", 10)), HasSubstr("access.yaml:2: encoding: wanted text"));
}

TEST(AccessTest, ATokenInTheWrongPlaceIsNotRepeated) {
  EXPECT_THAT(FaultOf("callers:\n- {name: a, token_sha256: my-secret-token, roles: all}\n"),
              AllOf(HasSubstr("access.yaml:2: callers[0].token_sha256: wanted 64"), Not(HasSubstr("my-secret"))));
}

class AccessFileTest : public testing::Test {
 protected:
  void Write(const std::string& text, mode_t mode = 0600) {
    // By another name and a rename, as a careful administrator does.
    const std::string part = folder_.Below("part");
    std::ofstream(part) << text;
    chmod(part.c_str(), mode);
    ASSERT_EQ(rename(part.c_str(), path_.c_str()), 0);
  }
  TempFolder folder_;
  const std::string path_ = folder_.Below("access.yaml");
};

TEST_F(AccessFileTest, OneThatOthersMayWriteToIsRefused) {
  Write("callers:\n- {name: a, uid: 1, roles: all}\n", 0660);
  EXPECT_THAT(std::string(Access::Load(path_).status().message()), AllOf(HasSubstr(path_), HasSubstr("mode 0660")));
  Write("callers:\n- {name: a, uid: 1, roles: all}\n", 0640);
  EXPECT_TRUE(Access::Load(path_).ok());
}

TEST_F(AccessFileTest, AChangeIsTakenAndAFaultLeavesTheLastGoodOneInForce) {
  Write("callers:\n- {name: a, uid: 1, roles: BILLING}\n");
  auto source = AccessSource::Open(path_);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(*(*source)->Refresh(), AccessSource::Change::kNone);
  Write("callers:\n- {name: a, uid: 2, roles: BILLING}\n");
  EXPECT_EQ(*(*source)->Refresh(), AccessSource::Change::kTaken);
  EXPECT_FALSE((*source)->Current()->Of(User(1)).has_value());
  EXPECT_TRUE((*source)->Current()->Of(User(2)).has_value());

  Write("callers:\n- {name: a, uid: 3, roles: KING}\n");
  EXPECT_THAT(std::string((*source)->Refresh().status().message()), HasSubstr(":2: callers[0].roles"));
  EXPECT_EQ(*(*source)->Refresh(), AccessSource::Change::kNone) << "told once";
  EXPECT_FALSE((*source)->in_step());
  EXPECT_EQ((*source)->refused(), 1);
  EXPECT_TRUE((*source)->Current()->Of(User(2)).has_value());

  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_FALSE((*source)->Refresh().ok());
  EXPECT_TRUE((*source)->Current()->Of(User(2)).has_value());
  Write("callers:\n- {name: a, uid: 4, roles: BILLING}\n");
  EXPECT_EQ(*(*source)->Refresh(), AccessSource::Change::kTaken);
  EXPECT_TRUE((*source)->in_step());
}

class AuthorizeTest : public testing::Test {
 protected:
  static Grants With(uint8_t roles) { return {"caller-1", roles, false, false, false}; }
  static uint8_t Bit(Role role) { return static_cast<uint8_t>(1 << static_cast<int>(role)); }
  const std::unique_ptr<const Pack> pack_ = *LoadDefaultPack();
};

TEST_F(AuthorizeTest, AnEventWithoutARoleTakesTheFirstThatBothAllow) {
  PolicyEvent event;
  event.change = SetLimit();  // BILLING, LEGAL, OPERATIONS, SECURITY
  EXPECT_TRUE(Authorize(With(kAllRoles), *pack_, &event));
  EXPECT_EQ(event.role, Role::kBilling);
  event.role = Role::kUnspecified;
  EXPECT_TRUE(Authorize(With(Bit(Role::kSecurity) | Bit(Role::kOperations)), *pack_, &event));
  EXPECT_EQ(event.role, Role::kOperations);
  event.role = Role::kUnspecified;
  EXPECT_FALSE(Authorize(With(Bit(Role::kCompliance)), *pack_, &event));
  EXPECT_EQ(event.refusal,
            "set_limit: wanted role BILLING or SECURITY or LEGAL or OPERATIONS; caller-1 may send as COMPLIANCE");
}

TEST_F(AuthorizeTest, ARoleThatTheCallerLacksIsRefusedAndOneItHoldsIsKept) {
  PolicyEvent event;
  event.change = Freeze{"u1"};
  event.role = Role::kBilling;
  EXPECT_FALSE(Authorize(With(Bit(Role::kLegal)), *pack_, &event));
  EXPECT_EQ(event.refusal, "freeze: caller-1 may send as LEGAL, not as BILLING");
  // Whether the role may send this change is the pack's to say, as ever.
  event.role = Role::kLegal;
  EXPECT_TRUE(Authorize(With(Bit(Role::kLegal)), *pack_, &event));
  EXPECT_EQ(event.refusal, "");
}

TEST_F(AuthorizeTest, TheCategoryOfAFlagNarrowsTheRoles) {
  RaiseFlag flag;
  flag.category = "3.1.3.7";
  PolicyEvent event;
  event.change = flag;
  EXPECT_TRUE(Authorize(With(kAllRoles), *pack_, &event));
  EXPECT_EQ(event.role, Role::kSecurity);
}

}  // namespace
}  // namespace sluice
