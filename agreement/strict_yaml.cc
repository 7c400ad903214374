#include "agreement/strict_yaml.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agreement/yaml_documents.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr size_t kGotBytesMax = 80;

// `text` in quotes, short and on one line.
std::string Quoted(absl::string_view text) {
  const bool cut = text.size() > kGotBytesMax;
  if (cut) {
    text = text.substr(0, kGotBytesMax);
    // Never half a character: drop the continuation bytes at the cut, and the one that leads them.
    while (!text.empty() && !IsUtf8(text)) text.remove_suffix(1);
  }
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text), cut ? "..." : "", "\"");
}

std::string KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return Quoted(node.Scalar());
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    default:
      return "nothing";
  }
}

// yaml-cpp counts from 0.
int LineOf(const YAML::Node& node) { return node.Mark().is_null() ? 1 : node.Mark().line + 1; }

bool Has(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

absl::optional<YamlValue> StrictYaml::Parse(absl::string_view text) {
  if (text.size() > kBytesMax) {
    RefuseLine(1, "size", absl::StrCat("at most ", kBytesMax, " bytes"), absl::StrCat(text.size()));
    return absl::nullopt;
  }
  const absl::StatusOr<std::vector<YAML::Node>> documents = LoadYamlDocuments(text, file_name_);
  if (!documents.ok()) {
    ++count_;
    errors_.push_back({1, std::string(documents.status().message())});
    return absl::nullopt;
  }
  if (documents->size() == 1) return YamlValue{documents->front(), ""};
  RefuseLine(documents->size() < 2 ? 1 : LineOf((*documents)[1]), "file", "one YAML document",
             documents->empty() ? "nothing" : absl::StrCat(documents->size()));
  return absl::nullopt;
}

std::vector<YamlEntry> StrictYaml::Entries(const YamlValue& map) {
  std::vector<YamlEntry> entries;
  if (!map.node.IsMap()) {
    Refuse(map, "a map");
    return entries;
  }
  // yaml-cpp keeps all pairs of a map, and silently looks up the first of those with one key.
  absl::flat_hash_map<std::string, int> lines;
  for (const auto& pair : map.node) {
    if (!pair.first.IsScalar()) {
      Refuse({pair.first, map.what}, "a word as a key");
      continue;
    }
    const std::string& key = pair.first.Scalar();
    const auto [first, inserted] = lines.try_emplace(key, LineOf(pair.first));
    if (!inserted) {
      Refuse({pair.first, map.what}, "each key once", absl::StrCat(Quoted(key), " again, after line ", first->second));
      continue;
    }
    // What is empty begins for yaml-cpp where the next thing does, which may be far below.
    const int line = pair.second.IsNull() ? LineOf(pair.first) : 0;
    entries.push_back(
        {key, pair.first, {pair.second, map.what.empty() ? key : absl::StrCat(map.what, ".", key), line}});
  }
  return entries;
}

absl::flat_hash_map<std::string, YamlValue> StrictYaml::Members(const YamlValue& map,
                                                                const std::vector<std::string>& names,
                                                                const std::vector<std::string>& optional) {
  absl::flat_hash_map<std::string, YamlValue> members;
  if (!map.node.IsMap()) {
    Refuse(map, absl::StrCat("a map of ", absl::StrJoin(names, ", ")));
    return members;
  }
  for (YamlEntry& entry : Entries(map)) {
    if (Has(names, entry.key) || Has(optional, entry.key)) {
      members.emplace(entry.key, std::move(entry.value));
      continue;
    }
    std::vector<std::string> known = names;
    known.insert(known.end(), optional.begin(), optional.end());
    Refuse({entry.key_node, map.what}, absl::StrCat("one of ", absl::StrJoin(known, ", ")), Quoted(entry.key));
  }
  for (const std::string& name : names) {
    if (members.find(name) != members.end()) continue;
    Refuse({map.node, map.what.empty() ? name : absl::StrCat(map.what, ".", name)}, "a value", "nothing");
  }
  return members;
}

absl::optional<std::vector<YamlValue>> StrictYaml::Items(const YamlValue& list, absl::string_view wanted) {
  if (!list.node.IsSequence()) {
    Refuse(list, wanted);
    return absl::nullopt;
  }
  std::vector<YamlValue> items;
  for (const auto& item : list.node) {
    const int line = item.IsNull() ? LineOf(list.node) : 0;
    items.push_back({item, absl::StrCat(list.what, "[", items.size(), "]"), line});
  }
  return items;
}

absl::optional<std::string> StrictYaml::Text(const YamlValue& value, absl::string_view wanted) {
  if (!value.node.IsScalar()) {
    Refuse(value, wanted);
    return absl::nullopt;
  }
  return value.node.Scalar();
}

void StrictYaml::Refuse(const YamlValue& value, absl::string_view wanted) { Refuse(value, wanted, KindOf(value.node)); }

void StrictYaml::Refuse(const YamlValue& value, absl::string_view wanted, absl::string_view got) {
  RefuseLine(value.line != 0 ? value.line : LineOf(value.node),
             value.what.empty() ? "file" : absl::string_view(value.what), wanted, got);
}

void StrictYaml::RefuseLine(int line, absl::string_view what, absl::string_view wanted, absl::string_view got) {
  if (++count_ > kErrorsMax) return;
  errors_.push_back({line, absl::StrCat(file_name_, ":", line, ": ", what, ": wanted ", wanted, ", got ", got)});
}

absl::Status StrictYaml::status() const {
  if (ok()) return absl::OkStatus();
  std::vector<std::pair<int, std::string>> errors = errors_;
  std::stable_sort(errors.begin(), errors.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string message = absl::StrJoin(
      errors, "\n", [](std::string* out, const std::pair<int, std::string>& error) { out->append(error.second); });
  if (count_ > kErrorsMax) absl::StrAppend(&message, "\nand ", count_ - kErrorsMax, " more");
  return absl::InvalidArgumentError(message);
}

}  // namespace sluice
