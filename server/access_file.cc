// The file of Access: its form, its faults, the users and groups that it names.
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agreement/yaml_documents.h"
#include "server/access.h"

namespace sluice {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr size_t kCallersMax = 1024;
constexpr size_t kDigestBytes = 32;

absl::optional<uint32_t> UserId(const std::string& name) {
  passwd entry;
  passwd* found = nullptr;
  std::vector<char> buffer(size_t{64} << 10);
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::nullopt;
  }
  return found->pw_uid;
}

absl::optional<uint32_t> GroupId(const std::string& name) {
  group entry;
  group* found = nullptr;
  std::vector<char> buffer(size_t{256} << 10);
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::nullopt;
  }
  return found->gr_gid;
}

// Reads one document into entries. Collects faults instead of stopping at the first.
class AccessReader {
 public:
  explicit AccessReader(absl::string_view file) : file_(file) {}

  void Read(const std::string& text) {
    const absl::StatusOr<std::vector<YAML::Node>> documents = LoadYamlDocuments(text, file_);
    if (!documents.ok()) {
      faults_.emplace_back(documents.status().message());
    } else if (documents->size() != 1 || !documents->front().IsMap()) {
      faults_.push_back(absl::StrCat(file_, ":1: wanted one YAML document with the key callers"));
    } else {
      ReadFile(documents->front());
    }
  }

  const std::vector<std::string>& faults() const { return faults_; }
  std::vector<Access::Entry>& entries() { return entries_; }

 private:
  void AddFault(const YAML::Node& node, absl::string_view what) {
    faults_.push_back(absl::StrCat(file_, ":", node.Mark().line + 1, ": ", place_, place_.empty() ? "" : ".", what));
  }

  void ReadFile(const YAML::Node& root) {
    bool found = false;
    for (const auto& pair : root) {
      if (!pair.first.IsScalar() || pair.first.Scalar() != "callers" || found) {
        AddFault(pair.first, "wanted the key callers, once and alone");
        continue;
      }
      found = true;
      if (!pair.second.IsSequence()) {
        AddFault(pair.first, "callers: wanted a list");
      } else if (pair.second.size() > kCallersMax) {
        AddFault(pair.first, absl::StrCat("callers: wanted at most ", kCallersMax, ", got ", pair.second.size()));
      } else {
        for (size_t i = 0; i < pair.second.size(); ++i) {
          place_ = absl::StrCat("callers[", i, "]");
          ReadCaller(pair.second[i]);
        }
      }
    }
    place_.clear();
    if (!found) AddFault(root, "wanted the key callers, got none");
  }

  void ReadCaller(const YAML::Node& node) {
    if (!node.IsMap()) {
      AddFault(node, "wanted a section with name, a credential and what it may do");
      return;
    }
    Access::Entry entry;
    std::set<std::string> seen;
    for (const auto& pair : node) {
      const std::string key = pair.first.IsScalar() ? pair.first.Scalar() : "";
      if (!seen.insert(key).second) {
        AddFault(pair.first, absl::StrCat(key, ": given before"));
        continue;
      }
      ReadKey(key, pair.first, pair.second, &entry);
    }
    if (entry.grants.caller.empty()) {
      AddFault(node, "name: wanted a name for the log, got none");
    } else if (!names_.insert(entry.grants.caller).second) {
      AddFault(node, absl::StrCat("name: ", entry.grants.caller, " was given before"));
    }
    if (entry.uids.empty() && entry.gids.empty() && entry.certificate_names.empty() && entry.common_names.empty() &&
        entry.token_digests.empty()) {
      AddFault(node, "wanted a credential: user, uid, group, gid, certificate, common_name or token_sha256");
    }
    if (entry.grants.roles == 0 && !entry.grants.reads_policy && !entry.grants.reads_log && !entry.grants.imports) {
      AddFault(node, "wanted something that it may do: roles, reads or imports");
    }
    entries_.push_back(std::move(entry));
  }

  void ReadKey(const std::string& key, const YAML::Node& name, const YAML::Node& value, Access::Entry* entry) {
    const auto numbers = [](std::vector<uint32_t>* to) {
      return [to](const std::string& text) {
        uint32_t number;
        if (!absl::SimpleAtoi(text, &number)) return std::string("wanted a number");
        to->push_back(number);
        return std::string();
      };
    };
    const auto texts = [](std::vector<std::string>* to) {
      return [to](const std::string& text) {
        if (text.empty()) return std::string("wanted a name");
        to->push_back(text);
        return std::string();
      };
    };
    if (key == "name") {
      if (!value.IsScalar() || value.Scalar().empty() || value.Scalar().size() > 64) {
        AddFault(name, "name: wanted a name of at most 64 bytes");
      } else {
        entry->grants.caller = value.Scalar();
      }
    } else if (key == "uid") {
      ReadAll(key, value, numbers(&entry->uids));
    } else if (key == "gid") {
      ReadAll(key, value, numbers(&entry->gids));
    } else if (key == "user") {
      ReadAll(key, value, [&](const std::string& text) -> std::string {
        const absl::optional<uint32_t> id = UserId(text);
        if (!id) return "there is no such user on this machine";
        entry->uids.push_back(*id);
        return "";
      });
    } else if (key == "group") {
      ReadAll(key, value, [&](const std::string& text) -> std::string {
        const absl::optional<uint32_t> id = GroupId(text);
        if (!id) return "there is no such group on this machine";
        entry->gids.push_back(*id);
        return "";
      });
    } else if (key == "certificate") {
      ReadAll(key, value, texts(&entry->certificate_names));
    } else if (key == "common_name") {
      ReadAll(key, value, texts(&entry->common_names));
    } else if (key == "token_sha256") {
      ReadAll(key, value, [&](const std::string& text) -> std::string {
        const bool hex =
            text.size() == 2 * kDigestBytes && text.find_first_not_of("0123456789abcdef") == std::string::npos;
        // Not shown: it may be the token itself, put into the wrong place.
        if (!hex) return "wanted 64 lower-case hexadecimal digits, as `sluicectl token` prints them";
        entry->token_digests.push_back(absl::HexStringToBytes(text));
        return "";
      });
    } else if (key == "roles") {
      ReadAll(key, value, [&](const std::string& text) -> std::string {
        const absl::optional<Role> role = ParseRole(absl::AsciiStrToUpper(text));
        if (text == "all") {
          entry->grants.roles = kAllRoles;
        } else if (!role || *role == Role::kUnspecified) {
          return absl::StrCat("wanted all, or one of ", RolesText(kAllRoles));
        } else {
          entry->grants.roles |= static_cast<uint8_t>(1 << static_cast<int>(*role));
        }
        return "";
      });
    } else if (key == "reads") {
      ReadAll(key, value, [&](const std::string& text) -> std::string {
        if (text != "policy" && text != "log") return "wanted policy or log";
        (text == "policy" ? entry->grants.reads_policy : entry->grants.reads_log) = true;
        return "";
      });
    } else if (key == "imports") {
      if (!value.IsScalar() || (value.Scalar() != "true" && value.Scalar() != "false")) {
        AddFault(name, "imports: wanted true or false");
      } else {
        entry->grants.imports = value.Scalar() == "true";
      }
    } else {
      AddFault(name, absl::StrCat(key, ": there is no such key; wanted name, user, uid, group, gid, certificate, ",
                                  "common_name, token_sha256, roles, reads or imports"));
    }
  }

  // One value, or a list of them. `take` returns what is wrong with one, "" where nothing is.
  void ReadAll(const std::string& key, const YAML::Node& value,
               const std::function<std::string(const std::string&)>& take) {
    const auto one = [&](const YAML::Node& node) {
      const std::string fault = node.IsScalar() ? take(node.Scalar()) : "wanted a single value, or a list of them";
      if (fault.empty()) return;
      const bool secret = key == "token_sha256";
      AddFault(node, absl::StrCat(key, ": ", fault,
                                  node.IsScalar() && !secret ? absl::StrCat(", got '", node.Scalar(), "'") : ""));
    };
    if (!value.IsSequence()) {
      one(value);
      return;
    }
    for (const YAML::Node& each : value) one(each);
  }

  const absl::string_view file_;
  std::string place_;
  std::set<std::string> names_;
  std::vector<std::string> faults_;
  std::vector<Access::Entry> entries_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Access>> Access::Parse(absl::string_view file, const std::string& yaml) {
  AccessReader reader(file);
  reader.Read(yaml);
  if (!reader.faults().empty()) return absl::InvalidArgumentError(absl::StrJoin(reader.faults(), "\n"));
  auto access = std::make_shared<Access>();
  access->entries_ = std::move(reader.entries());
  return access;
}

absl::StatusOr<std::shared_ptr<const Access>> Access::Load(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is no regular file"));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: wanted a file that its owner alone may write to, got mode %04o: whoever writes to it "
                        "grants roles; chmod go-w",
                        path, info.st_mode & 0777));
  }
  if (static_cast<size_t>(info.st_size) > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": wanted at most ", kFileBytesMax, " bytes, got ", info.st_size));
  }
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  if (!stream) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  return Parse(path, text.str());
}

}  // namespace sluice
