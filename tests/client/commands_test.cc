#include "client/commands.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agreement/loader.h"
#include "client/export_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/run_words.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest()
      : base_(absl::StrCat(testing::TempDir(), "/commands_", getpid(), "_",
                           testing::UnitTest::GetInstance()->current_test_info()->name())) {}
  ~CommandsTest() override {
    for (const std::string& file : files_) std::remove(file.c_str());
  }
  std::string File(const std::string& suffix, const std::string& text) {
    files_.push_back(base_ + suffix);
    std::ofstream(files_.back(), std::ios::binary) << text;
    return files_.back();
  }
  std::string base_;
  std::vector<std::string> files_;
};

// ---- Usage ----------------------------------------------------------------------------------------------------------

TEST_F(CommandsTest, WithoutACommandSaysWhatThereIs) {
  const Ran ran = RunWords({});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("subcommand is required"));
}

TEST_F(CommandsTest, HelpIsNoErrorAndEveryCommandHasAnExample) {
  const Ran help = RunWords({"--help"});
  EXPECT_EQ(help.code, kExitOk);
  EXPECT_THAT(help.out, HasSubstr("Exit codes"));
  const std::vector<std::vector<std::string>> commands = {{"check"},
                                                          {"explain"},
                                                          {"apply"},
                                                          {"account", "show"},
                                                          {"pack", "check"},
                                                          {"pack", "diff"},
                                                          {"pack", "print"},
                                                          {"account", "freeze"},
                                                          {"account", "unfreeze"},
                                                          {"flag", "add"},
                                                          {"flag", "remove"},
                                                          {"flag", "list"},
                                                          {"order", "issue"},
                                                          {"order", "lift"},
                                                          {"order", "list"},
                                                          {"limit", "set"},
                                                          {"limit", "clear"},
                                                          {"limit", "list"},
                                                          {"watch"},
                                                          {"export"},
                                                          {"import"},
                                                          {"test"},
                                                          {"replay"},
                                                          {"store", "check"},
                                                          {"store", "backup"},
                                                          {"store", "restore"},
                                                          {"token"},
                                                          {"completion"},
                                                          {"version"}};
  for (std::vector<std::string> command : commands) {
    const std::string name = command[0];
    command.push_back("--help");
    const Ran ran = RunWords(command);
    EXPECT_EQ(ran.code, kExitOk) << name;
    EXPECT_THAT(ran.out, HasSubstr("Example:\n  ")) << name;
  }
}

TEST_F(CommandsTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(RunWords({"chekc"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"check", "--no-such-flag"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"account"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"account", "show"}).code, kExitUsage) << "the name is missing";
  EXPECT_EQ(RunWords({"version", "-o", "xml"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"version", "--timeout", "soon"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"version", "--timeout", "-1s"}).code, kExitUsage);
}

TEST_F(CommandsTest, NamesTheWordsThatAFlagTakes) {
  const Ran ran = RunWords({"check", "--operation", "READ"});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("--operation"), HasSubstr("PUBLIC_READ"), HasSubstr("\"READ\""),
                             Not(HasSubstr("UNSPECIFIED"))));
  EXPECT_EQ(RunWords({"check", "--operation", "99"}).code, kExitUsage) << "a number that the contract lacks";
  EXPECT_THAT(RunWords({"check"}).err, HasSubstr("--operation is missing"));
}

TEST_F(CommandsTest, RefusesMalformedValues) {
  EXPECT_THAT(RunWords({"check", "--op", "UPLOAD", "--hash", "abc"}).err, HasSubstr("ALGORITHM:DIGEST"));
  EXPECT_THAT(RunWords({"explain", "--op", "UPLOAD", "--at", "tomorrow"}).err, HasSubstr("--at: wanted a time"));
  EXPECT_THAT(RunWords({"check", "--json", "{\"operation\": \"UPLOAD\", \"buket\": \"b\"}"}).err, HasSubstr("buket"));
  EXPECT_EQ(RunWords({"check", "--json", base_ + ".absent"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"check", "--op", "UPLOAD", "--bytes", "-1"}).code, kExitUsage);
  EXPECT_THAT(RunWords({"limit", "set", "--rate", "1"}).err, HasSubstr("--scope"));
  EXPECT_EQ(RunWords({"limit", "set", "--rate", "-1", "--scope", "ACCOUNT"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"flag", "add", "--bucket", "b"}).code, kExitUsage) << "a flag needs a category";
  EXPECT_THAT(RunWords({"tail-usage", base_, "--owner", std::string(257, 'u')}).err,
              HasSubstr("--owner: wanted UTF-8"));
}

TEST_F(CommandsTest, TellsWhereAPolicyFileIsWrong) {
  const std::string file = File(".yaml", "- freeze: {account: u1}\n- freze: {account: u2}\n");
  const Ran ran = RunWords({"apply", "-f", file});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat(file, ":2:")));
  EXPECT_EQ(RunWords({"apply", "-f", base_ + ".absent"}).code, kExitUsage);
}

TEST_F(CommandsTest, RefusesAPackThatCannotBeRead) {
  const Ran ran = RunWords({"version", "--pack", base_ + ".absent"});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr(".absent"));
}

// ---- No server ------------------------------------------------------------------------------------------------------

TEST_F(CommandsTest, SaysWhichAddressDoesNotAnswerAndWhatToTry) {
  const std::string address = absl::StrCat("unix:", base_, ".sock");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"account", "show", "u1"},
                                             {"account", "freeze", "u1"},
                                             {"flag", "list"},
                                             {"limit", "list"},
                                             {"watch"},
                                             {"export", base_ + ".export"},
                                             {"explain", "--op", "UPLOAD", "--bucket", "b"}}) {
    std::vector<std::string> words = command;
    words.insert(words.end(), {"--server", address});
    const Ran ran = RunWords(words);
    EXPECT_EQ(ran.code, kExitUnreachable) << command[0];
    EXPECT_THAT(ran.err, AllOf(HasSubstr("no server answers at " + address), HasSubstr("there is no "),
                               HasSubstr("SLUICE_ADMIN")))
        << command[0];
  }
  const Ran check = RunWords({"--check-server", address, "check", "--op", "UPLOAD", "--bucket", "b"});
  EXPECT_EQ(check.code, kExitUnreachable);
  EXPECT_THAT(check.err, HasSubstr("SLUICE_CHECK"));
  EXPECT_NE(access((base_ + ".export").c_str(), F_OK), 0) << "no file where there was nothing to export";
}

TEST_F(CommandsTest, TellsAFileThatIsNoSocket) {
  const std::string file = File(".file", "");
  EXPECT_THAT(RunWords({"account", "show", "u1", "--server", "unix:" + file}).err, HasSubstr("is no socket"));
}

TEST_F(CommandsTest, TakesAddressesFromTheEnvironmentAndFlagsBeforeIt) {
  setenv("SLUICE_ADMIN", "unix:/nonexistent/from-env.sock", 1);
  EXPECT_THAT(RunWords({"flag", "list"}).err, HasSubstr("from-env.sock"));
  EXPECT_THAT(RunWords({"flag", "list", "--server", "unix:/nonexistent/from-flag.sock"}).err,
              HasSubstr("from-flag.sock"));
  unsetenv("SLUICE_ADMIN");
  EXPECT_THAT(RunWords({"flag", "list"}).err, HasSubstr("unix:/run/sluice/admin.sock"));
}

TEST_F(CommandsTest, ANameMayBeThatOfACommand) {
  const Ran ran = RunWords({"account", "show", "check", "--server", "unix:/nonexistent/a.sock"});
  EXPECT_EQ(ran.code, kExitUnreachable) << ran.err;
}

// ---- In process -----------------------------------------------------------------------------------------------------

constexpr char kPolicy[] =
    "- open_account: {account: u1}\n- paid: {account: u1}\n- bind_bucket: {bucket: b1, account: u1}\n"
    "- raise_flag: {flag_id: f1, subject: {bucket: b1, key: bad}, category: 3.1.3.5.4}\n";
constexpr char kLog[] =
    "192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET /good HTTP/1.1\" 200 10\n"
    "192.0.2.1 - - [17/May/2015:10:05:04 +0000] \"GET /bad HTTP/1.1\" 200 20\nbroken\n";

TEST_F(CommandsTest, ReplayPrintsTablesAndJson) {
  const std::string policy = File(".yaml", kPolicy);
  const std::string log = File(".log", kLog);
  const Ran tables = RunWords({"replay", log, "--policy", policy, "--bucket", "b1"});
  EXPECT_EQ(tables.code, kExitOk) << tables.err;
  EXPECT_THAT(tables.out,
              AllOf(HasSubstr("3 read, 2 asked, 1 unreadable"), HasSubstr("CONTENT_PROHIBITED  3.1.3.5.4  f1"),
                    HasSubstr("broken"), Not(HasSubstr("\x1b"))));
  const Ran json = RunWords({"replay", log, "--policy", policy, "--bucket", "b1", "-o", "json"});
  EXPECT_EQ(json.code, kExitOk);
  EXPECT_THAT(json.out, AllOf(StartsWith("{"), HasSubstr("\"DENY\":{\"requests\":1,\"bytes\":20}")));
  EXPECT_EQ(RunWords({"replay", "--bucket", "b1", "--policy", policy, log}).code, kExitOk) << "a flag takes one value";
  const Ran yaml = RunWords({"replay", log, "--policy", policy, "--bucket", "b1", "-o", "yaml"});
  EXPECT_THAT(yaml.out, HasSubstr("\n  DENY:\n    requests: 1\n"));
}

TEST_F(CommandsTest, ReplayRefusesWhatItCannotUse) {
  const std::string policy = File(".yaml", kPolicy);
  const std::string log = File(".log", kLog);
  EXPECT_THAT(RunWords({"replay", log}).err, HasSubstr("replay needs a policy"));
  EXPECT_EQ(RunWords({"replay", base_ + ".absent", "--policy", policy}).code, kExitUsage);
  EXPECT_EQ(RunWords({"replay", log, "--policy", policy, "--reorder", "x"}).code, kExitUsage);
  EXPECT_EQ(RunWords({"replay", log, "--export", policy}).code, kExitUsage) << "a policy file is no export";
  EXPECT_EQ(RunWords({"replay", log, "--export", policy, "--live"}).code, kExitUsage);
  EXPECT_THAT(RunWords({"replay", File(".empty", ""), "--policy", policy}).err, HasSubstr("is empty"));
  const Ran none = RunWords({"replay", File(".txt", "no\nlog\n"), "--policy", policy});
  EXPECT_EQ(none.code, kExitUsage);
  EXPECT_THAT(none.err, HasSubstr("no line of"));
  const std::string rejected = File(".rejected", "- clear_flag: {flag_id: nobody}\n");
  const Ran refused = RunWords({"replay", log, "--policy", rejected});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_THAT(refused.err, HasSubstr("would be rejected"));
}

TEST_F(CommandsTest, DefaultRolesFollowTheCategoryAndTheCause) {
  auto pack = LoadDefaultPack();
  ASSERT_TRUE(pack.ok()) << pack.status();
  v1::PolicyEvent event;
  event.mutable_raise_flag()->set_category("3.1.3.5.3");
  FillEventDefaults(**pack, &event);
  EXPECT_EQ(event.role(), v1::ROLE_MODERATION);
  EXPECT_EQ(event.source(), "sluicectl");
  event.Clear();
  event.mutable_raise_flag()->set_category("3.1.3.7");
  FillEventDefaults(**pack, &event);
  EXPECT_EQ(event.role(), v1::ROLE_SECURITY) << "MODERATION may raise flags, but none of this category";
  event.Clear();
  event.mutable_freeze()->set_account("u1");
  event.set_role(v1::ROLE_LEGAL);
  event.set_source("billing");
  FillEventDefaults(**pack, &event);
  EXPECT_EQ(event.role(), v1::ROLE_LEGAL) << "what is set stays";
  EXPECT_EQ(event.source(), "billing");
}

TEST_F(CommandsTest, EventsReadAsSentences) {
  v1::PolicyEvent event;
  v1::SetLimit* limit = event.mutable_set_limit();
  limit->set_limit_id("l1");
  limit->set_scope(v1::LIMIT_SCOPE_CLIENT_IP);
  limit->set_dimension(v1::DIMENSION_REQUESTS);
  limit->set_level(v1::LEVEL_CONTRACT);
  limit->set_rate(2.5);
  limit->add_operations(v1::OPERATION_UPLOAD);
  const EventText text = TextOf(event);
  EXPECT_EQ(text.kind, "limit");
  EXPECT_EQ(text.id, "l1");
  EXPECT_EQ(text.subject, "every client_ip");
  EXPECT_EQ(text.detail, "REQUESTS 2.5 UPLOAD CONTRACT");
  event.mutable_freeze()->set_account("u1");
  EXPECT_EQ(TextOf(event).kind, "freeze");
  EXPECT_THAT(TextOf(event).detail, HasSubstr("u1"));
}

TEST_F(CommandsTest, NewIdsDiffer) {
  EXPECT_THAT(NewId("flag"), StartsWith("flag-"));
  EXPECT_NE(NewId("flag"), NewId("flag"));
}

// ---- Export files ---------------------------------------------------------------------------------------------------

TEST_F(CommandsTest, AnExportReadsBackAndACutOneIsNoticed) {
  const std::string file = base_ + ".export";
  files_.push_back(file);
  auto writer = ExportWriter::Create(file);
  ASSERT_TRUE(writer.ok()) << writer.status();
  v1::ExportChunk chunk;
  chunk.set_revision(7);
  chunk.add_events()->mutable_freeze()->set_account(std::string(300, 'u'));
  ASSERT_TRUE((*writer)->Write(chunk).ok());
  ASSERT_TRUE((*writer)->Write(chunk).ok());
  EXPECT_NE(access(file.c_str(), F_OK), 0) << "nothing under its name before it is whole";
  ASSERT_TRUE((*writer)->Finish().ok());

  const auto read = [](const std::string& path) -> absl::StatusOr<int> {
    auto reader = ExportReader::Open(path);
    if (!reader.ok()) return reader.status();
    v1::ExportChunk next;
    for (int count = 0;; ++count) {
      absl::StatusOr<bool> more = (*reader)->Next(&next);
      if (!more.ok()) return more.status();
      if (!*more) return count;
    }
  };
  EXPECT_EQ(*read(file), 2);
  std::stringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  const std::string whole = text.str();
  // Every cut is an error, those between two chunks too.
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(read(File(".cut", whole.substr(0, length))).ok()) << length;
  }
  EXPECT_EQ(read(File(".more", whole + "x")).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(read(File(".newer", "SLUICE-EXPORT 2\n\0")).status().message()), HasSubstr("newer"));
  EXPECT_THAT(std::string(read(File(".other", "- freeze: {}\n")).status().message()), HasSubstr("is no export"));
}

TEST_F(CommandsTest, AnExportThatFailsLeavesNoFile) {
  const std::string file = base_ + ".failed";
  {
    auto writer = ExportWriter::Create(file);
    ASSERT_TRUE(writer.ok());
  }
  EXPECT_NE(access(file.c_str(), F_OK), 0);
  EXPECT_FALSE(ExportWriter::Create("/nonexistent/folder/file").ok());
}

// ---- The program ----------------------------------------------------------------------------------------------------

Ran RunProgram(const std::string& words) {
  Ran ran;
  std::FILE* pipe = popen(absl::StrCat(SLUICE_BINARY_DIR, "/sluicectl ", words, " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> buffer;
  size_t got;
  while ((got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) ran.out.append(buffer.data(), got);
  const int status = pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

TEST(ProgramTest, ExitsWithTheDocumentedCodes) {
  ASSERT_EQ(access(absl::StrCat(SLUICE_BINARY_DIR, "/sluicectl").c_str(), X_OK), 0)
      << "build the target sluicectl first";
  EXPECT_EQ(RunProgram("version").code, kExitOk);
  EXPECT_EQ(RunProgram("--help").code, kExitOk);
  EXPECT_EQ(RunProgram("nonsense").code, kExitUsage);
  EXPECT_EQ(RunProgram("apply -f /nonexistent/policy.yaml").code, kExitUsage);
  const Ran unreachable = RunProgram("--server unix:/nonexistent/admin.sock account show u1");
  EXPECT_EQ(unreachable.code, kExitUnreachable);
  EXPECT_THAT(unreachable.out, StartsWith("sluicectl: no server answers at unix:/nonexistent/admin.sock"));
  EXPECT_EQ(RunProgram("--server 127.0.0.1:1 flag list").code, kExitUnreachable);
}

TEST(ProgramTest, CompletionScriptsKnowEveryCommandAndAreWellFormed) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Ran ran = RunProgram(absl::StrCat("completion ", shell));
    EXPECT_EQ(ran.code, kExitOk) << shell;
    for (const char* word : {"replay", "account", "unfreeze", "completion"}) {
      EXPECT_THAT(ran.out, HasSubstr(word)) << shell;
    }
  }
  // What bash itself makes of it.
  const std::string program = absl::StrCat(SLUICE_BINARY_DIR, "/sluicectl");
  const std::string script =
      absl::StrCat("source <(", program, " completion bash); COMP_WORDS=(sluicectl account fr); ",
                   "COMP_CWORD=2; _sluicectl; echo \"got ${COMPREPLY[*]}\"");
  std::FILE* pipe = popen(absl::StrCat("bash -c '", script, "' 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 256> buffer{};
  const size_t got = fread(buffer.data(), 1, buffer.size() - 1, pipe);
  pclose(pipe);
  EXPECT_EQ(std::string(buffer.data(), got), "got freeze\n");
}

}  // namespace
}  // namespace sluice
