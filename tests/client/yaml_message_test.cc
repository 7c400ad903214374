#include "client/yaml_message.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

template <typename MessageType>
absl::StatusOr<MessageType> Read(absl::string_view text, const YamlVariables* variables = nullptr) {
  absl::StatusOr<std::vector<YAML::Node>> documents = LoadYaml(text, "f.yaml");
  if (!documents.ok()) return documents.status();
  MessageType message;
  absl::Status status = MergeYaml(documents->at(0), "f.yaml", &message, variables);
  if (!status.ok()) return status;
  return message;
}

template <typename MessageType>
std::string ErrorOf(absl::string_view text) {
  absl::StatusOr<MessageType> message = Read<MessageType>(text);
  return message.ok() ? "no error" : std::string(message.status().message());
}

int64_t Seconds(absl::string_view time) { return absl::ToUnixSeconds(*ParseRfc3339(time)); }

TEST(MergeYaml, ReadsScalarsByTheTypeOfTheField) {
  const auto request = Read<v1::CheckRequest>(R"(
operation: PUBLIC_READ
requester: 12345
owner: yes
bucket: 2026-03-01
key: 1.0
version_id: null
path: ~
host: "true"
bytes: "17"
min_revision: 9223372036854775807
take_lease: "true"
)");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->operation(), v1::OPERATION_PUBLIC_READ);
  EXPECT_EQ(request->requester(), "12345");
  EXPECT_EQ(request->owner(), "yes");
  EXPECT_EQ(request->bucket(), "2026-03-01");
  EXPECT_EQ(request->key(), "1.0");
  EXPECT_EQ(request->version_id(), "null");
  EXPECT_EQ(request->path(), "~");
  EXPECT_EQ(request->host(), "true");
  EXPECT_EQ(request->bytes(), 17);
  EXPECT_EQ(request->min_revision(), std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(request->take_lease());
}

TEST(MergeYaml, ReadsNullWordsAsTextAlsoInFlowAndInLists) {
  const auto event = Read<v1::PolicyEvent>("classify_domain: {host: null, required_permits: [~, NULL, '', bbs]}");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->classify_domain().host(), "null");
  EXPECT_THAT(event->classify_domain().required_permits(), testing::ElementsAre("~", "NULL", "", "bbs"));
}

TEST(MergeYaml, AnEmptyScalarIsEmptyText) {
  const auto request = Read<v1::CheckRequest>("key:\nbucket: b1\n");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->key(), "");
  EXPECT_THAT(ErrorOf<v1::CheckRequest>("bucket: b1\nbytes:\n"),
              HasSubstr("f.yaml:2: bytes: wanted a whole number, got nothing"));
}

TEST(MergeYaml, NullInJsonIsAFieldThatIsNotSet) {
  const auto event = Read<v1::PolicyEvent>(R"({"note": null, "effectiveAt": null, "freeze": {"account": "u1"}})");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->note(), "");
  EXPECT_FALSE(event->has_effective_at());
  EXPECT_EQ(event->freeze().account(), "u1");
}

TEST(MergeYaml, ReadsEnumsAsShortWordLongWordAndNumber) {
  for (const char* text : {"verdict: DENY", "verdict: VERDICT_DENY", "verdict: 3", "verdict: \"3\""}) {
    const auto response = Read<v1::CheckResponse>(text);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->verdict(), v1::VERDICT_DENY) << text;
  }
  const auto unknown = Read<v1::CheckRequest>("operation: 99");
  ASSERT_TRUE(unknown.ok()) << unknown.status();
  EXPECT_EQ(static_cast<int>(unknown->operation()), 99);
  const auto list = Read<v1::CheckResponse>("warnings: [SANDBOXED, 77]");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->warnings(1), 77);
}

TEST(MergeYaml, ReadsTimesQuotedAndAsYamlTimestamps) {
  const int64_t ten = Seconds("2026-03-01T10:00:00+08:00");
  for (const char* text :
       {"end: 2026-03-01T10:00:00+08:00", "end: '2026-03-01T02:00:00Z'", "end: 2026-03-01 10:00:00+08:00",
        "end: 2026-03-01 02:00:00 Z", "end: 2026-03-01t02:00:00z", "end: \"2026-02-28T21:00:00-05:00\""}) {
    const auto change = Read<v1::SetServiceEnd>(text);
    ASSERT_TRUE(change.ok()) << text << ": " << change.status();
    EXPECT_EQ(change->end().seconds(), ten) << text;
    EXPECT_EQ(change->end().nanos(), 0);
  }
  const auto fraction = Read<v1::SetServiceEnd>("end: 1969-12-31T23:59:59.123456789Z");
  ASSERT_TRUE(fraction.ok()) << fraction.status();
  EXPECT_EQ(fraction->end().seconds(), -1);
  EXPECT_EQ(fraction->end().nanos(), 123456789);
}

TEST(MergeYaml, RefusesWhatIsNoRfc3339Time) {
  for (const char* text : {"2026-03-01", "2026-03-01T10:00:00", "2026-02-30T10:00:00Z", "2026-03-01T10:00Z",
                           "2026-03-01T10:00:00+0800", "2026-03-01T10:00:00.Z", "2026-03-01T10:00:00.1234567890Z",
                           "now", "1772330400", "0000-01-01T00:00:00Z", " 2026-03-01T10:00:00Z", "infinite-future"}) {
    EXPECT_FALSE(ParseRfc3339(text).has_value()) << text;
  }
  EXPECT_THAT(ErrorOf<v1::SetServiceEnd>("account: u1\nend: 2026-03-01\n"),
              HasSubstr("f.yaml:2: end: wanted a time like 2026-03-01T10:00:00+08:00, got \"2026-03-01\""));
}

TEST(MergeYaml, ErrorsNameFileLineFieldWantedAndGot) {
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("operation: LIST\nbytes: many\n"),
            "f.yaml:2: bytes: wanted a whole number, got \"many\"");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("bytes: 9223372036854775808"),
            "f.yaml:1: bytes: wanted a whole number, got \"9223372036854775808\"");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("bytes: 1.5"), "f.yaml:1: bytes: wanted a whole number, got \"1.5\"");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("detail: yes"), "f.yaml:1: detail: wanted true or false, got \"yes\"");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("key: [a]"), "f.yaml:1: key: wanted text, got a list");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("\nhashes:\n- {algorithm: md5, digest: {a: b}}\n"),
            "f.yaml:3: hashes[0].digest: wanted text, got a mapping");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("hashes: {algorithm: md5}"), "f.yaml:1: hashes: wanted a list, got a mapping");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("copy_source: b1"), "f.yaml:1: copy_source: wanted a mapping, got \"b1\"");
  EXPECT_EQ(ErrorOf<v1::SetLimit>("rate: fast"), "f.yaml:1: rate: wanted a number, got \"fast\"");
  EXPECT_EQ(ErrorOf<v1::SetLimit>("rate: .inf"), "f.yaml:1: rate: wanted a number, got \".inf\"");
  EXPECT_EQ(ErrorOf<v1::CheckResponse>("verdict: NO"),
            "f.yaml:1: verdict: wanted one of UNSPECIFIED, ALLOW, THROTTLE, DENY, got \"NO\"");
  EXPECT_THAT(ErrorOf<v1::CheckResponse>("reason: FROZEN"), HasSubstr("ACCOUNT_FROZEN"));
}

TEST(MergeYaml, UnknownFieldsNameTheKnownOnesNearest) {
  EXPECT_THAT(ErrorOf<v1::CheckRequest>("operation: LIST\nbukcet: b1\n"),
              HasSubstr("f.yaml:2: unknown field \"bukcet\"; known: bucket, "));
  EXPECT_THAT(ErrorOf<v1::PolicyEvent>("raise_flag: {flag: f1}"),
              HasSubstr("raise_flag: unknown field \"flag\"; known: flag_id"));
}

TEST(MergeYaml, RefusesAFieldTwiceAndTwoChanges) {
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("key: a\nkey: b\n"), "f.yaml:2: key: is there twice");
  EXPECT_EQ(ErrorOf<v1::CheckRequest>("request_id: a\nrequestId: b\n"), "f.yaml:2: request_id: is there twice");
  EXPECT_EQ(ErrorOf<v1::PolicyEvent>("freeze: {account: u1}\npaid: {account: u1}\n"),
            "f.yaml:2: paid: stands beside freeze; wanted one change");
}

TEST(MergeYaml, ReplacesVariablesAndLeavesUnknownValuesUnset) {
  YamlVariables variables;
  variables["lease"] = "l-1";
  variables["revision"] = "7";
  variables["later"] = absl::nullopt;
  const auto request = Read<v1::CheckRequest>(
      "{lease_id: $lease, min_revision: $revision, bytes: $later, key: $other, owner: a$lease}", &variables);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->lease_id(), "l-1");
  EXPECT_EQ(request->min_revision(), 7);
  EXPECT_EQ(request->bytes(), 0);
  EXPECT_EQ(request->key(), "$other");
  EXPECT_EQ(request->owner(), "a$lease");
}

TEST(LoadYaml, ErrorsHaveTheLine) {
  EXPECT_THAT(LoadYaml("a: b\nc: [d\n", "f.yaml").status().message(), HasSubstr("f.yaml:3: "));
  EXPECT_EQ(LoadYaml("a: b\nc: \xff\n", "f.yaml").status().message(),
            "f.yaml:2: encoding: wanted UTF-8, got malformed bytes");
  EXPECT_THAT(LoadYaml("a: b\x04\nc: d\n", "f.yaml").status().message(), HasSubstr("f.yaml:1: encoding: wanted text"));
}

TEST(LoadYaml, ComesToItsEndWhereNothingBegins) {
  for (const char* text : {",", "a: b\n---\n,", "[a]\n,", "{a: b}\n\n, c"}) {
    EXPECT_THAT(LoadYaml(text, "f.yaml").status().message(), HasSubstr(": syntax: wanted well-formed YAML")) << text;
  }
  EXPECT_EQ(LoadYaml("---\n---\n# c\n---\na\n...\n", "f.yaml")->size(), 3U);
  EXPECT_EQ(LoadYaml("# c\n", "f.yaml")->size(), 0U);
}

TEST(LoadYaml, BearsCyclesAndRepeatedAliases) {
  EXPECT_TRUE(LoadYaml("a: &a [1, *a]\n", "f.yaml").ok());
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, ~]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + ", " + last + "]\n";
  }
  EXPECT_TRUE(LoadYaml(text, "f.yaml").ok());
}

TEST(ReadPolicy, ReadsListsMappingsSingleEventsAndSeveralDocuments) {
  const auto events = ReadPolicyText(R"(# A policy.
- freeze: {account: u1}
  role: BILLING
  note: late
---
events:
- unfreeze: {account: u1}
---
paid: {account: u2}
---
)",
                                     "p.yaml");
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ(events->at(0).freeze().account(), "u1");
  EXPECT_EQ(events->at(0).role(), v1::ROLE_BILLING);
  EXPECT_EQ(events->at(0).note(), "late");
  EXPECT_EQ(events->at(1).unfreeze().account(), "u1");
  EXPECT_EQ(events->at(1).role(), v1::ROLE_UNSPECIFIED);
  EXPECT_EQ(events->at(2).paid().account(), "u2");
}

TEST(ReadPolicy, ReadsProto3Json) {
  const auto events = ReadPolicyText(
      "{\n\t\"events\": [{\"raiseFlag\": {\"flagId\": \"f1\", \"subject\": {\"bucket\": \"b1\", \"key\": "
      "\"\\u56fe\\/1\"},"
      " \"severity\": \"SEVERITY_BLOCK\", \"expiresAt\": \"2026-03-01T12:00:00.500Z\"}, \"sequence\": \"12\"}]\n}\n",
      "p.json");
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->at(0).sequence(), 12);
  EXPECT_EQ(events->at(0).raise_flag().subject().key(), "图/1");
  EXPECT_EQ(events->at(0).raise_flag().expires_at().nanos(), 500000000);
}

TEST(ReadPolicy, RefusesWhatIsNoPolicy) {
  const auto error = [](absl::string_view text) {
    return std::string(ReadPolicyText(text, "p.yaml").status().message());
  };
  EXPECT_EQ(error("# nothing\n"), "p.yaml: wanted a list of events, got nothing");
  EXPECT_EQ(error(""), "p.yaml: wanted a list of events, got nothing");
  EXPECT_THAT(error("just text\n"), HasSubstr("p.yaml:1: wanted a list of events, or a mapping"));
  EXPECT_THAT(error("- freeze: {account: u1}\n- note: x\n"), HasSubstr("p.yaml:2: wanted an event with its change"));
  EXPECT_THAT(error("events: []\nversion: 1\n"), HasSubstr("events: wanted no other field beside it"));
  EXPECT_THAT(error("- freeze: {account: u1}\n  outcome: REJECTED\n"),
              HasSubstr("p.yaml:2: unknown field \"outcome\""));
  EXPECT_THAT(error("- freeze:\n"), HasSubstr("p.yaml:1: freeze: wanted a mapping, got nothing"));
}

TEST(ReadPolicy, NamesTheFileThatCannotBeRead) {
  const std::string missing = testing::TempDir() + "/no-such-policy.yaml";
  EXPECT_EQ(ReadPolicyFile(missing).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(ReadPolicyFile(missing).status().message(), HasSubstr(missing));
  EXPECT_EQ(ReadPolicyFile(testing::TempDir()).status().code(), absl::StatusCode::kUnavailable);
}

// Every type of field that the contract has, with the values that a careless writer or reader would bend.
v1::PolicyEvent Awkward() {
  v1::PolicyEvent event;
  event.set_event_id("null");
  event.set_source("~");
  event.set_role(v1::ROLE_SECURITY);
  event.mutable_effective_at()->set_seconds(-62135596800);
  event.set_sequence(std::numeric_limits<int64_t>::min());
  event.set_note("line one\n  \"quoted\": 'x' # no comment\t图\\ \x01");
  v1::SetLimit* limit = event.mutable_set_limit();
  limit->set_limit_id("0x10");
  limit->mutable_subject()->set_key("yes");
  limit->mutable_subject()->mutable_hash()->set_digest("1e3");
  limit->set_dimension(static_cast<v1::Dimension>(1234));
  limit->add_operations(v1::OPERATION_UPLOAD);
  limit->add_operations(static_cast<v1::Operation>(-5));
  limit->set_rate(0.1 + 0.2);
  limit->set_burst(std::numeric_limits<double>::infinity());
  limit->set_shape(true);
  limit->mutable_from()->set_seconds(253402300799);
  limit->mutable_from()->set_nanos(999999999);
  limit->mutable_to();  // 1970, set
  return event;
}

TEST(MessageToYaml, IsTheInverseOfMergeYaml) {
  const v1::PolicyEvent event = Awkward();
  const std::string text = MessageToYaml(event);
  const auto back = Read<v1::PolicyEvent>(text);
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << text;
  EXPECT_TRUE(MessageDifferencer::Equals(event, *back)) << text;
}

TEST(MessageToYaml, RoundTripsEmptyMessagesAndListsOfMessages) {
  EXPECT_EQ(MessageToYaml(v1::CheckRequest()), "{}\n");
  v1::PolicyEvent empty;
  empty.mutable_registry_sync();
  v1::ListResponse response;
  *response.add_items() = empty;
  *response.add_items() = Awkward();
  response.set_next_page_token("t");
  const auto back = Read<v1::ListResponse>(MessageToYaml(response));
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << MessageToYaml(response);
  EXPECT_TRUE(MessageDifferencer::Equals(response, *back));
}

TEST(MessageToYaml, WritesShortWordsAndChinaStandardTime) {
  v1::PolicyEvent event;
  event.set_role(v1::ROLE_MODERATION);
  event.mutable_effective_at()->set_seconds(Seconds("2026-03-01T02:00:00Z"));
  v1::RaiseFlag* flag = event.mutable_raise_flag();
  flag->set_flag_id("f1");
  flag->mutable_subject()->set_bucket("b1");
  flag->set_category("3.1.3.5.3");
  flag->set_severity(v1::SEVERITY_BLOCK);
  EXPECT_EQ(MessageToYaml(event), R"(role: MODERATION
effective_at: 2026-03-01T10:00:00+08:00
raise_flag:
  flag_id: f1
  subject:
    bucket: b1
  category: "3.1.3.5.3"
  severity: BLOCK
)");
}

TEST(PolicyToYaml, IsTheInverseOfReadPolicyText) {
  v1::PolicyEvent freeze;
  freeze.mutable_freeze()->set_account("u1");
  const std::vector<v1::PolicyEvent> events = {Awkward(), freeze};
  const auto back = ReadPolicyText(PolicyToYaml(events), "p.yaml");
  ASSERT_TRUE(back.ok()) << back.status() << "\n" << PolicyToYaml(events);
  ASSERT_EQ(back->size(), 2u);
  EXPECT_TRUE(MessageDifferencer::Equals(back->at(0), events[0]));
  EXPECT_TRUE(MessageDifferencer::Equals(back->at(1), events[1]));
  EXPECT_TRUE(ReadPolicyText(PolicyToYaml({}), "p.yaml")->empty());
}

}  // namespace
}  // namespace sluice
