#include "client/completion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

struct Flag {
  std::string name;  // "--server"
  std::string about;
  bool takes_value = false;
};
// One command, by the words that lead to it: "" for sluicectl itself, "account show".
struct Command {
  std::string path;
  std::string about;
  std::vector<std::string> children;
  std::vector<Flag> flags;
};

std::vector<Flag> FlagsOf(const CLI::App& app) {
  std::vector<Flag> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      flags.push_back({absl::StrCat("--", name), option->get_description(), option->get_items_expected_max() > 0});
    }
  }
  return flags;
}

void Collect(const CLI::App& app, const std::string& path, std::vector<Command>* commands) {
  const size_t index = commands->size();
  commands->push_back({path, app.get_description(), {}, FlagsOf(app)});
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    (*commands)[index].children.push_back(child->get_name());
    Collect(*child, path.empty() ? child->get_name() : absl::StrCat(path, " ", child->get_name()), commands);
  }
}

// What may follow the command: its children and flags, and the flags that every command takes.
std::string WordsOf(const Command& command, const Command& root) {
  std::vector<std::string> words = command.children;
  for (const Flag& flag : command.flags) words.push_back(flag.name);
  if (&command != &root) {
    for (const Flag& flag : root.flags) {
      if (flag.name != "--help") words.push_back(flag.name);
    }
  }
  return absl::StrJoin(words, " ");
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// The two `case`s that bash and zsh share: which command the words so far name, and what may follow it.
std::string KnownPaths(const std::vector<Command>& commands) {
  std::vector<std::string> paths;
  for (const Command& command : commands) {
    if (!command.path.empty()) paths.push_back(Quoted(command.path));
  }
  return absl::StrJoin(paths, "|");
}

std::string BashScript(const std::vector<Command>& commands) {
  std::string script = absl::StrCat(
      "# bash completion of sluicectl. Source it, or store it as /etc/bash_completion.d/sluicectl.\n"
      "_sluicectl() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" next i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    next=\"${path:+$path }${COMP_WORDS[i]}\"\n"
      "    case \"$next\" in\n"
      "      ",
      KnownPaths(commands), ") path=\"$next\" ;;\n    esac\n  done\n  case \"$path\" in\n");
  for (const Command& command : commands) {
    absl::StrAppend(&script, "    ", Quoted(command.path), ") words=", Quoted(WordsOf(command, commands[0])), " ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                  "}\n"
                  "complete -o default -F _sluicectl sluicectl\n");
  return script;
}

std::string ZshScript(const std::vector<Command>& commands) {
  std::string script = absl::StrCat(
      "#compdef sluicectl\n"
      "# zsh completion of sluicectl. Source it, or store it as _sluicectl in a folder of $fpath.\n"
      "_sluicectl() {\n"
      "  local known=\"\" next word\n"
      "  local -a candidates\n"
      "  for word in ${words[2,CURRENT-1]}; do\n"
      "    next=\"${known:+$known }$word\"\n"
      "    case \"$next\" in\n"
      "      ",
      KnownPaths(commands), ") known=\"$next\" ;;\n    esac\n  done\n  case \"$known\" in\n");
  for (const Command& command : commands) {
    absl::StrAppend(&script, "    ", Quoted(command.path), ") candidates=(", WordsOf(command, commands[0]), ") ;;\n");
  }
  absl::StrAppend(
      &script,
      "  esac\n"
      "  compadd -- $candidates\n"
      "  [[ \"${words[CURRENT]}\" == -* ]] || _files\n"
      "}\n"
      "if [[ \"${funcstack[1]}\" == _sluicectl ]]; then _sluicectl \"$@\"; else compdef _sluicectl sluicectl; fi\n");
  return script;
}

// fish asks each line by itself: a condition says behind which commands it holds.
std::string FishCondition(const Command& command) {
  if (command.path.empty()) return "__fish_use_subcommand";
  std::vector<std::string> conditions;
  for (const absl::string_view word : absl::StrSplit(command.path, ' ')) {
    conditions.push_back(absl::StrCat("__fish_seen_subcommand_from ", word));
  }
  return absl::StrJoin(conditions, "; and ");
}

std::string FishScript(const std::vector<Command>& commands) {
  std::string script = "# fish completion of sluicectl. Store it as ~/.config/fish/completions/sluicectl.fish.\n";
  const auto flags = [&](const Command& command, absl::string_view condition) {
    for (const Flag& flag : command.flags) {
      absl::StrAppend(&script, "complete -c sluicectl", condition, " -l ", absl::string_view(flag.name).substr(2),
                      flag.takes_value ? " -r" : "", " -d ", Quoted(flag.about), "\n");
    }
  };
  flags(commands[0], "");
  for (const Command& command : commands) {
    std::string condition = FishCondition(command);
    if (!command.path.empty()) flags(command, absl::StrCat(" -n ", Quoted(condition)));
    if (command.children.empty()) continue;
    if (!command.path.empty()) {
      absl::StrAppend(&condition, "; and not __fish_seen_subcommand_from ", absl::StrJoin(command.children, " "));
    }
    for (const std::string& child : command.children) {
      const std::string path = command.path.empty() ? child : absl::StrCat(command.path, " ", child);
      for (const Command& other : commands) {
        if (other.path != path) continue;
        absl::StrAppend(&script, "complete -c sluicectl -f -n ", Quoted(condition), " -a ", child, " -d ",
                        Quoted(other.about), "\n");
      }
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const CLI::App& app, absl::string_view shell) {
  std::vector<Command> commands;
  Collect(app, "", &commands);
  if (shell == "bash") return BashScript(commands);
  return shell == "zsh" ? ZshScript(commands) : FishScript(commands);
}

}  // namespace sluice
