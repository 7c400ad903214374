// Puts the subcommands of sluicectl together, and runs the one that was asked for.
#include "client/commands.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "agreement/loader.h"
#include "client/completion.h"
#include "client/yaml_message.h"
#include "google/protobuf/util/json_util.h"

namespace sluice {
namespace {

constexpr char kAbout[] =
    "Asks sluiced what it would answer, sets its policy, and tries policies on logs and scenarios.";
constexpr char kFooter[] =
    "Exit codes: 0 allowed or done, 1 denied, rejected or failed, 2 wrong flags or input, 3 no server answers,\n"
    "4 throttled. `sluicectl COMMAND --help` shows a command's flags and an example.";

// Whether to colour what goes to standard output.
bool WantsColor(const Session& session) {
  const char* no_color = std::getenv("NO_COLOR");  // https://no-color.org
  const char* terminal = std::getenv("TERM");
  if (session.no_color || (no_color != nullptr && no_color[0] != '\0')) return false;
  if (terminal != nullptr && absl::string_view(terminal) == "dumb") return false;
  return session.out == &std::cout && isatty(STDOUT_FILENO) == 1;
}

// Brings the words of the global flags into their types. "" where all are right.
std::string Settle(Session* session) {
  if (session->output_word == "json") session->output = Session::Output::kJson;
  if (session->output_word == "yaml") session->output = Session::Output::kYaml;
  if (!absl::ParseDuration(session->timeout_word, &session->timeout) || session->timeout <= absl::ZeroDuration()) {
    return absl::StrCat("--timeout: wanted a duration like 10s or 500ms, got \"", session->timeout_word, "\"");
  }
  if (const absl::Status status = ReadCredentials(session); !status.ok()) return std::string(status.message());
  session->colored = session->output == Session::Output::kTable && WantsColor(*session);
  return "";
}

void AddGlobalFlags(CLI::App* app, Session* session) {
  app->add_option("--server", session->admin_address, "address of the admin listener: unix:/PATH or HOST:PORT")
      ->envname("SLUICE_ADMIN")
      ->capture_default_str();
  app->add_option("--check-server", session->check_address, "address of the listener for checks")
      ->envname("SLUICE_CHECK")
      ->capture_default_str();
  app->add_option("-o,--output", session->output_word, "table for people, json or yaml for programs")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->capture_default_str();
  app->add_option("--timeout", session->timeout_word, "how long to wait for one answer")->capture_default_str();
  app->add_option("--pack", session->pack_path, "an agreement pack; default: the one that is compiled in")
      ->envname("SLUICE_PACK");
  app->add_option("--tls-ca", session->tls_ca_path,
                  "PEM file of the authorities that sign the admin listener's certificate")
      ->envname("SLUICE_TLS_CA");
  app->add_option("--tls-cert", session->tls_certificate_path,
                  "PEM file of the certificate to show to the admin listener")
      ->envname("SLUICE_TLS_CERT");
  app->add_option("--tls-key", session->tls_key_path, "PEM file of its private key")->envname("SLUICE_TLS_KEY");
  app->add_option("--tls-name", session->tls_name, "the name in the admin listener's certificate; default: its host")
      ->envname("SLUICE_TLS_NAME");
  app->add_flag("--check-tls", session->check_tls, "speak TLS, by the same files, to --check-server too")
      ->envname("SLUICE_CHECK_TLS");
  app->add_option("--token-file", session->token_path, "file of the bearer token to show to the admin listener")
      ->envname("SLUICE_TOKEN_FILE");
  app->add_flag("--no-color", session->no_color, "no colours, as with NO_COLOR set");
}

void AddCompletion(CLI::App* app, Session* session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      AddCommand(app, session, "completion", "Print a script that completes sluicectl's commands and flags.",
                 "source <(sluicectl completion bash)", [=] {
                   *session->out << CompletionScript(*app, *shell);
                   return kExitOk;
                 });
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

void AddVersion(CLI::App* app, Session* session) {
  AddCommand(app, session, "version", "Print the version of sluicectl and of the agreement pack.", "sluicectl version",
             [=] {
               absl::StatusOr<std::unique_ptr<const Pack>> pack = session->LoadPack();
               if (!pack.ok()) return session->Fail(pack.status());
               if (session->output == Session::Output::kTable) {
                 *session->out << "sluicectl " << SLUICE_VERSION << "\nagreement pack " << (*pack)->name << " "
                               << (*pack)->version << " (" << (*pack)->digest << ")\n";
               } else {
                 // JSON is YAML too.
                 *session->out << "{\"sluicectl\": \"" << SLUICE_VERSION << "\", \"pack\": {\"name\": \""
                               << (*pack)->name << "\", \"version\": \"" << (*pack)->version << "\", \"digest\": \""
                               << (*pack)->digest << "\"}}\n";
               }
               return static_cast<int>(kExitOk);
             });
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message, bool spread) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = spread;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  // Fails only for text that is no UTF-8, which Protobuf refuses to parse in the first place.
  if (!status.ok()) return absl::StrCat("{\"error\": \"", std::string(status.message()), "\"}");
  if (json.empty() || json.back() != '\n') json.push_back('\n');
  return json;
}

int Session::Fail(const absl::Status& status) const {
  *err << "sluicectl: " << absl::string_view(status.message()) << "\n";
  if (IsUnreachable(status)) return kExitUnreachable;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    default:
      return kExitRefused;
  }
}

int Session::UsageError(absl::string_view message) const {
  *err << "sluicectl: " << message << "\n";
  return kExitUsage;
}

void Session::Print(const google::protobuf::Message& message) const {
  *out << (output == Output::kYaml ? MessageToYaml(message) : ToJson(message, /*spread=*/true)) << std::flush;
}

void Session::PrintItem(const google::protobuf::Message& message) const {
  *out << (output == Output::kYaml ? absl::StrCat("---\n", MessageToYaml(message)) : ToJson(message, /*spread=*/false))
       << std::flush;
}

void Session::Print(const Table& table, absl::string_view indent) const { *out << table.Render(colored, indent); }

absl::StatusOr<std::unique_ptr<const Pack>> Session::LoadPack() const {
  return pack_path.empty() ? LoadDefaultPack() : LoadPackFile(pack_path);
}

CLI::App* AddCommand(CLI::App* parent, Session* session, const std::string& name, const std::string& about,
                     const std::string& example, std::function<int()> run) {
  CLI::App* command = parent->add_subcommand(name, about);
  command->footer(absl::StrCat("Example:\n  ", example));
  command->callback([session, run = std::move(run)] {
    if (const std::string error = Settle(session); !error.empty()) {
      session->exit_code = session->UsageError(error);
    } else {
      session->exit_code = run();
    }
  });
  return command;
}

CLI::App* AddFamily(CLI::App* parent, const std::string& name, const std::string& about) {
  CLI::App* family = parent->add_subcommand(name, about);
  // Exactly one: a name of an object that is also a command's is then no command.
  family->require_subcommand(1);
  return family;
}

int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Session session;
  session.out = &out;
  session.err = &err;
  CLI::App app(kAbout, "sluicectl");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // global flags may stand behind the subcommand; inherited by all
  AddGlobalFlags(&app, &session);
  AddCheckCommands(&app, &session);
  AddUsageCommands(&app, &session);
  AddApplyCommand(&app, &session);
  AddAccountCommands(&app, &session);
  AddRuleCommands(&app, &session);
  AddLimitCommands(&app, &session);
  AddTopCommand(&app, &session);
  AddStreamCommands(&app, &session);
  AddLogCommands(&app, &session);
  AddLocalCommands(&app, &session);
  AddPackCommands(&app, &session);
  AddStoreCommands(&app, &session);
  AddTokenCommand(&app, &session);
  AddCompletion(&app, &session);
  AddVersion(&app, &session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help is asked for, not an error. CLI11 prints the help of the subcommand that was named.
    return app.exit(error, out, err) == 0 ? kExitOk : kExitUsage;
  }
  out.flush();
  if (!out) {
    err << "sluicectl: cannot write the output\n";
    return kExitUsage;
  }
  return session.exit_code;
}

}  // namespace sluice
