// The command line of sluicectl: what its subcommands share. commands.cc puts them together; each commands_*.cc adds a
// family of them. Everything here runs on one thread.
#ifndef SLUICE_CLIENT_COMMANDS_H_
#define SLUICE_CLIENT_COMMANDS_H_

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/connection.h"
#include "client/table.h"
#include "enforcement/pack.h"
#include "google/protobuf/message.h"
#include "sluice/v1/policy.pb.h"

namespace sluice {

// What a program that calls sluicectl goes by. Documented in docs/sluicectl.md.
enum ExitCode : int {
  kExitOk = 0,           // allowed, applied, passed
  kExitRefused = 1,      // denied, rejected, failed
  kExitUsage = 2,        // wrong flags, unreadable input
  kExitUnreachable = 3,  // no server answers
  kExitThrottled = 4,    // not now
};

// What the flags before and behind every subcommand say, and where to write.
struct Session {
  enum class Output : uint8_t { kTable, kJson, kYaml };

  std::string admin_address = "unix:/run/sluice/admin.sock";
  std::string check_address = "unix:/run/sluice/check.sock";
  std::string output_word = "table";
  std::string timeout_word = "10s";
  std::string pack_path;  // "" = the agreement pack that is compiled in
  bool no_color = false;
  // What to show to the admin listener: paths, but for the name.
  std::string tls_ca_path, tls_certificate_path, tls_key_path, tls_name, token_path;
  bool check_tls = false;  // whether TLS is for the listener of checks too

  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  int exit_code = kExitOk;

  // Of the words above, once they are parsed.
  Output output = Output::kTable;
  absl::Duration timeout = absl::Seconds(10);
  bool colored = false;

  std::string tls_ca, tls_certificate, tls_key, token;

  Connection Admin() const {
    return Connection(
        {admin_address, "--server or SLUICE_ADMIN", timeout, tls_ca, tls_certificate, tls_key, tls_name, token});
  }
  Connection Checks() const {
    Connection::Options options = {check_address, "--check-server or SLUICE_CHECK", timeout};
    if (check_tls) {
      options.tls_ca = tls_ca;
      options.tls_certificate = tls_certificate;
      options.tls_key = tls_key;
      options.tls_name = tls_name;
    }
    return Connection(std::move(options));
  }

  // Writes "sluicectl: MESSAGE" and returns the exit code that goes with it.
  int Fail(const absl::Status& status) const;
  int UsageError(absl::string_view message) const;

  // Writes `message` as JSON or YAML. REQUIRES: output is not kTable.
  void Print(const google::protobuf::Message& message) const;
  // As one line of JSON, or a YAML document, for streams.
  void PrintItem(const google::protobuf::Message& message) const;
  void Print(const Table& table, absl::string_view indent = "") const;

  // The agreement pack: for default roles, for clauses, for what runs in process.
  absl::StatusOr<std::unique_ptr<const Pack>> LoadPack() const;
};

// Adds a subcommand whose `run` gives the exit code. `example` is shown under its help.
CLI::App* AddCommand(CLI::App* parent, Session* session, const std::string& name, const std::string& about,
                     const std::string& example, std::function<int()> run);
// Adds a subcommand that only holds others.
CLI::App* AddFamily(CLI::App* parent, const std::string& name, const std::string& about);

void AddCheckCommands(CLI::App* app, Session* session);    // check, explain
void AddUsageCommands(CLI::App* app, Session* session);    // tail-usage
void AddApplyCommand(CLI::App* app, Session* session);     // apply
void AddAccountCommands(CLI::App* app, Session* session);  // account
void AddRuleCommands(CLI::App* app, Session* session);     // flag, order
void AddLimitCommands(CLI::App* app, Session* session);    // limit
void AddTopCommand(CLI::App* app, Session* session);       // top
void AddStreamCommands(CLI::App* app, Session* session);   // watch, export, import
void AddLogCommands(CLI::App* app, Session* session);      // log
void AddLocalCommands(CLI::App* app, Session* session);    // test, replay
void AddPackCommands(CLI::App* app, Session* session);     // pack
void AddTokenCommand(CLI::App* app, Session* session);     // token
void AddStoreCommands(CLI::App* app, Session* session);    // store

// Reads the files that --tls-ca and the like name. INVALID_ARGUMENT, NOT_FOUND: which flag, which file, what is wrong.
absl::Status ReadCredentials(Session* session);

// Runs sluicectl. `out` and `err` are where it writes, but for progress bars, which go to the terminal of standard
// error.
int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

// ---- Shared pieces of the families
// -----------------------------------------------------------------------------------

// The flags that name one subject.
struct SubjectFlags {
  std::string account, bucket, key, prefix, version_id, hash, host, path, client_ip;

  void AddTo(CLI::App* app);
  bool empty() const;
  absl::StatusOr<v1::Subject> ToMessage() const;
};

// The flags that every event can carry.
struct EventFlags {
  std::string role, note, event_id, effective_at;

  void AddTo(CLI::App* app);
};

// "sha256:9f86d0..." -> algorithm and digest.
absl::Status ParseHash(absl::string_view text, v1::ContentHash* hash);
// RFC 3339, "now", or a stretch from now: "+2h", "-30m", "+7d". INVALID_ARGUMENT names `flag`.
absl::Status ParseWhen(absl::string_view flag, absl::string_view text, google::protobuf::Timestamp* time);
// The number of a word of an enum, in any case of letters and with "-" for "_". INVALID_ARGUMENT lists the words.
absl::StatusOr<int> ParseWord(absl::string_view flag, const google::protobuf::EnumDescriptor* type,
                              absl::string_view text);
// A new id: the prefix and ten random letters and digits, "flag-k3v9mpxw2a".
std::string NewId(absl::string_view prefix);

// Gives an event what it lacks where no server is asked: the source "sluicectl", and the first role that the pack lets
// send its change. A server gives the first role that its sender may send as, too.
void FillEventDefaults(const Pack& pack, v1::PolicyEvent* event);
// Applies one event, prints what became of it under `about` ("flag f1 raised"), and gives the exit code.
int ApplyOne(const Session& session, const EventFlags& flags, v1::PolicyEvent event, absl::string_view about);

// A short name for people: "object b1/k1". "-" where nothing is set.
std::string SubjectText(const v1::Subject& subject);
// "2026-03-01 10:00:00", in China Standard Time; "-" where it is unset.
std::string TimeText(const google::protobuf::Timestamp& time);
// What an event says, for tables: "flag f1", "object b1/k1", "3.1.3.5.3 BLOCK".
struct EventText {
  std::string kind;
  std::string id;
  std::string subject;
  std::string detail;
};
EventText TextOf(const v1::PolicyEvent& event);
// A table of events: kind, id, subject, detail, since, set by, note.
Table TableOfEvents(const google::protobuf::RepeatedPtrField<v1::PolicyEvent>& events);
// Runs `List` to its last page and prints it.
int PrintList(const Session& session, const std::string& kind, const SubjectFlags& subject);

// A message as JSON; with `spread` over many lines, each ending in one.
std::string ToJson(const google::protobuf::Message& message, bool spread);
// JSON as YAML, spread over lines; as it is where it is no JSON.
std::string SpreadYaml(const std::string& json);

Color ColorOf(v1::Verdict verdict);

}  // namespace sluice

#endif  // SLUICE_CLIENT_COMMANDS_H_
