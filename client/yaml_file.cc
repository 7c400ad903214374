// The outside of YAML: files, documents, and the policy file.
#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agreement/yaml_documents.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

// What a YAML reader takes for null. yaml-cpp drops the text of such a scalar.
bool IsNullWord(absl::string_view word) { return word == "~" || word == "null" || word == "Null" || word == "NULL"; }

// Gives the nulls of one document their text back.
class NullText {
 public:
  explicit NullText(absl::string_view text) : lines_(absl::StrSplit(text, '\n')) {}

  void Restore(YAML::Node node) {
    const YAML::Mark mark = node.Mark();
    // An alias leads to a node that was seen before: each is visited once, however often a document repeats it.
    if (!seen_.insert({mark.pos, static_cast<int>(node.Type())}).second) return;
    if (node.IsNull()) {
      node = WordAt(mark);
    } else if (node.IsSequence()) {
      for (YAML::Node child : node) Restore(child);
    } else if (node.IsMap()) {
      for (auto entry : node) Restore(entry.second);
    }
  }

 private:
  std::string WordAt(const YAML::Mark& mark) const {
    if (mark.line < 0 || static_cast<size_t>(mark.line) >= lines_.size()) return "";
    absl::string_view rest = lines_[mark.line];
    if (mark.column < 0 || static_cast<size_t>(mark.column) >= rest.size()) return "";
    rest = rest.substr(mark.column);
    // Of an empty scalar the mark is where the next token begins, which may be a key: "null:" is no null.
    const absl::string_view word = rest.substr(0, rest.find_first_of(" \t\r,]}#"));
    return IsNullWord(word) ? std::string(word) : "";
  }

  const std::vector<absl::string_view> lines_;
  absl::flat_hash_set<std::pair<int, int>> seen_;
};

absl::Status ReadEvent(const YAML::Node& node, absl::string_view file, std::vector<v1::PolicyEvent>* events) {
  v1::PolicyEvent event;
  if (absl::Status status = MergeYaml(node, file, &event); !status.ok()) return status;
  if (event.change_case() == v1::PolicyEvent::CHANGE_NOT_SET) {
    return YamlProblem(node, file, "", "wanted an event with its change, such as `freeze: {account: u1}`");
  }
  events->push_back(std::move(event));
  return absl::OkStatus();
}

absl::Status ReadEvents(const YAML::Node& list, absl::string_view file, std::vector<v1::PolicyEvent>* events) {
  for (const YAML::Node& item : list) {
    if (absl::Status status = ReadEvent(item, file, events); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReadDocument(const YAML::Node& document, absl::string_view file, std::vector<v1::PolicyEvent>* events) {
  if (document.IsSequence()) return ReadEvents(document, file, events);
  if (!document.IsMap()) return YamlError(document, file, "", "a list of events, or a mapping with `events`");
  bool has_list = false;
  for (const auto& entry : document) has_list |= entry.first.IsScalar() && entry.first.Scalar() == "events";
  if (!has_list) return ReadEvent(document, file, events);
  if (document.size() != 1) return YamlProblem(document, file, "events", "wanted no other field beside it");
  const YAML::Node list = document.begin()->second;
  if (!list.IsSequence()) return YamlError(list, file, "events", "a list of events");
  return ReadEvents(list, file, events);
}

}  // namespace

absl::StatusOr<std::vector<YAML::Node>> LoadYaml(absl::string_view text, absl::string_view file) {
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  absl::StatusOr<std::vector<YAML::Node>> documents = LoadYamlDocuments(text, file);
  if (!documents.ok()) return documents;
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(text);
  const bool json = absl::StartsWith(start, "{") || absl::StartsWith(start, "[");
  if (!json) {
    NullText nulls(text);
    for (const YAML::Node& document : *documents) {
      if (!document.IsNull()) nulls.Restore(document);
    }
  }
  return documents;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char chunk[1 << 16];
  while (in) {
    in.read(chunk, sizeof(chunk));
    text.append(chunk, static_cast<size_t>(in.gcount()));
  }
  // A folder opens, and fails at the first read.
  if (!in.eof() || in.bad()) {
    const int number = errno;
    const std::string message = absl::StrCat(path, ": cannot read: ", std::generic_category().message(number));
    if (number == ENOENT) return absl::NotFoundError(message);
    if (number == EACCES) return absl::PermissionDeniedError(message);
    return absl::UnavailableError(message);
  }
  return text;
}

absl::StatusOr<std::vector<v1::PolicyEvent>> ReadPolicyText(absl::string_view text, absl::string_view file) {
  absl::StatusOr<std::vector<YAML::Node>> documents = LoadYaml(text, file);
  if (!documents.ok()) return documents.status();
  std::vector<v1::PolicyEvent> events;
  bool any = false;
  for (const YAML::Node& document : *documents) {
    if (document.IsNull()) continue;  // nothing but comments
    any = true;
    if (absl::Status status = ReadDocument(document, file, &events); !status.ok()) return status;
  }
  if (!any) return absl::InvalidArgumentError(absl::StrCat(file, ": wanted a list of events, got nothing"));
  return events;
}

absl::StatusOr<std::vector<v1::PolicyEvent>> ReadPolicyFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  return ReadPolicyText(*text, path);
}

}  // namespace sluice
