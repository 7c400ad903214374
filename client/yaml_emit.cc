// Messages to YAML: the inverse of MergeYaml.
#include <charconv>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/yaml_message.h"
#include "enforcement/calendar.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/timestamp.pb.h"

namespace sluice {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::Timestamp;

// The shortest text that reads back as the same number.
std::string FormatDouble(double value) {
  if (value != value) return "NaN";
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  const std::string text(buffer, result.ptr);
  if (text == "inf") return "Infinity";
  if (text == "-inf") return "-Infinity";
  return text;
}

// Whether every YAML reader takes `text` for this text without quotes.
bool IsPlain(const std::string& text) {
  static const auto* const kWords =
      new absl::flat_hash_set<std::string>{"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  if (text.empty() || !(absl::ascii_isalpha(text.front()) || text.front() == '_' || text.front() == '/')) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '.' && c != '/') return false;
  }
  return !kWords->contains(absl::AsciiStrToLower(text));
}

class Emitter {
 public:
  void Emit(const Message& message) {
    const Reflection* reflection = message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);  // those set, by number
    if (fields.empty()) out_ << YAML::Flow;
    out_ << YAML::BeginMap;
    for (const FieldDescriptor* field : fields) {
      out_ << YAML::Key << field->name() << YAML::Value;
      if (!field->is_repeated()) {
        EmitValue(message, field, -1);
        continue;
      }
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) out_ << YAML::Flow;
      out_ << YAML::BeginSeq;
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) EmitValue(message, field, i);
      out_ << YAML::EndSeq;
    }
    out_ << YAML::EndMap;
  }

  YAML::Emitter& out() { return out_; }
  std::string Text() const { return absl::StrCat(out_.c_str(), "\n"); }

 private:
  // `index` is -1 for a singular field.
  void EmitValue(const Message& message, const FieldDescriptor* field, int index) {
    const Reflection* r = message.GetReflection();
    const bool one = index < 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        out_ << (one ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        out_ << (one ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        out_ << (one ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        out_ << (one ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        out_ << FormatDouble(one ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_FLOAT:
        out_ << FormatDouble(one ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        out_ << ((one ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index)) ? "true" : "false");
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        out_ << ShortEnumName(field->enum_type(),
                              one ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index));
        break;
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text = one ? r->GetString(message, field) : r->GetRepeatedString(message, field, index);
        if (!IsPlain(text)) out_ << YAML::DoubleQuoted;
        out_ << text;
        break;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        const Message& child = one ? r->GetMessage(message, field) : r->GetRepeatedMessage(message, field, index);
        if (child.GetDescriptor() != Timestamp::descriptor()) return Emit(child);
        const auto& time = static_cast<const Timestamp&>(child);
        out_ << FormatRfc3339(absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()));
        break;
      }
    }
  }

  YAML::Emitter out_;
};

}  // namespace

std::string FormatRfc3339(absl::Time time) {
  constexpr char kFormat[] = "%E4Y-%m-%dT%H:%M:%E*S%Ez";
  std::string text = absl::FormatTime(kFormat, time, ChinaStandardTime());
  return text.find('-') == 4 ? text : absl::FormatTime(kFormat, time, absl::UTCTimeZone());
}

std::string MessageToYaml(const Message& message) {
  Emitter emitter;
  emitter.Emit(message);
  return emitter.Text();
}

std::string PolicyToYaml(const std::vector<v1::PolicyEvent>& events) {
  Emitter emitter;
  if (events.empty()) emitter.out() << YAML::Flow;
  emitter.out() << YAML::BeginSeq;
  for (const v1::PolicyEvent& event : events) emitter.Emit(event);
  emitter.out() << YAML::EndSeq;
  return emitter.Text();
}

}  // namespace sluice
