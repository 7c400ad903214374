#include "server/doors/json_fields.h"

// A failed assertion inside RapidJSON would end the process over a message: it is told not to have any.
#define RAPIDJSON_ASSERT(x) static_cast<void>(0)
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "absl/strings/str_cat.h"

namespace sluice {

// Keeps the path of where it is, and of all text only what is asked for.
class JsonFieldsHandler {
 public:
  explicit JsonFieldsHandler(JsonFields* fields) : fields_(fields) {}

  bool Null() { return Scalar({}); }
  bool Bool(bool value) { return Scalar(value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return Scalar({text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) { return Scalar({text, size}); }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    path_.resize(levels_.back().path_size);
    // A dot inside a name must not look like a step.
    const absl::string_view name(text, size);
    if (name.size() > kNameBytesMax || name.find('.') != absl::string_view::npos) {
      absl::StrAppend(&path_, ".?.");
    } else {
      absl::StrAppend(&path_, path_.empty() ? "" : ".", name);
    }
    return true;
  }
  bool StartObject() { return Push(false); }
  bool EndObject(rapidjson::SizeType) { return Pop(); }
  bool StartArray() { return Push(true); }
  bool EndArray(rapidjson::SizeType) { return Pop(); }
  // Never called: numbers come raw. RapidJSON wants them to be there.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  absl::string_view fault() const { return fault_; }

 private:
  static constexpr size_t kDepthMax = 32;
  static constexpr size_t kNameBytesMax = 256;
  struct Level {
    size_t path_size;
    bool array;
    int scalars;  // seen in this array
  };

  bool Push(bool array) {
    if (levels_.size() >= kDepthMax) {
      fault_ = "nests deeper than 32";
      return false;
    }
    levels_.push_back({path_.size(), array, 0});
    return true;
  }
  bool Pop() {
    path_.resize(levels_.back().path_size);
    levels_.pop_back();
    return true;
  }
  bool Scalar(absl::string_view text) {
    bool later_in_array = false;
    for (Level& level : levels_) {
      if (level.array) later_in_array |= level.scalars++ > 0;
    }
    if (later_in_array) return true;
    for (JsonFields::Field& field : fields_->fields_) {
      if (field.path != path_) continue;
      if (field.seen) {
        fault_ = "gives a field twice";
        return false;
      }
      field.seen = true;
      field.text.assign(text.data(), text.size());
    }
    return true;
  }

  JsonFields* const fields_;
  std::string path_;
  std::vector<Level> levels_;
  absl::string_view fault_;
};

JsonFields::JsonFields(std::initializer_list<absl::string_view> paths) {
  fields_.reserve(paths.size());
  for (const absl::string_view path : paths) fields_.push_back({path, false, {}});
}

absl::Status JsonFields::Read(absl::string_view json) {
  for (Field& field : fields_) {
    field.seen = false;
    field.text.clear();
  }
  JsonFieldsHandler handler(this);
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, handler);
  if (!result.IsError() && stream.Tell() == json.size()) return absl::OkStatus();
  const absl::string_view fault = !result.IsError()         ? "a zero byte"
                                  : handler.fault().empty() ? rapidjson::GetParseError_En(result.Code())
                                                            : handler.fault();
  return absl::InvalidArgumentError(absl::StrCat("body: wanted one JSON document, got ", json.size(),
                                                 " bytes that are none; at byte ", stream.Tell(), ": ", fault));
}

std::string JsonText(absl::string_view text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return std::string(buffer.GetString(), buffer.GetSize());
}

}  // namespace sluice
