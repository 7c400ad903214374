#include "client/scenario_compare.h"

#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/message_differencer.h"

namespace sluice {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::Timestamp;
using google::protobuf::util::MessageDifferencer;

bool IsMessage(const FieldDescriptor* field) { return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE; }
bool IsTime(const FieldDescriptor* field) {
  return IsMessage(field) && field->message_type() == Timestamp::descriptor();
}

absl::Time TimeOf(const Message& message) {
  const auto& time = static_cast<const Timestamp&>(message);
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

void AppendValues(const Message& message, std::vector<std::string>* values);

// The value of a singular field, or of one item of a list, as text.
void AppendValue(const Message& message, const FieldDescriptor* field, int index, std::vector<std::string>* values) {
  const Reflection* r = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      values->push_back(one ? r->GetString(message, field) : r->GetRepeatedString(message, field, index));
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      values->push_back(ShortEnumName(
          field->enum_type(), one ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      if (one && !r->HasField(message, field)) return;
      const Message& child = one ? r->GetMessage(message, field) : r->GetRepeatedMessage(message, field, index);
      if (IsTime(field)) {
        values->push_back(FormatRfc3339(TimeOf(child)));
      } else {
        AppendValues(child, values);
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      values->push_back((one ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index)) ? "true"
                                                                                                       : "false");
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      values->push_back(absl::StrCat(one ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      values->push_back(absl::StrCat(one ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      values->push_back(absl::StrCat(one ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      values->push_back(absl::StrCat(one ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      values->push_back(absl::StrCat(one ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index)));
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      values->push_back(absl::StrCat(one ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index)));
      return;
  }
}

void AppendField(const Message& message, const FieldDescriptor* field, std::vector<std::string>* values) {
  if (!field->is_repeated()) return AppendValue(message, field, -1, values);
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) AppendValue(message, field, i, values);
}

void AppendValues(const Message& message, std::vector<std::string>* values) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) AppendField(message, field, values);
}

// A field for people, in a diff.
std::string Show(const Message& message, const FieldDescriptor* field) {
  const Reflection* r = message.GetReflection();
  if (field->is_repeated()) {
    std::vector<std::string> items;
    for (int i = 0; i < r->FieldSize(message, field); ++i) {
      if (IsMessage(field)) {
        items.push_back(absl::StrCat("{", r->GetRepeatedMessage(message, field, i).ShortDebugString(), "}"));
      } else {
        AppendValue(message, field, i, &items);
      }
    }
    return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
  }
  if (IsMessage(field) && !r->HasField(message, field)) return "nothing";
  if (IsMessage(field) && !IsTime(field)) {
    return absl::StrCat("{", r->GetMessage(message, field).ShortDebugString(), "}");
  }
  std::vector<std::string> value;
  AppendValue(message, field, -1, &value);
  return value[0].empty() ? "\"\"" : value[0];
}

// One field as a message that has it alone, so that every type compares alike. Time and message fields keep the
// difference between unset and empty.
bool FieldEquals(const Message& a, const Message& b, const FieldDescriptor* field) {
  if (IsMessage(field) && !field->is_repeated()) {
    const Reflection* r = a.GetReflection();
    return r->HasField(a, field) == r->HasField(b, field) &&
           MessageDifferencer::Equals(r->GetMessage(a, field), r->GetMessage(b, field));
  }
  MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {field}, {field});
}

// The message that holds the last field of `path`; the default one where a message on the way is not set.
const Message& Holder(const Message& message, const FieldPath& path) {
  const Message* holder = &message;
  for (size_t i = 0; i + 1 < path.fields.size(); ++i) {
    holder = &holder->GetReflection()->GetMessage(*holder, path.fields[i]);
  }
  return *holder;
}

// Compares numbers and times: below 0, 0 or above 0. REQUIRES: IsOrdered(field).
int Order(const Message& a, const Message& b, const FieldDescriptor* field) {
  const Reflection* r = a.GetReflection();
  const auto order = [](auto x, auto y) { return x < y ? -1 : y < x ? 1 : 0; };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return order(r->GetInt32(a, field), r->GetInt32(b, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return order(r->GetInt64(a, field), r->GetInt64(b, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return order(r->GetUInt32(a, field), r->GetUInt32(b, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return order(r->GetUInt64(a, field), r->GetUInt64(b, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return order(r->GetDouble(a, field), r->GetDouble(b, field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return order(r->GetFloat(a, field), r->GetFloat(b, field));
    default:
      return order(TimeOf(r->GetMessage(a, field)), TimeOf(r->GetMessage(b, field)));
  }
}

absl::Status CompareBounds(const std::vector<Expectation::Bound>& bounds, bool upper, const Message& answer,
                           absl::string_view file, const YamlVariables& variables,
                           std::vector<Difference>* differences) {
  for (const Expectation::Bound& bound : bounds) {
    const FieldDescriptor* field = bound.path.fields.back();
    const Message& holder = Holder(answer, bound.path);
    const std::unique_ptr<Message> limit(holder.New());
    if (absl::Status status = MergeYamlField(bound.value, file, field, limit.get(), &variables); !status.ok())
      return status;
    // A time that is not set is neither early nor late.
    const bool unset = IsMessage(field) && !holder.GetReflection()->HasField(holder, field);
    const int order = unset ? 0 : Order(holder, *limit, field);
    if (unset || (upper ? order > 0 : order < 0)) {
      differences->push_back(
          {bound.path.text, absl::StrCat(upper ? "at most " : "at least ", Show(*limit, field)), Show(holder, field)});
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FieldPath> ResolveFieldPath(const Descriptor* type, absl::string_view text) {
  FieldPath path;
  path.text = std::string(text);
  for (absl::string_view name : absl::StrSplit(text, '.')) {
    if (!path.fields.empty()) {
      const FieldDescriptor* outer = path.fields.back();
      if (outer->is_repeated() || !IsMessage(outer) || IsTime(outer)) {
        return absl::InvalidArgumentError(absl::StrCat(outer->name(), " has no fields inside"));
      }
      type = outer->message_type();
    }
    const FieldDescriptor* field = FindYamlField(type, name);
    if (field == nullptr) {
      std::vector<std::string> known;
      for (int i = 0; i < type->field_count(); ++i) known.push_back(type->field(i)->name());
      return absl::InvalidArgumentError(UnknownKey(name, known));
    }
    path.fields.push_back(field);
  }
  return path;
}

bool IsOrdered(const FieldDescriptor* field) {
  if (field->is_repeated()) return false;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_BOOL:
    case FieldDescriptor::CPPTYPE_ENUM:
      return false;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsTime(field);
    default:
      return true;
  }
}

bool IsEmpty(const Message& message, const FieldPath& path) {
  const Message& holder = Holder(message, path);
  const Reflection* r = holder.GetReflection();
  const FieldDescriptor* field = path.fields.back();
  if (field->is_repeated()) return r->FieldSize(holder, field) == 0;
  if (!r->HasField(holder, field)) return true;  // also of a scalar that has its default
  return IsMessage(field) && !IsTime(field) && r->GetMessage(holder, field).ByteSizeLong() == 0;
}

std::string FieldText(const Message& message, const FieldPath& path) {
  std::vector<std::string> values;
  AppendField(Holder(message, path), path.fields.back(), &values);
  return absl::StrJoin(values, "\n");
}

void CompareListed(const YAML::Node& listed, const Message& wanted, const Message& got, const std::string& prefix,
                   std::vector<Difference>* differences) {
  const Reflection* r = wanted.GetReflection();
  for (const auto& entry : listed) {
    const FieldDescriptor* field = FindYamlField(wanted.GetDescriptor(), entry.first.Scalar());
    if (field == nullptr) continue;
    const std::string name = absl::StrCat(prefix, field->name());
    if (IsMessage(field) && !field->is_repeated() && !IsTime(field) && entry.second.IsMap()) {
      CompareListed(entry.second, r->GetMessage(wanted, field), r->GetMessage(got, field), absl::StrCat(name, "."),
                    differences);
    } else if (!FieldEquals(wanted, got, field)) {
      differences->push_back({name, Show(wanted, field), Show(got, field)});
    }
  }
}

absl::Status ReadAndCompare(const YAML::Node& listed, const Message& got, absl::string_view file,
                            const YamlVariables& variables, std::vector<Difference>* differences,
                            absl::string_view beside) {
  const std::unique_ptr<Message> wanted(got.New());
  if (absl::Status status = MergeYaml(listed, file, wanted.get(), &variables, beside); !status.ok()) return status;
  CompareListed(listed, *wanted, got, "", differences);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Difference>> CompareAnswer(const Expectation& expectation, const Message& answer,
                                                      absl::string_view file, const YamlVariables& variables) {
  std::vector<Difference> differences;
  if (expectation.expect) {
    absl::Status status =
        ReadAndCompare(*expectation.expect, answer, file, variables, &differences, expectation.beside);
    if (!status.ok()) return status;
  }
  for (const FieldPath& path : expectation.absent) {
    if (!IsEmpty(answer, path)) {
      differences.push_back({path.text, "nothing", Show(Holder(answer, path), path.fields.back())});
    }
  }
  for (const FieldPath& path : expectation.present) {
    if (IsEmpty(answer, path)) differences.push_back({path.text, "something", "nothing"});
  }
  for (const bool upper : {true, false}) {
    absl::Status status =
        CompareBounds(upper ? expectation.at_most : expectation.at_least, upper, answer, file, variables, &differences);
    if (!status.ok()) return status;
  }
  for (const Expectation::Lacks& lacks : expectation.lacks) {
    const std::string text = FieldText(answer, lacks.path);
    const std::string lower = absl::AsciiStrToLower(text);
    for (const std::string& piece : lacks.pieces) {
      if (absl::StrContains(lower, absl::AsciiStrToLower(piece))) {
        differences.push_back(
            {lacks.path.text, absl::StrCat("no \"", piece, "\" in it"), absl::StrCat("\"", text, "\"")});
      }
    }
  }
  return differences;
}

}  // namespace sluice
