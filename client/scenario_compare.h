// Compares an answer with what a scenario expects of it: only what is listed, by the types of the contract's fields.
#ifndef SLUICE_CLIENT_SCENARIO_COMPARE_H_
#define SLUICE_CLIENT_SCENARIO_COMPARE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "client/yaml_message.h"
#include "google/protobuf/message.h"
#include "yaml-cpp/yaml.h"

namespace sluice {

// A field of an answer, perhaps inside nested messages: "http.message".
struct FieldPath {
  std::string text;
  std::vector<const google::protobuf::FieldDescriptor*> fields;  // at least one
};
// The error says what is unknown; it names no file.
absl::StatusOr<FieldPath> ResolveFieldPath(const google::protobuf::Descriptor* type, absl::string_view text);

struct Difference {
  std::string field, wanted, got;
};

// What stands beside an action: `expect` and its six companions, all about one answer.
struct Expectation {
  struct Bound {
    FieldPath path;
    YAML::Node value;
  };
  struct Lacks {
    FieldPath path;
    std::vector<std::string> pieces;
  };
  struct Keep {
    std::string variable;
    FieldPath path;
  };

  absl::optional<YAML::Node> expect;
  std::string beside;  // a key of `expect` that is no field of the answer and is compared elsewhere
  std::vector<FieldPath> absent, present;
  std::vector<Bound> at_most, at_least;
  std::vector<Lacks> lacks;
  std::vector<Keep> keep;

  bool empty() const {
    return !expect && absent.empty() && present.empty() && at_most.empty() && at_least.empty() && lacks.empty() &&
           keep.empty();
  }
};

// What `answer` lacks of `expectation`, `keep` aside. INVALID_ARGUMENT where a value cannot be read as its field's
// type.
absl::StatusOr<std::vector<Difference>> CompareAnswer(const Expectation& expectation,
                                                      const google::protobuf::Message& answer, absl::string_view file,
                                                      const YamlVariables& variables);

// Appends where `got` differs from `wanted`, which was merged from `listed`, in the fields that `listed` has. Lists are
// compared whole, messages field by field; a key that is no field is passed over.
void CompareListed(const YAML::Node& listed, const google::protobuf::Message& wanted,
                   const google::protobuf::Message& got, const std::string& prefix,
                   std::vector<Difference>* differences);

// Reads `listed` as a message of the type of `got` and compares. `beside` as in MergeYaml.
absl::Status ReadAndCompare(const YAML::Node& listed, const google::protobuf::Message& got, absl::string_view file,
                            const YamlVariables& variables, std::vector<Difference>* differences,
                            absl::string_view beside = "");

// Whether the field is not set, 0, "" or an empty list.
bool IsEmpty(const google::protobuf::Message& message, const FieldPath& path);
// Its text as YAML would have it: a word, a number, a time, the text itself. Of lists and messages all the values, a
// line each, without the names of fields.
std::string FieldText(const google::protobuf::Message& message, const FieldPath& path);

// Whether at_most and at_least can bound such a field: numbers and times.
bool IsOrdered(const google::protobuf::FieldDescriptor* field);

}  // namespace sluice

#endif  // SLUICE_CLIENT_SCENARIO_COMPARE_H_
