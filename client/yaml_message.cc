#include "client/yaml_message.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/timestamp.pb.h"

namespace sluice {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::Timestamp;

constexpr size_t kShownBytes = 60;
constexpr absl::string_view kWantedTime = "a time like 2026-03-01T10:00:00+08:00";

// How many letters to add, drop or change to make `b` of `a`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::vector<std::string> Nearest(absl::string_view word, std::vector<std::string> known) {
  // A file may hold a "key" of any length, and the distance takes the product of the two.
  const absl::string_view start = word.substr(0, kShownBytes);
  std::stable_sort(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
    return EditDistance(start, a) < EditDistance(start, b);
  });
  if (known.size() > 5) known.resize(5);
  return known;
}

absl::string_view EnumPrefix(const EnumDescriptor* type) {
  // Each enum's zero value is PREFIX_UNSPECIFIED.
  const google::protobuf::EnumValueDescriptor* zero = type->FindValueByNumber(0);
  if (zero == nullptr) return "";
  absl::string_view prefix = zero->name();
  return absl::ConsumeSuffix(&prefix, "UNSPECIFIED") ? prefix : absl::string_view();
}

template <typename Int>
absl::optional<Int> ParseInt(absl::string_view text) {
  // SimpleAtoi takes blanks around the number too.
  Int value;
  if (text.empty() || absl::ascii_isspace(text.front()) || absl::ascii_isspace(text.back())) return absl::nullopt;
  return absl::SimpleAtoi(text, &value) ? absl::optional<Int>(value) : absl::nullopt;
}

absl::optional<double> ParseDouble(absl::string_view text) {
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  double value;
  if (text.empty() || absl::ascii_isspace(text.front()) || absl::ascii_isspace(text.back())) return absl::nullopt;
  return absl::SimpleAtod(text, &value) && std::isfinite(value) ? absl::optional<double>(value) : absl::nullopt;
}

// `key:` with nothing behind it, as LoadYaml leaves it.
bool IsEmptyPlain(const YAML::Node& node) { return node.IsScalar() && node.Scalar().empty() && node.Tag() != "!"; }

class Merger {
 public:
  Merger(absl::string_view file, const YamlVariables* variables) : file_(file), variables_(variables) {}

  absl::Status MergeMessage(const YAML::Node& node, const std::string& path, Message* message,
                            absl::string_view beside = "") {
    if (!node.IsMap()) return YamlError(node, file_, path, "a mapping");
    absl::flat_hash_set<const FieldDescriptor*> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return YamlError(entry.first, file_, path, "the name of a field");
      const std::string& name = entry.first.Scalar();
      if (!beside.empty() && name == beside) continue;
      const FieldDescriptor* field = FindYamlField(message->GetDescriptor(), name);
      if (field == nullptr) {
        std::vector<std::string> known;
        for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
          known.push_back(message->GetDescriptor()->field(i)->name());
        }
        return YamlProblem(entry.first, file_, path, UnknownKey(name, known));
      }
      const std::string field_path = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
      if (!seen.insert(field).second) return YamlProblem(entry.first, file_, field_path, "is there twice");
      const google::protobuf::OneofDescriptor* oneof = field->real_containing_oneof();
      if (oneof != nullptr && message->GetReflection()->HasOneof(*message, oneof)) {
        const FieldDescriptor* other = message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
        return YamlProblem(entry.first, file_, field_path,
                           absl::StrCat("stands beside ", other->name(), "; wanted one ", oneof->name()));
      }
      if (IsEmptyPlain(entry.second) &&
          (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING)) {
        // The mark of an empty scalar is that of the next token, perhaps lines below.
        return YamlProblem(entry.first, file_, field_path, absl::StrCat("wanted ", Wanted(field), ", got nothing"));
      }
      if (absl::Status status = MergeField(entry.second, field_path, field, message); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status MergeField(const YAML::Node& node, const std::string& path, const FieldDescriptor* field,
                          Message* message) {
    if (node.IsNull()) return absl::OkStatus();  // JSON's null: not set
    if (field->is_map() || field->type() == FieldDescriptor::TYPE_BYTES ||
        field->type() == FieldDescriptor::TYPE_GROUP) {
      return YamlProblem(node, file_, path, "a field of this type cannot be written in YAML");
    }
    if (!field->is_repeated()) return MergeValue(node, path, field, message);
    if (!node.IsSequence()) return YamlError(node, file_, path, "a list");
    int index = 0;
    for (const YAML::Node& item : node) {
      if (absl::Status status = MergeValue(item, absl::StrCat(path, "[", index++, "]"), field, message); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  // Sets a singular field, appends to a repeated one.
  absl::Status MergeValue(const YAML::Node& node, const std::string& path, const FieldDescriptor* field,
                          Message* message) {
    const Reflection* reflection = message->GetReflection();
    const bool add = field->is_repeated();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* child = add ? reflection->AddMessage(message, field) : reflection->MutableMessage(message, field);
      if (field->message_type() != Timestamp::descriptor()) return MergeMessage(node, path, child);
      if (!node.IsScalar()) return YamlError(node, file_, path, kWantedTime);
    }
    if (!node.IsScalar()) return YamlError(node, file_, path, WantedItem(field));
    absl::string_view text = node.Scalar();
    if (variables_ != nullptr && absl::StartsWith(text, "$")) {
      if (auto found = variables_->find(text.substr(1)); found != variables_->end()) {
        if (!found->second.has_value()) {
          if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !add) reflection->ClearField(message, field);
          return absl::OkStatus();
        }
        text = *found->second;
      }
    }
    return MergeText(node, text, path, field, message);
  }

  absl::Status MergeText(const YAML::Node& node, absl::string_view text, const std::string& path,
                         const FieldDescriptor* field, Message* message) {
    const Reflection* reflection = message->GetReflection();
    const bool add = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        if (absl::optional<int32_t> value = ParseInt<int32_t>(text)) {
          add ? reflection->AddInt32(message, field, *value) : reflection->SetInt32(message, field, *value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        if (absl::optional<int64_t> value = ParseInt<int64_t>(text)) {
          add ? reflection->AddInt64(message, field, *value) : reflection->SetInt64(message, field, *value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        if (absl::optional<uint32_t> value = ParseInt<uint32_t>(text)) {
          add ? reflection->AddUInt32(message, field, *value) : reflection->SetUInt32(message, field, *value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (absl::optional<uint64_t> value = ParseInt<uint64_t>(text)) {
          add ? reflection->AddUInt64(message, field, *value) : reflection->SetUInt64(message, field, *value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (absl::optional<double> value = ParseDouble(text)) {
          add ? reflection->AddDouble(message, field, *value) : reflection->SetDouble(message, field, *value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        if (absl::optional<double> value = ParseDouble(text)) {
          const auto narrow = static_cast<float>(*value);
          add ? reflection->AddFloat(message, field, narrow) : reflection->SetFloat(message, field, narrow);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (text == "true" || text == "false") {
          const bool value = text == "true";
          add ? reflection->AddBool(message, field, value) : reflection->SetBool(message, field, value);
          return absl::OkStatus();
        }
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        if (absl::optional<int> value = ParseEnumName(field->enum_type(), text)) {
          add ? reflection->AddEnumValue(message, field, *value) : reflection->SetEnumValue(message, field, *value);
          return absl::OkStatus();
        }
        return YamlError(node, file_, path, WantedEnum(field->enum_type(), text));
      case FieldDescriptor::CPPTYPE_STRING:
        add ? reflection->AddString(message, field, std::string(text))
            : reflection->SetString(message, field, std::string(text));
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_MESSAGE:  // a Timestamp, which MergeValue has added already
        if (absl::optional<absl::Time> time = ParseRfc3339(text)) {
          Message* child =
              add ? reflection->MutableRepeatedMessage(message, field, reflection->FieldSize(*message, field) - 1)
                  : reflection->MutableMessage(message, field);
          auto* timestamp = static_cast<Timestamp*>(child);
          const int64_t seconds = absl::ToUnixSeconds(*time);  // rounds down
          timestamp->set_seconds(seconds);
          timestamp->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*time - absl::FromUnixSeconds(seconds))));
          return absl::OkStatus();
        }
        break;
    }
    return YamlError(node, file_, path, WantedItem(field));
  }

  static absl::string_view Wanted(const FieldDescriptor* field) {
    if (field->is_repeated()) return "a list";
    return WantedItem(field);
  }

  static absl::string_view WantedItem(const FieldDescriptor* field) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return "a number";
      case FieldDescriptor::CPPTYPE_BOOL:
        return "true or false";
      case FieldDescriptor::CPPTYPE_ENUM:
        return "a word or a number of the enum";
      case FieldDescriptor::CPPTYPE_STRING:
        return "text";
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return field->message_type() == Timestamp::descriptor() ? kWantedTime : "a mapping";
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_UINT32:
        return "a whole number of 32 bits";
      default:
        return "a whole number";
    }
  }

  static std::string WantedEnum(const EnumDescriptor* type, absl::string_view text) {
    std::vector<std::string> words;
    for (int i = 0; i < type->value_count(); ++i) words.push_back(ShortEnumName(type, type->value(i)->number()));
    const bool all = words.size() <= 9;
    if (!all) words = Nearest(text, std::move(words));
    return absl::StrCat(all ? "one of " : "a word of ", all ? "" : type->name(), all ? "" : " (such as ",
                        absl::StrJoin(words, ", "), all ? "" : ")");
  }

  const absl::string_view file_;
  const YamlVariables* const variables_;
};

}  // namespace

absl::Status MergeYaml(const YAML::Node& node, absl::string_view file, Message* message, const YamlVariables* variables,
                       absl::string_view beside) {
  return Merger(file, variables).MergeMessage(node, "", message, beside);
}

absl::Status MergeYamlField(const YAML::Node& node, absl::string_view file, const FieldDescriptor* field,
                            Message* message, const YamlVariables* variables) {
  return Merger(file, variables).MergeField(node, field->name(), field, message);
}

const FieldDescriptor* FindYamlField(const Descriptor* type, absl::string_view name) {
  const std::string text(name);
  if (const FieldDescriptor* field = type->FindFieldByName(text)) return field;
  const FieldDescriptor* field = type->FindFieldByCamelcaseName(text);
  return field != nullptr && field->json_name() == text ? field : nullptr;
}

absl::optional<absl::Time> ParseRfc3339(absl::string_view text) {
  // absl::ParseTime is more lenient than RFC 3339, so the shape is checked first: "0000-00-00 00:00:00" with digits.
  constexpr absl::string_view kShape = "0000-00-00T00:00:00";
  if (text.size() < kShape.size() + 1) return absl::nullopt;
  std::string normal(text);
  if (normal[10] == ' ' || normal[10] == 't') normal[10] = 'T';
  for (size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == '0' ? !absl::ascii_isdigit(normal[i]) : normal[i] != kShape[i]) return absl::nullopt;
  }
  size_t at = kShape.size();
  if (normal[at] == '.') {
    const size_t first = ++at;
    while (at < normal.size() && absl::ascii_isdigit(normal[at])) ++at;
    if (at == first || at - first > 9) return absl::nullopt;
  }
  if (at < normal.size() && normal[at] == ' ') normal.erase(at, 1);  // YAML's own form has a blank before the offset
  absl::string_view offset = absl::string_view(normal).substr(at);
  if (offset == "z") normal.back() = 'Z';
  const bool utc = offset == "z" || offset == "Z";
  const bool signed_offset = offset.size() == 6 && (offset[0] == '+' || offset[0] == '-') &&
                             absl::ascii_isdigit(offset[1]) && absl::ascii_isdigit(offset[2]) && offset[3] == ':' &&
                             absl::ascii_isdigit(offset[4]) && absl::ascii_isdigit(offset[5]);
  if (!utc && !signed_offset) return absl::nullopt;
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%dT%H:%M:%E*S%Ez", normal, &time, &error)) return absl::nullopt;
  // The bounds of google.protobuf.Timestamp.
  if (time < absl::FromUnixSeconds(-62135596800) || time >= absl::FromUnixSeconds(253402300800)) return absl::nullopt;
  return time;
}

std::string ShortEnumName(const EnumDescriptor* type, int number) {
  const google::protobuf::EnumValueDescriptor* value = type->FindValueByNumber(number);
  if (value == nullptr) return absl::StrCat(number);
  return std::string(absl::StripPrefix(value->name(), EnumPrefix(type)));
}

absl::optional<int> ParseEnumName(const EnumDescriptor* type, absl::string_view text) {
  for (const absl::string_view prefix : {EnumPrefix(type), absl::string_view("")}) {
    if (const auto* value = type->FindValueByName(absl::StrCat(prefix, text))) return value->number();
  }
  return ParseInt<int32_t>(text);
}

absl::Status YamlProblem(const YAML::Node& node, absl::string_view file, absl::string_view field,
                         absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", LineOf(node), ": ", field, field.empty() ? "" : ": ", problem));
}

absl::Status YamlError(const YAML::Node& node, absl::string_view file, absl::string_view field,
                       absl::string_view wanted) {
  return YamlProblem(node, file, field, absl::StrCat("wanted ", wanted, ", got ", DescribeYaml(node)));
}

std::string UnknownKey(absl::string_view key, const std::vector<std::string>& known) {
  std::string shown(key.substr(0, kShownBytes));
  return absl::StrCat("unknown field \"", shown, "\"",
                      known.empty() ? "; there is none"
                                    : absl::StrCat("; known: ", absl::StrJoin(Nearest(key, known), ", "),
                                                   known.size() > 5 ? ", ..." : ""));
}

std::string DescribeYaml(const YAML::Node& node) {
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  if (!node.IsScalar() || IsEmptyPlain(node)) return "nothing";
  const std::string& text = node.Scalar();
  if (text.size() <= kShownBytes) return absl::StrCat("\"", text, "\"");
  size_t end = kShownBytes;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // not inside a character
  return absl::StrCat("\"", text.substr(0, end), "...\"");
}

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

}  // namespace sluice
