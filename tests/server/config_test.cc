#include "server/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_node.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

CommandLine Flags(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "sluiced");
  const auto command_line = ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
  EXPECT_TRUE(command_line.ok()) << command_line.status();
  return command_line.ok() ? *command_line : CommandLine{};
}

std::string FaultIn(const std::string& yaml, const std::vector<const char*>& flags = {}) {
  const auto config = ReadConfig("s.yaml", yaml, Flags(flags));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

Config Read(const std::string& yaml, const std::vector<const char*>& flags = {}) {
  const auto config = ReadConfig("s.yaml", yaml, Flags(flags));
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? config->config : Config{};
}

TEST(ConfigTest, HasADefaultForEveryKey) {
  const Config config = Read("");
  EXPECT_EQ(config.listen_check.path, "/run/sluice/check.sock");
  EXPECT_EQ(config.listen_check_mode, 0660u);
  EXPECT_EQ(config.listen_admin.path, "/run/sluice/admin.sock");
  EXPECT_EQ(config.listen_admin_mode, 0600u);
  EXPECT_EQ(FormatListenAddress(*config.listen_http), "127.0.0.1:9464");
  EXPECT_EQ(config.store_path, "/var/lib/sluice");
  EXPECT_EQ(config.store_map_bytes, uint64_t{16} << 30);
  EXPECT_EQ(config.listen_buffered_bytes_max, uint64_t{256} << 20);
  EXPECT_EQ(config.pack_path, "");
  EXPECT_EQ(config.node_dialect, Dialect::kGeneric);
  EXPECT_FALSE(config.node_name.empty());
  EXPECT_EQ(config.node_clock_error, absl::Seconds(1));
  EXPECT_EQ(config.drain, absl::Seconds(10));
  EXPECT_EQ(config.decision_log_path, "");
  EXPECT_EQ(config.decision_log_sample, 100);
  EXPECT_EQ(config.decision_log_keep_for, absl::Hours(24 * 180));
}

TEST(ConfigTest, ReadsEverySection) {
  const Config config = Read(R"(
listen:
  check: 127.0.0.1:9700
  check_mode: 0666
  http: off
store: {path: /srv/policy, map_bytes: 512MiB}
node:
  region: eu
  dialect: kodo
  fleet_size: 12
  clock_error: unknown
log: {level: debug, format: text}
decision_log: {path: /srv/log, sample: 7, ring_bytes: 8MiB, segment_bytes: 1GiB, keep_for: 9h, keep_bytes: 1TiB}
policy: {max_age: 48h}
threads: 3
drain: 1m30s
)");
  EXPECT_EQ(FormatListenAddress(config.listen_check), "127.0.0.1:9700");
  EXPECT_EQ(config.listen_check_mode, 0666u);
  EXPECT_FALSE(config.listen_http.has_value());
  EXPECT_EQ(config.store_path, "/srv/policy");
  EXPECT_EQ(config.store_map_bytes, uint64_t{512} << 20);
  EXPECT_EQ(config.node_region, "eu");
  EXPECT_EQ(config.node_dialect, Dialect::kKodo);
  EXPECT_EQ(config.node_fleet_size, 12);
  EXPECT_FALSE(config.node_clock_error.has_value());
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.log_format, LogFormat::kText);
  EXPECT_EQ(config.decision_log_path, "/srv/log");
  EXPECT_EQ(config.decision_log_sample, 7);
  EXPECT_EQ(config.decision_log_ring_bytes, uint64_t{8} << 20);
  EXPECT_EQ(config.decision_log_segment_bytes, uint64_t{1} << 30);
  EXPECT_EQ(config.decision_log_keep_for, absl::Hours(9));
  EXPECT_EQ(config.decision_log_keep_bytes, uint64_t{1} << 40);
  EXPECT_EQ(config.policy_max_age, absl::Hours(48));
  EXPECT_EQ(config.threads, 3);
  EXPECT_EQ(config.drain, absl::Seconds(90));
}

TEST(ConfigTest, NamesAnUnknownKeyItsLineAndItsNeighbour) {
  EXPECT_EQ(FaultIn("threads: 1\nlisten:\n  chekc: unix:/run/s.sock\n"),
            "s.yaml:3: listen.chekc: there is no such key; did you mean listen.check?");
  EXPECT_EQ(FaultIn("zzzzzzzzzzzz: 1\n"), "s.yaml:1: zzzzzzzzzzzz: there is no such key");
}

TEST(ConfigTest, SaysWhatWasWantedAndWhatItGot) {
  EXPECT_EQ(FaultIn("threads: four\n"), "s.yaml:1: threads: wanted a whole number from 0 to 1024, got 'four'");
  EXPECT_EQ(FaultIn("\n\nlisten:\n  check_mode: rw\n"),
            "s.yaml:4: listen.check_mode: wanted an octal mode such as 0660, got 'rw'");
  EXPECT_EQ(FaultIn("threads: [1]\n"), "s.yaml:1: threads: wanted a whole number from 0 to 1024, got a list");
  EXPECT_EQ(FaultIn("drain:\n"), "s.yaml:1: drain: wanted a duration from 0s to 10m, got nothing");
  EXPECT_EQ(FaultIn("listen: 5\n"), "s.yaml:1: listen: wanted a section of keys, got a single value");
  EXPECT_THAT(FaultIn("- a\n"), HasSubstr("s.yaml:1: wanted a section of keys, got a list"));
  EXPECT_THAT(FaultIn("node: {clock_error: -1s}\n"), HasSubstr("node.clock_error: wanted a duration"));
  EXPECT_THAT(FaultIn("store: {map_bytes: 1k}\n"), HasSubstr("store.map_bytes: wanted a number of bytes"));
  EXPECT_THAT(FaultIn("store: {map_bytes: 99999999TiB}\n"), HasSubstr("store.map_bytes"));
  EXPECT_THAT(FaultIn("decision_log: {ring_bytes: 3MiB}\n"), HasSubstr("wanted a power of two from 1MiB to 1GiB"));
  EXPECT_THAT(FaultIn("decision_log: {path: here}\n"), HasSubstr("wanted an absolute path, got 'here'"));
  EXPECT_THAT(FaultIn("listen: {check: nowhere}\n"),
              HasSubstr("wanted unix:/PATH, HOST:PORT or [IPV6]:PORT, got 'nowhere'"));
  EXPECT_THAT(FaultIn("threads: 1\n\nlisten: {check: \"127.0.0.\xc3\x93:9701\"}\n"),
              HasSubstr("s.yaml:3: listen.check: a host is of printable ASCII: wanted unix:/PATH, HOST:PORT or "));
}

TEST(ConfigTest, TellsAllFaultsAtOnce) {
  EXPECT_THAT(FaultIn("threads: x\nbad: 1\n", {"--drain=never"}),
              AllOf(HasSubstr("s.yaml:1: threads"), HasSubstr("\ns.yaml:2: bad"), HasSubstr("\n--drain: wanted")));
}

TEST(ConfigTest, RefusesAKeyOrSectionGivenTwice) {
  EXPECT_EQ(FaultIn("threads: 1\nthreads: 2\n"), "s.yaml:2: threads: given before, at s.yaml:1");
  EXPECT_THAT(FaultIn("log: {level: info}\nlog: {format: text}\n"),
              HasSubstr("s.yaml:2: log: this section was given before"));
}

TEST(ConfigTest, RefusesWhatIsNoYaml) {
  EXPECT_THAT(FaultIn("threads: 1\nlisten: {check: \n"), HasSubstr("s.yaml:3: syntax: wanted well-formed YAML"));
  EXPECT_THAT(FaultIn("threads: 1\n---\n,"), HasSubstr("s.yaml:3: syntax: wanted well-formed YAML"));
  EXPECT_THAT(FaultIn("threads: 1\nlisten: {check: \"127.0.0.\xd3:9701\"}\n"),
              HasSubstr("s.yaml:2: encoding: wanted UTF-8"));
  EXPECT_THAT(FaultIn("threads: 1\n---\nthreads: 2\n"), HasSubstr("wanted one YAML document, got more"));
}

TEST(ConfigTest, LetsAFlagOverrideItsKey) {
  const Config config = Read("threads: 1\nlog: {level: error}\n", {"--threads=7", "--decision-log-sample", "9"});
  EXPECT_EQ(config.threads, 7);
  EXPECT_EQ(config.decision_log_sample, 9);
  EXPECT_EQ(config.log_level, LogLevel::kError);
}

TEST(ConfigTest, HasAFlagForEveryKeyInItsHelp) {
  const std::string help = Flags({"--help"}).print;
  std::set<std::string> flags;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_THAT(help, HasSubstr(FlagOf(key)));
    EXPECT_TRUE(flags.insert(FlagOf(key)).second) << FlagOf(key);
  }
}

TEST(ConfigTest, RefusesAnUnknownFlag) {
  const char* arguments[] = {"sluiced", "--lisetn-check=x"};
  const auto command_line = ParseCommandLine(2, arguments);
  EXPECT_EQ(command_line.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(command_line.status().message()), HasSubstr("--lisetn-check"));
}

TEST(ConfigTest, PrintsWhatItReadsBack) {
  const CommandLine none;
  const auto first =
      ReadConfig("s.yaml", "node: {name: \"a: b #c\", clock_error: unknown}\nstore: {map_bytes: 3MiB}\n", none);
  ASSERT_TRUE(first.ok());
  const std::string printed = FormatConfig(*first);
  EXPECT_THAT(printed, HasSubstr("  map_bytes: 3MiB  # s.yaml:2\n"));
  EXPECT_THAT(printed, HasSubstr("threads: 0  # default\n"));
  const auto second = ReadConfig("t.yaml", printed, none);
  ASSERT_TRUE(second.ok()) << second.status() << printed;
  for (const ConfigKey& key : ConfigKeys()) EXPECT_EQ(key.get(second->config), key.get(first->config)) << key.name;
}

class ConfigPathTest : public testing::Test {
 protected:
  // A configuration whose paths are all in the folder of the test, but for `yaml`.
  std::string FaultOf(const std::string& key, const std::string& value) {
    const std::string flags[] = {"--listen-check=unix:" + folder_.Below("c.sock"),
                                 "--listen-admin=unix:" + folder_.Below("a.sock"),
                                 "--store-path=" + folder_.Below("store"), "--" + key + "=" + value};
    std::vector<const char*> arguments;
    for (const std::string& flag : flags) {
      if (&flag == &flags[3] || flag.find("--" + key + "=") != 0) arguments.push_back(flag.c_str());
    }
    const auto config = LoadConfig(Flags(arguments));
    return config.ok() ? "" : std::string(config.status().message());
  }
  TempFolder folder_;
};

TEST_F(ConfigPathTest, TakesPathsThatCanBeUsed) { EXPECT_EQ(FaultOf("threads", "1"), ""); }

TEST_F(ConfigPathTest, NamesAPathThatCannotBeUsed) {
  EXPECT_THAT(FaultOf("store-path", folder_.Below("missing/store")),
              AllOf(HasSubstr("--store-path: cannot make"), HasSubstr("missing"), HasSubstr("No such file")));
  EXPECT_THAT(FaultOf("listen-check", "unix:" + folder_.Below("missing/c.sock")),
              AllOf(HasSubstr("--listen-check: the folder of the socket"), HasSubstr("No such file")));
  EXPECT_THAT(FaultOf("pack", folder_.Below("pack.yaml")), HasSubstr("--pack: cannot read"));
  EXPECT_THAT(FaultOf("pack", folder_.path()), HasSubstr("is no regular file"));
  std::ofstream(folder_.Below("file")) << "x";
  EXPECT_THAT(FaultOf("store-path", folder_.Below("file")), HasSubstr("is no folder"));
  EXPECT_THAT(FaultOf("listen-admin", "unix:" + folder_.Below("file")), HasSubstr("exists and is no socket"));
  EXPECT_THAT(FaultOf("listen-admin", "unix:" + folder_.Below("c.sock")),
              HasSubstr("wanted another path than that of listen.check"));
}

TEST_F(ConfigPathTest, RefusesAnAdminListenerThatOthersCouldReach) {
  for (const char* address : {"0.0.0.0:9701", "[::]:9701", "node1.example:9701"}) {
    EXPECT_THAT(FaultOf("listen-admin", address), AllOf(HasSubstr("--listen-admin"), HasSubstr("in the clear")));
  }
  // On this machine anybody could connect, too.
  for (const char* address : {"127.0.0.1:9701", "[::1]:9701", "localhost:9701"}) {
    EXPECT_THAT(FaultOf("listen-admin", address), HasSubstr("nobody could be told from anybody"));
  }
}

TEST_F(ConfigPathTest, RefusesAPlainListenerThatOtherMachinesReachUnlessItIsToldToo) {
  for (const char* flag : {"listen-check", "doors-listen", "doors-spoe"}) {
    for (const char* address : {"0.0.0.0:9701", "[::]:9701", "node1.example:9701"}) {
      EXPECT_THAT(FaultOf(flag, address), AllOf(HasSubstr(flag), HasSubstr("listen.plain_beyond_host"))) << address;
    }
    for (const char* address : {"127.0.0.1:9701", "[::1]:9701", "localhost:9701"}) {
      EXPECT_EQ(FaultOf(flag, address), "") << address;
    }
  }
}

TEST_F(ConfigPathTest, AdministrationOverTcpWantsCredentialsThatCanBeShownThere) {
  const std::string access = folder_.Below("access.yaml"), file = folder_.Below("file.pem");
  const std::string token = "callers:\n- {name: a, roles: all, token_sha256: " + std::string(64, 'a') + "}\n";
  const std::string certificate = "callers:\n- {name: a, roles: all, certificate: a.example.cn}\n";
  const std::string user = "callers:\n- {name: a, roles: all, uid: 1}\n";
  std::ofstream(file) << "x";
  const auto fault = [&](const std::string& text, const std::vector<std::string>& flags) {
    std::ofstream(access) << text;
    chmod(access.c_str(), 0600);
    std::vector<std::string> arguments = {"sluiced", "--store-path=" + folder_.Below("store"),
                                          "--listen-check=unix:" + folder_.Below("c.sock"), "--admin-access=" + access};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    const auto command_line = ParseCommandLine(static_cast<int>(argv.size()), argv.data());
    EXPECT_TRUE(command_line.ok()) << command_line.status();
    return std::string(LoadConfig(*command_line).status().message());
  };
  const std::string certificate_flag = "--admin-tls-certificate=" + file, key = "--admin-tls-key=" + file,
                    ca = "--admin-tls-client-ca=" + file;
  EXPECT_EQ(fault(token, {"--listen-admin=127.0.0.1:9701"}), "");
  EXPECT_EQ(fault(token, {"--listen-admin=0.0.0.0:9701", certificate_flag, key}), "");
  EXPECT_EQ(fault(certificate, {"--listen-admin=0.0.0.0:9701", certificate_flag, key, ca}), "");
  EXPECT_THAT(fault(token, {"--listen-admin=0.0.0.0:9701"}), HasSubstr("in the clear"));
  EXPECT_THAT(fault(user, {"--listen-admin=127.0.0.1:9701"}), HasSubstr("nobody could be told"));
  EXPECT_THAT(fault(certificate, {"--listen-admin=0.0.0.0:9701", certificate_flag, key}),
              HasSubstr("nobody could be told"));
  EXPECT_THAT(fault(token, {"--listen-admin=127.0.0.1:9701", key}), HasSubstr("wanted both or neither"));
  EXPECT_THAT(fault(token, {"--listen-admin=127.0.0.1:9701", ca}), HasSubstr("with it"));
  EXPECT_THAT(fault("callers: 1\n", {}), HasSubstr("access.yaml:1: callers: wanted a list"));
}

TEST_F(ConfigPathTest, NamesFileAndLineOfAPathThatCannotBeUsed) {
  const std::string path = folder_.Below("s.yaml");
  std::ofstream(path) << "threads: 1\nstore:\n  path: /nonexistent/folder/store\n";
  CommandLine command_line;
  command_line.config_path = path;
  const auto config = LoadConfig(command_line);
  EXPECT_THAT(std::string(config.status().message()), HasSubstr(path + ":3: store.path: cannot make"));
}

TEST_F(ConfigPathTest, NamesAFileThatCannotBeRead) {
  CommandLine command_line;
  command_line.config_path = folder_.Below("none.yaml");
  EXPECT_THAT(std::string(LoadConfig(command_line).status().message()), HasSubstr("none.yaml: cannot read"));
  command_line.config_path = folder_.path();
  EXPECT_THAT(std::string(LoadConfig(command_line).status().message()), HasSubstr("no regular file"));
}

TEST(ListenAddressTest, ReadsWhatItWrites) {
  for (const char* text : {"unix:/run/s.sock", "127.0.0.1:0", "[::1]:65535", "localhost:80"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(FormatListenAddress(*address), text);
  }
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "unix:", "unix:relative", "unix:/folder/", ":80", "host", "host:", "host:65536", "host:-1", "::1:80",
        "[::1:80", "host:80x", "127.0.0.\xc3\x93:80", "127.0.0.\xd3:80", "a b:80"}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
  EXPECT_FALSE(ParseListenAddress("unix:/" + std::string(108, 'x')).ok());
}

TEST(ConfigTest, IsDocumentedKeyByKeyWithItsDefault) {
  std::ifstream file(SLUICE_SOURCE_DIR "/docs/configuration.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  std::string rows;
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string value = *key.default_text ? absl::StrCat("`", key.default_text, "`") : "none";
    const std::string row = absl::StrCat("\n| `", key.name, "` | ", value, " | ");
    EXPECT_THAT(page, HasSubstr(row));
    const size_t at = page.find(row);
    absl::StrAppend(&rows, at == std::string::npos ? "" : page.substr(at, page.find('\n', at + 1) - at));
  }
  // And no row that is no key.
  const size_t table = page.find("\n| `");
  ASSERT_NE(table, std::string::npos);
  EXPECT_EQ(page.substr(table, page.find("\n\n", table) - table), rows);
}

}  // namespace
}  // namespace sluice
