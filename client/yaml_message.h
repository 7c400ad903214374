// Messages of the contract as YAML in proto3 JSON form: what policy files and scenarios are written in, and what
// `-o yaml` prints. JSON is YAML, so the same functions read both.
//
// Names of fields are those of the .proto files (or their lowerCamelCase form). A scalar is read by the type of its
// field and not by what YAML takes it for: a key named `null` or `1e3` is that text, an amount may come quoted, a time
// as RFC 3339 with "T" or a blank, an enum value as its word with or without prefix, or as a number that the contract
// may lack.
//
// All functions are thread-safe and throw nothing; errors are INVALID_ARGUMENT "FILE:LINE: field: wanted X, got Y".
#ifndef SLUICE_CLIENT_YAML_MESSAGE_H_
#define SLUICE_CLIENT_YAML_MESSAGE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "google/protobuf/message.h"
#include "sluice/v1/policy.pb.h"
#include "yaml-cpp/yaml.h"

namespace sluice {

// The documents of `text`, which must be UTF-8. Use this rather than YAML::Load: it keeps the text of scalars that YAML
// takes for null (`key: null` is a key of that name, `key:` is empty), except in JSON, where null is a field that is
// not set. `file` is for messages alone.
absl::StatusOr<std::vector<YAML::Node>> LoadYaml(absl::string_view text, absl::string_view file);

// The whole of a file. NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE with the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// What `$name` as a whole scalar stands for. Without a value it is not known yet: the field is left unset.
using YamlVariables = absl::flat_hash_map<std::string, absl::optional<std::string>>;

// Fills `*message` from a mapping. Repeated fields are appended to. A key twice, a second field of one oneof, and a
// field that the message lacks are errors. On an error `*message` is half filled. `variables` may be null. `beside` is
// a key of the mapping that is not the message's and that the caller reads.
absl::Status MergeYaml(const YAML::Node& node, absl::string_view file, google::protobuf::Message* message,
                       const YamlVariables* variables = nullptr, absl::string_view beside = "");

// Fills one field. REQUIRES: `field` is of `*message`.
absl::Status MergeYamlField(const YAML::Node& node, absl::string_view file,
                            const google::protobuf::FieldDescriptor* field, google::protobuf::Message* message,
                            const YamlVariables* variables = nullptr);

// The field of `name`, as in the .proto file or in lowerCamelCase; nullptr where there is none.
const google::protobuf::FieldDescriptor* FindYamlField(const google::protobuf::Descriptor* type,
                                                       absl::string_view name);

// A policy file: one or more documents, each a list of events, a mapping with the one key `events`, or one event. The
// change and the event's other fields stand side by side. An event without a change and a file without a document are
// errors. Fills in no defaults.
absl::StatusOr<std::vector<v1::PolicyEvent>> ReadPolicyText(absl::string_view text, absl::string_view file);
absl::StatusOr<std::vector<v1::PolicyEvent>> ReadPolicyFile(const std::string& path);

// The inverse of MergeYaml, ending in a line break: fields that are set, in the order of their numbers; short enum
// words; times as RFC 3339 in China Standard Time. "{}\n" where nothing is set.
std::string MessageToYaml(const google::protobuf::Message& message);
// The inverse of ReadPolicyText: a list.
std::string PolicyToYaml(const std::vector<v1::PolicyEvent>& events);

// A date, "T", "t" or a blank, a time with at most nine decimals, "Z" or an offset. Nothing for any other text.
absl::optional<absl::Time> ParseRfc3339(absl::string_view text);
// To the nanosecond, in China Standard Time; in UTC where that would leave the year 9999.
std::string FormatRfc3339(absl::Time time);

// The value of an enum without its prefix; its number where the contract has no word for it.
std::string ShortEnumName(const google::protobuf::EnumDescriptor* type, int number);
// Its number, from a word with or without prefix, or a number. Nothing for other text.
absl::optional<int> ParseEnumName(const google::protobuf::EnumDescriptor* type, absl::string_view text);

// ---- For readers of other mappings ----------------------------------------------------------------------------------

// "FILE:LINE: field: wanted X, got Y", with what `node` is for Y.
absl::Status YamlError(const YAML::Node& node, absl::string_view file, absl::string_view field,
                       absl::string_view wanted);
// "FILE:LINE: field: problem".
absl::Status YamlProblem(const YAML::Node& node, absl::string_view file, absl::string_view field,
                         absl::string_view problem);
// What to say of a key that is none of `known`: those most like it.
std::string UnknownKey(absl::string_view key, const std::vector<std::string>& known);
// "a list", "a mapping", "nothing", or the start of its text in quotes.
std::string DescribeYaml(const YAML::Node& node);
// From 1; 0 where the node came from no text.
int LineOf(const YAML::Node& node);

}  // namespace sluice

#endif  // SLUICE_CLIENT_YAML_MESSAGE_H_
