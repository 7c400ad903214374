#include "server/doors/json_fields.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(JsonFields, TakesWhatIsAskedForAndNothingElse) {
  JsonFields fields({"input.method", "input.user.id", "input.n", "input.ok", "input.list", "input.none"});
  ASSERT_TRUE(fields
                  .Read(R"({"other":{"method":"X"},"input":{"user":{"keys":[{"secret_key":"S"}],"id":"a\u00e9"},
                        "method":"GET","n":-1.50e3,"ok":true,"list":["first","second"],"none":null,"deep":[[[1]]]}})")
                  .ok());
  EXPECT_EQ(fields[0], "GET");
  EXPECT_EQ(fields[1], "aé");
  EXPECT_EQ(fields[2], "-1.50e3");
  EXPECT_EQ(fields[3], "true");
  EXPECT_EQ(fields[4], "first");
  EXPECT_EQ(fields[5], "");
  EXPECT_TRUE(fields.has(5));
}

TEST(JsonFields, NamesWithDotsAreNoPaths) {
  JsonFields fields({"a.b"});
  ASSERT_TRUE(fields.Read(R"({"a.b":"1","a":{"c.b":"2"}})").ok());
  EXPECT_FALSE(fields.has(0));
}

TEST(JsonFields, RefusesWhatIsNoDocument) {
  const std::string deep(40, '[');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("{}{}"), std::string("{}\0{}", 5), std::string("{\"a\":\"\xff\"}"),
        std::string("{\"a\":1,\"a\":2}"), deep, std::string("{\"a\":tru}"), std::string("nul"), std::string("\"a")}) {
    JsonFields fields({"a"});
    EXPECT_FALSE(fields.Read(text).ok()) << text;
  }
}

TEST(JsonFields, ErrorsDoNotRepeatTheDocument) {
  JsonFields fields({"a"});
  const absl::Status status = fields.Read(R"({"secret_key":"HUSH","a":)");
  EXPECT_THAT(std::string(status.message()), HasSubstr("at byte"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("HUSH")));
}

}  // namespace
}  // namespace sluice
