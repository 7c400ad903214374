#include "server/config.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agreement/yaml_documents.h"

namespace sluice {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;

int IndexOfKey(absl::string_view name) {
  const absl::Span<const ConfigKey> keys = ConfigKeys();
  for (size_t i = 0; i < keys.size(); ++i) {
    if (name == keys[i].name) return static_cast<int>(i);
  }
  return -1;
}

bool IsSection(absl::string_view name) {
  const std::string prefix = absl::StrCat(name, ".");
  return std::any_of(ConfigKeys().begin(), ConfigKeys().end(),
                     [&prefix](const ConfigKey& key) { return absl::StartsWith(key.name, prefix); });
}

// Letters to add, drop or change to get from `a` to `b`.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string Suggestion(absl::string_view name) {
  const ConfigKey* best = nullptr;
  size_t best_distance = 4;
  if (name.size() > 64) return "";
  for (const ConfigKey& key : ConfigKeys()) {
    const size_t distance = EditDistance(name, key.name);
    if (distance < best_distance) {
      best = &key;
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : absl::StrCat("; did you mean ", best->name, "?");
}

// Reads one YAML document into values by key. Collects faults instead of stopping at the first.
class FileReader {
 public:
  FileReader(absl::string_view file, EffectiveConfig* effective, std::vector<std::string>* faults)
      : file_(file), effective_(effective), faults_(faults) {}

  void Read(const std::string& text) {
    const absl::StatusOr<std::vector<YAML::Node>> documents = LoadYamlDocuments(text, file_);
    if (!documents.ok()) {
      faults_->emplace_back(documents.status().message());
      return;
    }
    if (documents->size() > 1) AddFault((*documents)[1], "", "wanted one YAML document, got more");
    if (!documents->empty() && !documents->front().IsNull()) ReadSection("", documents->front());
  }

 private:
  void AddFault(const YAML::Node& node, absl::string_view key, absl::string_view what) {
    faults_->push_back(absl::StrCat(file_, ":", node.Mark().line + 1, ": ", key, key.empty() ? "" : ": ", what));
  }

  void ReadSection(const std::string& section, const YAML::Node& node) {
    if (!node.IsMap()) {
      AddFault(node, section, absl::StrCat("wanted a section of keys, got ", Kind(node)));
      return;
    }
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        AddFault(entry.first, section, absl::StrCat("wanted the name of a key, got ", Kind(entry.first)));
        continue;
      }
      const std::string name = absl::StrCat(section, section.empty() ? "" : ".", entry.first.Scalar());
      const int index = IndexOfKey(name);
      if (index < 0 && IsSection(name)) {
        if (!sections_.insert(name).second) AddFault(entry.first, name, "this section was given before");
        if (!entry.second.IsNull()) ReadSection(name, entry.second);
      } else if (index < 0) {
        AddFault(entry.first, name, absl::StrCat("there is no such key", Suggestion(name)));
      } else {
        ReadValue(static_cast<size_t>(index), entry.first, entry.second);
      }
    }
  }

  void ReadValue(size_t index, const YAML::Node& name, const YAML::Node& value) {
    const ConfigKey& key = ConfigKeys()[index];
    if (effective_->origins[index] != "default") {
      AddFault(name, key.name, absl::StrCat("given before, at ", effective_->origins[index]));
      return;
    }
    effective_->origins[index] = absl::StrCat(file_, ":", name.Mark().line + 1);
    if (!value.IsScalar()) {
      AddFault(name, key.name, absl::StrCat("wanted ", key.wanted, ", got ", Kind(value)));
      return;
    }
    if (const absl::Status status = key.set(value.Scalar(), &effective_->config); !status.ok()) {
      AddFault(value, key.name, status.message());
    }
  }

  static absl::string_view Kind(const YAML::Node& node) {
    if (node.IsMap()) return "a section";
    if (node.IsSequence()) return "a list";
    if (node.IsNull()) return "nothing";
    return "a single value";
  }

  const absl::string_view file_;
  EffectiveConfig* const effective_;
  std::vector<std::string>* const faults_;
  std::set<std::string> sections_;
};

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot read"));
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": no regular file"));
  if (static_cast<size_t>(info.st_size) > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": wanted at most ", kFileBytesMax, " bytes, got ", info.st_size));
  }
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  if (!stream) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot read"));
  return text.str();
}

// Plain where YAML reads it back as it is, else between quotes.
std::string YamlScalar(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' || c == ':' || c == '_' ||
           c == '-';
  });
  return plain && text.back() != ':' && text != "-" && text != "." ? text : JsonQuote(text);
}

}  // namespace

const std::string& OriginOf(const EffectiveConfig& effective, absl::string_view key) {
  return effective.origins[static_cast<size_t>(IndexOfKey(key))];
}

absl::string_view Version() { return SLUICE_VERSION; }

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine command_line;
  CLI::App app("Answers allow, throttle or deny for a storage gateway or a CDN edge node.", "sluiced");
  bool version = false;
  app.add_option("-c,--config", command_line.config_path, "Configuration file (YAML); a flag below overrides its key.")
      ->type_name("FILE");
  app.add_flag("--check-config", command_line.check_config,
               "Check the configuration, print what would be in force, and exit with 0 or 2.");
  app.add_flag("--version", version, "Print the version and exit.");
  const absl::Span<const ConfigKey> keys = ConfigKeys();
  std::vector<std::string> values(keys.size());
  std::vector<CLI::Option*> options(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string help = absl::StrCat(keys[i].help, "\n", keys[i].wanted,
                                          "; default: ", *keys[i].default_text ? keys[i].default_text : "none");
    options[i] =
        app.add_option(FlagOf(keys[i]), values[i], help)->type_name("VALUE")->group("Keys of the configuration");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    command_line.print = app.help();
    return command_line;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), " (sluiced --help lists the flags)"));
  }
  if (version) command_line.print = absl::StrCat("sluiced ", Version(), "\n");
  for (size_t i = 0; i < keys.size(); ++i) {
    if (options[i]->count() > 0) command_line.overrides.emplace_back(&keys[i], values[i]);
  }
  return command_line;
}

absl::StatusOr<EffectiveConfig> ReadConfig(absl::string_view file, const std::string& yaml,
                                           const CommandLine& command_line) {
  const absl::Span<const ConfigKey> keys = ConfigKeys();
  EffectiveConfig effective;
  effective.origins.assign(keys.size(), "default");
  std::vector<std::string> faults;
  for (const ConfigKey& key : keys) {
    if (const absl::Status status = key.set(key.default_text, &effective.config); !status.ok()) {
      return absl::InternalError(absl::StrCat(key.name, ": unusable default: ", status.message()));
    }
  }
  FileReader(file, &effective, &faults).Read(yaml);
  for (const auto& [key, value] : command_line.overrides) {
    const std::string flag = FlagOf(*key);
    effective.origins[static_cast<size_t>(key - keys.data())] = flag;
    if (const absl::Status status = key->set(value, &effective.config); !status.ok()) {
      faults.push_back(absl::StrCat(flag, ": ", status.message()));
    }
  }
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
  return effective;
}

absl::StatusOr<EffectiveConfig> LoadConfig(const CommandLine& command_line) {
  std::string text;
  if (!command_line.config_path.empty()) {
    absl::StatusOr<std::string> read = ReadFile(command_line.config_path);
    if (!read.ok()) return read.status();
    text = *std::move(read);
  }
  absl::StatusOr<EffectiveConfig> effective = ReadConfig(command_line.config_path, text, command_line);
  if (!effective.ok()) return effective.status();
  if (const absl::Status status = CheckConfig(*effective); !status.ok()) return status;
  return effective;
}

std::vector<absl::string_view> KeysForRestart(const Config& running, const Config& fresh) {
  std::vector<absl::string_view> names;
  for (const ConfigKey& key : ConfigKeys()) {
    if (absl::string_view(key.name) != "log.level" && key.get(running) != key.get(fresh)) names.push_back(key.name);
  }
  return names;
}

std::string FormatConfig(const EffectiveConfig& effective) {
  const absl::Span<const ConfigKey> keys = ConfigKeys();
  std::string text;
  absl::string_view open_section;
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::string_view name = keys[i].name;
    const size_t dot = name.find('.');
    const absl::string_view section = dot == absl::string_view::npos ? "" : name.substr(0, dot);
    if (section != open_section && !section.empty()) absl::StrAppend(&text, section, ":\n");
    open_section = section;
    const absl::string_view leaf = section.empty() ? name : name.substr(dot + 1);
    absl::StrAppend(&text, section.empty() ? "" : "  ", leaf, ": ", YamlScalar(keys[i].get(effective.config)), "  # ",
                    effective.origins[i], "\n");
  }
  return text;
}

}  // namespace sluice
