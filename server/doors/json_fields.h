// A few fields of a JSON message, and nothing else of it. Read as a stream: no tree is built, and what is not asked for
// (secret keys, Authorization headers) is dropped where it stands, so that nothing behind a door can log it.
// Source: docs/decisions/2026-11-26-json-of-hooks.md.
#ifndef SLUICE_SERVER_DOORS_JSON_FIELDS_H_
#define SLUICE_SERVER_DOORS_JSON_FIELDS_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

class JsonFields {
 public:
  // `paths`: names joined by dots, "input.user_info.user_id". An array is transparent: the first scalar in it counts.
  // The names must outlive this: literals.
  JsonFields(std::initializer_list<absl::string_view> paths);

  // Reads one JSON document. INVALID_ARGUMENT, without a word of the document itself, where it is none, nests deeper
  // than 32, holds text that is not UTF-8, or gives a field that is asked for twice.
  absl::Status Read(absl::string_view json);

  // By index in `paths`: text as it is, numbers as written, "true" or "false"; empty for null and what is not there.
  absl::string_view operator[](size_t index) const { return fields_[index].text; }
  bool has(size_t index) const { return fields_[index].seen; }

 private:
  friend class JsonFieldsHandler;
  struct Field {
    absl::string_view path;
    bool seen = false;
    std::string text;
  };
  std::vector<Field> fields_;
};

// `text` as a JSON string, with its quotes.
std::string JsonText(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_JSON_FIELDS_H_
