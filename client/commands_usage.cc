// tail-usage: what an access log says was served, reported as usage.
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/log_follower.h"
#include "client/usage_tail.h"
#include "enforcement/check.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

struct TailFlags {
  std::string log;
  std::string state;
  std::string host, bucket, owner, operation;
  bool host_first = false, from_start = false, once = false;
  std::string poll = "500ms";
};

constexpr absl::Duration kRetryLeast = absl::Milliseconds(500);
constexpr absl::Duration kRetryMost = absl::Seconds(30);

int RunTailUsage(const Session& session, const TailFlags& flags) {
  UsageTail::Options options;
  options.state_path = flags.state.empty() ? absl::StrCat(flags.log, ".sluice") : flags.state;
  options.host = flags.host;
  options.bucket = flags.bucket;
  options.owner = flags.owner;
  options.host_first = flags.host_first;
  if (!flags.operation.empty()) {
    absl::StatusOr<int> operation = ParseWord("--operation", v1::Operation_descriptor(), flags.operation);
    if (!operation.ok()) return session.Fail(operation.status());
    options.operation = static_cast<Operation>(*operation);
  }
  // Sent with every report: one that no message can carry would make each an error.
  const struct {
    absl::string_view flag;
    const std::string& text;
    size_t bytes_max;
  } names[] = {{"--host", flags.host, kHostBytesMax},
               {"--bucket", flags.bucket, kBucketBytesMax},
               {"--owner", flags.owner, kAccountBytesMax}};
  for (const auto& name : names) {
    if (IsUtf8(name.text) && name.text.size() <= name.bytes_max) continue;
    return session.UsageError(absl::StrCat(name.flag, ": wanted UTF-8 of at most ", name.bytes_max, " bytes, got ",
                                           name.text.size(), " bytes"));
  }
  absl::Duration poll;
  if (!absl::ParseDuration(flags.poll, &poll) || poll <= absl::ZeroDuration()) {
    return session.UsageError(absl::StrCat("--poll: wanted a duration like 500ms or 2s, got \"", flags.poll, "\""));
  }
  absl::StatusOr<TailState> state = LoadTailState(options.state_path);
  if (!state.ok() && !absl::IsNotFound(state.status())) return session.Fail(state.status());
  LogFollower::Options follow;
  follow.path = flags.log;
  follow.from_start = flags.from_start;
  if (state.ok()) follow.from = state->position;
  if (flags.once) follow.rotation_patience = absl::ZeroDuration();
  absl::StatusOr<std::unique_ptr<LogFollower>> follower = LogFollower::Open(std::move(follow));
  if (!follower.ok()) return session.Fail(follower.status());
  if ((*follower)->lost()) {
    *session.err << "sluicectl: the file that was followed last is gone: what it had at its end is not reported\n";
  }
  Connection checks = session.Checks();
  UsageTail tail(std::move(options), follower->get(),
                 [&](const v1::ReportRequest& report) { return checks.Report(report).status(); });

  bool resumed = !state.ok();
  absl::Duration retry = kRetryLeast;
  for (;;) {
    absl::StatusOr<bool> more = true;
    if (!resumed) {
      const absl::Status status = tail.Resume(*state, absl::Now());
      // What was read for it stays in hand; Step sends it again.
      resumed = true;
      if (!status.ok()) more = status;
    } else {
      more = tail.Step(absl::Now());
    }
    if (more.ok()) {
      retry = kRetryLeast;
      if (*more) continue;
      if (flags.once) break;
      absl::SleepFor(poll);
    } else if (IsUnreachable(more.status()) && !flags.once) {
      *session.err << "sluicectl: " << more.status().message() << " Trying again in " << absl::FormatDuration(retry)
                   << ".\n";
      absl::SleepFor(retry);
      retry = std::min(2 * retry, kRetryMost);
    } else {
      return session.Fail(more.status());
    }
  }
  const UsageTail::Counts& counts = tail.counts();
  *session.out << "reported " << WithCommas(counts.lines) << " lines, " << HumanBytes(counts.bytes) << ", in "
               << WithCommas(counts.reports) << " reports; " << WithCommas(counts.unreadable) << " unreadable\n";
  return kExitOk;
}

}  // namespace

void AddUsageCommands(CLI::App* app, Session* session) {
  auto flags = std::make_shared<TailFlags>();
  CLI::App* command = AddCommand(
      app, session, "tail-usage",
      "Follow an access log and report what was served, so that limits on bytes and traffic count it. Each line once, "
      "over rotations and restarts.",
      "sluicectl tail-usage /var/log/nginx/access.log --host-first\n"
      "  sluicectl tail-usage access.log --host www.example.cn --from-start --once",
      [=] { return RunTailUsage(*session, *flags); });
  command->add_option("ACCESS_LOG", flags->log, "a log in the common or combined format, or Caddy's JSON")->required();
  command->add_option("--state", flags->state, "where the position is kept; default: ACCESS_LOG.sluice");
  command->add_flag("--from-start", flags->from_start, "without a position: report what the log has already");
  command->add_flag("--once", flags->once, "to the present end of the log, then exit");
  command->add_option("--poll", flags->poll, "how often to look for new lines")->capture_default_str();
  const std::string group = "What the log does not say";
  command->add_flag("--host-first", flags->host_first, "each line begins with the host that was asked for")
      ->group(group);
  command->add_option("--host", flags->host, "the domain that was asked for, where a line names none")->group(group);
  command->add_option("--bucket", flags->bucket, "the bucket; the key is then the path")->group(group);
  command->add_option("--owner", flags->owner, "the account that owns what was asked for")->group(group);
  command->add_option("--operation,--op", flags->operation, "of every line; default: by its method")->group(group);
}

}  // namespace sluice
