// check, explain: what would be answered, and why.
#include <iostream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/yaml_message.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// The fields of a CheckRequest as flags.
struct CheckFlags {
  std::string json;
  std::string operation, requester, owner, bucket, key, version_id, host, path, client_ip, region, principal, dialect;
  std::string request_id, lease_id, copy_bucket, copy_key, copy_version_id;
  std::vector<std::string> hashes;
  int64_t bytes = 0;
  int64_t min_revision = 0;
  bool take_lease = false;
  bool new_key = false;

  void AddTo(CLI::App* app);
  absl::StatusOr<v1::CheckRequest> ToMessage() const;
};

void CheckFlags::AddTo(CLI::App* app) {
  app->add_option("--operation,--op", operation, "what is asked for: PUBLIC_READ, UPLOAD, DOWNLOAD, DELETE, LIST, ...");
  app->add_option("--bucket", bucket, "the bucket");
  app->add_option("--key", key, "the object, percent-decoded");
  app->add_option("--version-id", version_id, "the object's version");
  app->add_option("--host", host, "the Host of a CDN request");
  app->add_option("--path", path, "the path of a CDN request, percent-encoded, without the query");
  app->add_option("--ip", client_ip, "the client's address");
  app->add_option("--requester", requester, "the account that signed the request; none: anonymous");
  app->add_option("--owner", owner, "the account that owns the resource; none: found by bucket or host");
  app->add_option("--region", region, "where the answer is served; none: the node's region");
  app->add_option("--hash", hashes, "content as ALGORITHM:DIGEST; may be given again")->allow_extra_args(false);
  app->add_option("--bytes", bytes, "length of the body, 0 where it is unknown")->check(CLI::NonNegativeNumber);
  app->add_option("--principal", principal, "MODERATION, LIFECYCLE or EVIDENCE_READER");
  app->add_option("--dialect", dialect, "of the HTTP hint: GENERIC, S3 or KODO; none: the node's");
  app->add_option("--request-id", request_id, "your own id, echoed and logged");
  app->add_option("--min-revision", min_revision, "decide on no policy older than this");
  app->add_option("--copy-bucket", copy_bucket, "bucket of the source of a copy");
  app->add_option("--copy-key", copy_key, "key of the source of a copy");
  app->add_option("--copy-version-id", copy_version_id, "version of the source of a copy");
  app->add_flag("--take-lease", take_lease, "hold one unit of every connection limit");
  app->add_option("--lease-id", lease_id, "with --take-lease: renew this lease");
  app->add_flag("--new-key", new_key, "UPLOAD: nothing is stored under the key yet");
  app->add_option("--json", json,
                  "a whole CheckRequest as JSON, or the file it is in, or - for standard input; flags add to it");
}

absl::StatusOr<std::string> JsonText(const std::string& argument) {
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(argument), "{")) return argument;
  if (argument != "-") return ReadTextFile(argument);
  std::ostringstream text;
  text << std::cin.rdbuf();
  return text.str();
}

template <typename Enum, typename Set>
absl::Status SetWord(absl::string_view flag, const std::string& word, const Set& set) {
  if (word.empty()) return absl::OkStatus();
  absl::StatusOr<int> value = ParseWord(flag, google::protobuf::GetEnumDescriptor<Enum>(), word);
  if (!value.ok()) return value.status();
  set(static_cast<Enum>(*value));
  return absl::OkStatus();
}

absl::StatusOr<v1::CheckRequest> CheckFlags::ToMessage() const {
  v1::CheckRequest request;
  if (!json.empty()) {
    absl::StatusOr<std::string> text = JsonText(json);
    if (!text.ok()) return text.status();
    absl::StatusOr<std::vector<YAML::Node>> nodes = LoadYaml(*text, "--json");
    if (!nodes.ok()) return nodes.status();
    if (nodes->size() != 1)
      return absl::InvalidArgumentError(absl::StrCat("--json: wanted one object, got ", nodes->size()));
    if (absl::Status status = MergeYaml(nodes->front(), "--json", &request); !status.ok()) return status;
  }
  const auto set = [](const std::string& value, std::string* field) {
    if (!value.empty()) *field = value;
  };
  set(requester, request.mutable_requester());
  set(owner, request.mutable_owner());
  set(bucket, request.mutable_bucket());
  set(key, request.mutable_key());
  set(version_id, request.mutable_version_id());
  set(host, request.mutable_host());
  set(path, request.mutable_path());
  set(client_ip, request.mutable_client_ip());
  set(region, request.mutable_region());
  set(request_id, request.mutable_request_id());
  set(lease_id, request.mutable_lease_id());
  if (bytes != 0) request.set_bytes(bytes);
  if (min_revision != 0) request.set_min_revision(min_revision);
  if (take_lease) request.set_take_lease(true);
  if (new_key) request.set_new_key(true);
  if (!copy_bucket.empty() || !copy_key.empty()) {
    set(copy_bucket, request.mutable_copy_source()->mutable_bucket());
    set(copy_key, request.mutable_copy_source()->mutable_key());
    set(copy_version_id, request.mutable_copy_source()->mutable_version_id());
  }
  for (const std::string& hash : hashes) {
    if (absl::Status status = ParseHash(hash, request.add_hashes()); !status.ok()) return status;
  }
  absl::Status status =
      SetWord<v1::Operation>("--operation", operation, [&](v1::Operation v) { request.set_operation(v); });
  status.Update(SetWord<v1::Principal>("--principal", principal, [&](v1::Principal v) { request.set_principal(v); }));
  status.Update(SetWord<v1::Dialect>("--dialect", dialect, [&](v1::Dialect v) { request.set_dialect(v); }));
  if (!status.ok()) return status;
  if (request.operation() == v1::OPERATION_UNSPECIFIED) {
    return absl::InvalidArgumentError("--operation is missing: what is asked for, as PUBLIC_READ or UPLOAD");
  }
  return request;
}

std::string Words(const google::protobuf::RepeatedField<int>& reasons) {
  std::vector<std::string> words;
  for (const int reason : reasons) words.push_back(ShortEnumName(v1::Reason_descriptor(), reason));
  return absl::StrJoin(words, ", ");
}

// "UPLOAD photos/a.png by u-1001 from 203.0.113.9": what was asked, for whoever reads the answer without the command.
std::string QuestionText(const v1::CheckRequest& request) {
  std::string text = ShortEnumName(v1::Operation_descriptor(), request.operation());
  const auto add = [&](absl::string_view before, absl::string_view value) {
    if (!value.empty()) absl::StrAppend(&text, before, value);
  };
  if (!request.bucket().empty() || !request.key().empty()) {
    add(" ", absl::StrCat(request.bucket(), request.key().empty() ? "" : "/", request.key()));
  }
  add(" version ", request.version_id());
  if (!request.host().empty()) add(" ", absl::StrCat(request.host(), request.path()));
  add(" of ", request.owner());
  add(" by ", request.requester());
  if (request.principal() != v1::PRINCIPAL_UNSPECIFIED) {
    add(" as ", ShortEnumName(v1::Principal_descriptor(), request.principal()));
  }
  add(" from ", request.client_ip());
  add(" in region ", request.region());
  if (request.has_copy_source()) {
    add(", copied from ", absl::StrCat(request.copy_source().bucket(), "/", request.copy_source().key()));
  }
  for (const v1::ContentHash& hash : request.hashes()) add(", ", absl::StrCat(hash.algorithm(), ":", hash.digest()));
  return text;
}

// `asked`, and `at`, may be empty.
void PrintDecision(const Session& session, const v1::CheckResponse& response, std::string asked = "",
                   std::string at = "") {
  Table table(std::vector<Table::Column>{{""}, {""}});
  const auto add = [&](absl::string_view name, std::string value, Color color = Color::kNone) {
    if (!value.empty()) table.AddRow({Cell(name, Color::kDim), Cell(std::move(value), color)});
  };
  add("asked", std::move(asked));
  add("at", std::move(at));
  add("verdict", ShortEnumName(v1::Verdict_descriptor(), response.verdict()), ColorOf(response.verdict()));
  if (response.reason() != 0) add("reason", ShortEnumName(v1::Reason_descriptor(), response.reason()));
  add("clause", response.clause());
  std::string rule = response.rule_id();
  if (response.set_by() != 0)
    absl::StrAppend(&rule, rule.empty() ? "" : ", ", "set by ",
                    ShortEnumName(v1::Role_descriptor(), response.set_by()));
  add("rule", rule);
  if (response.fault() != 0) add("fault", ShortEnumName(v1::Fault_descriptor(), response.fault()));
  if (response.all_reasons_size() > 1) add("all reasons", Words(response.all_reasons()));
  add("warnings", Words(response.warnings()), Color::kYellow);
  if (response.retry_after_ms() > 0)
    add("retry after", absl::FormatDuration(absl::Milliseconds(response.retry_after_ms())));
  if (response.shape_bytes_per_second() > 0)
    add("serve at", absl::StrCat(HumanBytes(response.shape_bytes_per_second()), "/s"));
  add("lease", response.lease_id());
  if (response.has_http()) {
    add("HTTP", absl::StrJoin(
                    {absl::StrCat(response.http().status()), response.http().code(), response.http().message()}, "  "));
  }
  if (response.cache_for_ms() > 0) add("cache for", absl::FormatDuration(absl::Milliseconds(response.cache_for_ms())));
  if (response.recheck_after_ms() > 0)
    add("recheck after", absl::FormatDuration(absl::Milliseconds(response.recheck_after_ms())));
  add("revision", absl::StrCat(response.revision()));
  session.Print(table);
}

int ExitCodeOf(v1::Verdict verdict) {
  if (verdict == v1::VERDICT_ALLOW) return kExitOk;
  return verdict == v1::VERDICT_THROTTLE ? kExitThrottled : kExitRefused;
}

int RunCheck(const Session& session, const CheckFlags& flags) {
  absl::StatusOr<v1::CheckRequest> request = flags.ToMessage();
  if (!request.ok()) return session.Fail(request.status());
  request->set_detail(true);
  absl::StatusOr<v1::CheckResponse> response = session.Checks().Check(*request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.output == Session::Output::kTable) {
    PrintDecision(session, *response);
  } else {
    session.Print(*response);
  }
  return ExitCodeOf(response->verdict());
}

int RunExplain(const Session& session, const CheckFlags& flags, const std::string& at) {
  absl::StatusOr<v1::CheckRequest> request = flags.ToMessage();
  if (!request.ok()) return session.Fail(request.status());
  v1::ExplainRequest explain;
  *explain.mutable_request() = *std::move(request);
  if (!at.empty()) {
    if (absl::Status status = ParseWhen("--at", at, explain.mutable_at()); !status.ok()) return session.Fail(status);
  }
  absl::StatusOr<v1::ExplainResponse> response = session.Admin().Explain(explain);
  if (!response.ok()) return session.Fail(response.status());
  if (session.output != Session::Output::kTable) {
    session.Print(*response);
    return ExitCodeOf(response->response().verdict());
  }
  google::protobuf::Timestamp now;
  ToProto(absl::Now(), &now);
  PrintDecision(session, response->response(), QuestionText(explain.request()),
                absl::StrCat(TimeText(at.empty() ? now : explain.at()), " (UTC+8)"));
  if (response->steps_size() > 0) {
    *session.out << "\n";
    Table table({{""}, {"RULE", Table::Align::kLeft, 48}, {"CLAUSE"}, {"WHY"}});
    for (const v1::ExplainStep& step : response->steps()) {
      const Color color = step.matched() ? Color::kNone : Color::kDim;
      table.AddRow({Cell(step.matched() ? "●" : "·", color), Cell(step.rule(), color), Cell(step.clause(), color),
                    Cell(step.text(), color)});
    }
    session.Print(table);
  }
  return ExitCodeOf(response->response().verdict());
}

}  // namespace

void AddCheckCommands(CLI::App* app, Session* session) {
  auto check = std::make_shared<CheckFlags>();
  CLI::App* command =
      AddCommand(app, session, "check", "Ask for a decision, as a gateway does: it spends tokens and is logged.",
                 "sluicectl check --op PUBLIC_READ --host cdn.example.cn --path /a.png --ip 203.0.113.9",
                 [=] { return RunCheck(*session, *check); });
  check->AddTo(command);

  auto explain = std::make_shared<CheckFlags>();
  auto at = std::make_shared<std::string>();
  command = AddCommand(app, session, "explain", "Say why: every rule looked at, at any moment, spending nothing.",
                       "sluicectl explain --op PUBLIC_READ --bucket photos --key a.png --at +30d",
                       [=] { return RunExplain(*session, *explain, *at); });
  explain->AddTo(command);
  command->add_option("--at", *at, "the moment: RFC 3339, or +2h, -30m, +7d; default: now");
}

}  // namespace sluice
