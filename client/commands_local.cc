// test, replay: policies tried in process, without a server.
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands.h"
#include "client/export_file.h"
#include "client/policy_judge.h"
#include "client/progress.h"
#include "client/replay.h"
#include "client/replay_report.h"
#include "client/scenario.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

struct ReplayFlags {
  std::string log;
  std::vector<std::string> policies;
  std::string export_file;
  bool live = false;
  std::string host, bucket, owner, requester, region = "cn", operation;
  std::string reorder = "60s";
  size_t top = 10;
  size_t examples = 5;
};

// The policy that `flags` name, and the words for it.
absl::Status LoadPolicy(const Session& session, const ReplayFlags& flags, const Pack& pack,
                        PolicyJudge::Options* options, std::vector<std::string>* names) {
  const auto add = [&](const v1::ExportChunk& chunk) {
    options->snapshot.MergeFrom(chunk);
    return absl::OkStatus();
  };
  if (flags.live) {
    if (absl::Status status = session.Admin().Export(add); !status.ok()) return status;
    names->push_back(absl::StrCat("of ", session.admin_address));
  } else if (!flags.export_file.empty()) {
    absl::StatusOr<std::unique_ptr<ExportReader>> reader = ExportReader::Open(flags.export_file);
    if (!reader.ok()) return reader.status();
    v1::ExportChunk chunk;
    for (;;) {
      absl::StatusOr<bool> more = (*reader)->Next(&chunk);
      if (!more.ok()) return more.status();
      if (!*more) break;
      add(chunk).IgnoreError();
    }
    names->push_back(flags.export_file);
  }
  for (const std::string& file : flags.policies) {
    absl::StatusOr<std::vector<v1::PolicyEvent>> events = ReadPolicyFile(file);
    if (!events.ok()) return events.status();
    for (v1::PolicyEvent& event : *events) {
      FillEventDefaults(pack, &event);
      options->events.push_back(std::move(event));
    }
    names->push_back(file);
  }
  return absl::OkStatus();
}

absl::Status FillOptions(const ReplayFlags& flags, ReplayOptions* options) {
  options->host = flags.host;
  options->bucket = flags.bucket;
  options->owner = flags.owner;
  options->requester = flags.requester;
  options->examples_max = flags.examples;
  if (!absl::ParseDuration(flags.reorder, &options->reorder) || options->reorder < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--reorder: wanted a duration like 60s or 5m, got \"", flags.reorder, "\""));
  }
  if (flags.operation.empty()) return absl::OkStatus();
  absl::StatusOr<int> operation = ParseWord("--operation", v1::Operation_descriptor(), flags.operation);
  if (!operation.ok()) return operation.status();
  options->operation = static_cast<Operation>(*operation);
  return absl::OkStatus();
}

int RunReplay(const Session& session, const ReplayFlags& flags) {
  if (flags.policies.empty() && flags.export_file.empty() && !flags.live) {
    return session.UsageError(
        "replay needs a policy: --policy FILE, --export FILE, or --live for that of the running server");
  }
  absl::StatusOr<std::unique_ptr<const Pack>> pack = session.LoadPack();
  if (!pack.ok()) return session.Fail(pack.status());
  ReplayOptions options;
  if (absl::Status status = FillOptions(flags, &options); !status.ok()) return session.Fail(status);
  absl::StatusOr<std::unique_ptr<LineReader>> reader = LineReader::Open(flags.log);
  if (!reader.ok()) return session.Fail(reader.status());
  PolicyJudge::Options judge_options;
  judge_options.pack = pack->get();
  judge_options.node.region = flags.region;
  std::vector<std::string> names;
  if (absl::Status status = LoadPolicy(session, flags, **pack, &judge_options, &names); !status.ok()) {
    return session.Fail(status);
  }
  PolicyJudge judge(std::move(judge_options));
  Replay replay(options, &judge);
  absl::Status status;
  {
    Progress progress(stderr, "replaying", (*reader)->bytes_total(), Progress::Unit::kBytes);
    status = replay.Run(reader->get(), [&](int64_t bytes) { progress.Update(bytes); });
  }
  status.Update(judge.status());
  if (!status.ok()) return session.Fail(status);

  ReplayFacts facts;
  facts.log = flags.log == "-" ? "standard input" : flags.log;
  facts.policy = absl::StrCat(absl::StrJoin(names, " and "), ", revision ", judge.revision());
  facts.shift = judge.shift();
  facts.events_not_reached = judge.not_reached();
  facts.rejected = judge.rejected();
  const ReplaySummary& summary = replay.summary();
  if (session.output == Session::Output::kTable) {
    *session.out << ReplayTables(summary, facts, flags.top, session.colored);
  } else {
    const std::string json = ReplayJson(summary, facts, flags.top);
    *session.out << (session.output == Session::Output::kYaml ? SpreadYaml(json) : json);
  }
  if (summary.lines == 0) return session.UsageError(absl::StrCat(facts.log, " is empty"));
  if (summary.unreadable == summary.lines) {
    return session.UsageError(absl::StrCat("no line of ", facts.log,
                                           " could be read; wanted the common or combined format, or Caddy's JSON"));
  }
  return kExitOk;
}

void AddReplay(CLI::App* app, Session* session) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* command =
      AddCommand(app, session, "replay",
                 "Say what a policy would have answered to each line of an access log, at that line's time.",
                 "sluicectl replay access.log --policy policy.yaml --host www.example.cn\n"
                 "  zcat access.log.*.gz | sluicectl replay - --live --policy what-if.yaml --host www.example.cn",
                 [=] { return RunReplay(*session, *flags); });
  command
      ->add_option("ACCESS_LOG", flags->log,
                   "a log in the common or combined format, or Caddy's JSON; - for standard input")
      ->required();
  command->add_option("--policy", flags->policies, "a policy file; may be given again, and on top of an export")
      ->allow_extra_args(false);
  auto* file = command->add_option("--export", flags->export_file, "what `sluicectl export` wrote");
  command->add_flag("--live", flags->live, "the policy of the running server")->excludes(file);
  const std::string group = "What the log does not say";
  command->add_option("--host", flags->host, "the domain that was asked for, where a line names none")->group(group);
  command->add_option("--bucket", flags->bucket, "the bucket; the key is then the path")->group(group);
  command->add_option("--owner", flags->owner, "the account that owns what was asked for")->group(group);
  command->add_option("--requester", flags->requester, "the account that signed the requests; default: none")
      ->group(group);
  command->add_option("--region", flags->region, "where the answers are served")->capture_default_str()->group(group);
  command->add_option("--operation,--op", flags->operation, "of every line; default: by its method")->group(group);
  command
      ->add_option("--reorder", flags->reorder,
                   "how far lines may be out of order and are still judged in order of time")
      ->capture_default_str();
  command->add_option("--top", flags->top, "how many addresses and paths to list")->capture_default_str();
  command->add_option("--examples", flags->examples, "how many unreadable lines to show")->capture_default_str();
}

}  // namespace

void AddLocalCommands(CLI::App* app, Session* session) {
  struct TestFlags {
    std::vector<std::string> files;
    std::string filter;
    bool verbose = false;
  };
  auto test = std::make_shared<TestFlags>();
  CLI::App* command = AddCommand(
      app, session, "test", "Run policy scenarios in process, on a simulated clock.",
      "sluicectl test tests/scenarios/*.yaml --filter frozen",
      [=] { return RunTestCommand(test->files, session->pack_path, test->filter, test->verbose, *session->out); });
  command->add_option("FILE", test->files, "scenario files")->required();
  command->add_option("--filter", test->filter, "only cases whose id or title contains this");
  command->add_flag("-v,--verbose", test->verbose, "print each file's name before its cases");
  AddReplay(app, session);
}

}  // namespace sluice
