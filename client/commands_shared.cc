// What the families of subcommands share: flags of subjects and events, sending one event, listing.
#include <algorithm>
#include <ostream>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/yaml_message.h"
#include "proto/translate.h"

namespace sluice {
namespace {

constexpr int kPageSize = 500;
constexpr char kSource[] = "sluicectl";

}  // namespace

void SubjectFlags::AddTo(CLI::App* app) {
  const std::string group = "Subject";
  app->add_option("--account", account, "an account")->group(group);
  app->add_option("--bucket", bucket, "a bucket; with --key or --prefix what is in it")->group(group);
  app->add_option("--key", key, "an object in --bucket")->group(group);
  app->add_option("--prefix", prefix, "all keys in --bucket under this, which ends in /")->group(group);
  app->add_option("--version-id", version_id, "one version of --key")->group(group);
  app->add_option("--hash", hash, "content, as ALGORITHM:DIGEST")->group(group);
  app->add_option("--host", host, "a domain, *.DOMAIN for those below it; with --path one URL")->group(group);
  app->add_option("--path", path, "a path on --host")->group(group);
  app->add_option("--ip", client_ip, "a client's address, or a CIDR block")->group(group);
}

bool SubjectFlags::empty() const {
  return account.empty() && bucket.empty() && key.empty() && prefix.empty() && version_id.empty() && hash.empty() &&
         host.empty() && path.empty() && client_ip.empty();
}

absl::StatusOr<v1::Subject> SubjectFlags::ToMessage() const {
  v1::Subject subject;
  subject.set_account(account);
  subject.set_bucket(bucket);
  subject.set_key(key);
  subject.set_prefix(prefix);
  subject.set_version_id(version_id);
  subject.set_host(host);
  subject.set_path(path);
  subject.set_client_ip(client_ip);
  if (!hash.empty()) {
    if (absl::Status status = ParseHash(hash, subject.mutable_hash()); !status.ok()) return status;
  }
  return subject;
}

void EventFlags::AddTo(CLI::App* app) {
  const std::string group = "Event";
  app->add_option("--role", role, "as which role to act; default: the first that the pack and the node let you")
      ->group(group);
  app->add_option("--note", note, "a remark for the audit trail")->group(group);
  app->add_option("--event-id", event_id, "a name for this change: the same one again is a duplicate")->group(group);
  app->add_option("--effective-at", effective_at, "when it counts from: RFC 3339, or +2h, -30m; default: now")
      ->group(group);
}

absl::Status ParseHash(absl::string_view text, v1::ContentHash* hash) {
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--hash: wanted ALGORITHM:DIGEST (sha256:9f86d0...), got \"", text, "\""));
  }
  hash->set_algorithm(std::string(text.substr(0, colon)));
  hash->set_digest(std::string(text.substr(colon + 1)));
  return absl::OkStatus();
}

absl::Status ParseWhen(absl::string_view flag, absl::string_view text, google::protobuf::Timestamp* time) {
  if (text == "now") {
    ToProto(absl::Now(), time);
    return absl::OkStatus();
  }
  if (absl::StartsWith(text, "+") || absl::StartsWith(text, "-")) {
    absl::string_view number = text;
    int64_t days = 0;
    if (absl::ConsumeSuffix(&number, "d") && absl::SimpleAtoi(number, &days) && days > -100000 && days < 100000) {
      ToProto(absl::Now() + days * absl::Hours(24), time);
      return absl::OkStatus();
    }
    absl::Duration duration;
    if (absl::ParseDuration(text, &duration)) {
      ToProto(absl::Now() + duration, time);
      return absl::OkStatus();
    }
  }
  if (const absl::optional<absl::Time> moment = ParseRfc3339(text); moment.has_value()) {
    ToProto(*moment, time);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": wanted a time like 2026-03-01T10:00:00+08:00, now, +2h or -7d, got \"", text, "\""));
}

absl::StatusOr<int> ParseWord(absl::string_view flag, const google::protobuf::EnumDescriptor* type,
                              absl::string_view text) {
  const std::string word = absl::StrReplaceAll(absl::AsciiStrToUpper(text), {{"-", "_"}});
  const absl::optional<int> value = ParseEnumName(type, word);
  // A number that the contract lacks is a mistake on a command line, and so is UNSPECIFIED.
  if (value.has_value() && *value != 0 && type->FindValueByNumber(*value) != nullptr) return *value;
  std::string words;
  for (int i = 0; i < type->value_count(); ++i) {
    if (type->value(i)->number() == 0) continue;
    absl::StrAppend(&words, words.empty() ? "" : ", ", ShortEnumName(type, type->value(i)->number()));
  }
  return absl::InvalidArgumentError(absl::StrCat(flag, ": wanted one of ", words, "; got \"", text, "\""));
}

std::string NewId(absl::string_view prefix) {
  static constexpr absl::string_view kLetters = "23456789abcdefghijkmnpqrstuvwxyz";
  std::random_device random;
  std::string id = absl::StrCat(prefix, "-");
  for (int i = 0; i < 10; ++i) id.push_back(kLetters[random() % kLetters.size()]);
  return id;
}

void FillEventDefaults(const Pack& pack, v1::PolicyEvent* event) {
  if (event->source().empty()) event->set_source(kSource);
  if (event->role() != v1::ROLE_UNSPECIFIED) return;
  const PolicyEvent plain = FromProto(*event);
  const std::vector<Role>& roles = pack.roles[plain.change.index()];
  const std::vector<Role>* narrower = nullptr;
  if (const auto* flag = std::get_if<RaiseFlag>(&plain.change)) {
    const auto found = pack.category_roles.find(flag->category);
    if (found != pack.category_roles.end()) narrower = &found->second;
  } else if (const auto* terminate = std::get_if<Terminate>(&plain.change)) {
    const auto found = pack.terminate_roles.find(terminate->cause);
    if (found != pack.terminate_roles.end()) narrower = &found->second;
  }
  for (const Role role : roles) {
    if (narrower != nullptr && std::find(narrower->begin(), narrower->end(), role) == narrower->end()) continue;
    event->set_role(static_cast<v1::Role>(role));
    return;
  }
  if (!roles.empty()) event->set_role(static_cast<v1::Role>(roles.front()));
}

int ApplyOne(const Session& session, const EventFlags& flags, v1::PolicyEvent event, absl::string_view about) {
  event.set_note(flags.note);
  event.set_event_id(flags.event_id);
  if (!flags.role.empty()) {
    absl::StatusOr<int> role = ParseWord("--role", v1::Role_descriptor(), flags.role);
    if (!role.ok()) return session.Fail(role.status());
    event.set_role(static_cast<v1::Role>(*role));
  }
  if (!flags.effective_at.empty()) {
    if (absl::Status status = ParseWhen("--effective-at", flags.effective_at, event.mutable_effective_at());
        !status.ok()) {
      return session.Fail(status);
    }
  }
  if (event.source().empty()) event.set_source(kSource);
  v1::ApplyRequest request;
  *request.add_events() = event;
  absl::StatusOr<v1::ApplyResponse> response = session.Admin().Apply(request);
  if (!response.ok()) return session.Fail(response.status());
  if (response->results_size() != 1) {
    return session.Fail(absl::InternalError(absl::StrCat("wanted 1 result, got ", response->results_size())));
  }
  const v1::EventResult& result = response->results(0);
  const bool rejected = result.outcome() == v1::OUTCOME_REJECTED;
  if (session.output != Session::Output::kTable) {
    session.Print(*response);
  } else if (rejected) {
    *session.err << "sluicectl: rejected: " << Printable(result.error())
                 << (flags.role.empty() ? " (sent as the first role that may; --role names another)" : "") << "\n";
  } else {
    *session.out << Printable(about) << ": "
                 << Paint(ShortEnumName(v1::Outcome_descriptor(), result.outcome()), Color::kGreen, session.colored)
                 << ", revision " << result.revision() << "\n";
  }
  return rejected ? kExitRefused : kExitOk;
}

int PrintList(const Session& session, const std::string& kind, const SubjectFlags& subject) {
  v1::ListRequest request;
  request.set_kind(absl::StrCat(kind, "s"));  // "flags"
  request.set_page_size(kPageSize);
  if (!subject.empty()) {
    absl::StatusOr<v1::Subject> message = subject.ToMessage();
    if (!message.ok()) return session.Fail(message.status());
    *request.mutable_subject() = *std::move(message);
  }
  Connection connection = session.Admin();
  v1::ListResponse all;
  do {
    absl::StatusOr<v1::ListResponse> page = connection.List(request);
    if (!page.ok()) return session.Fail(page.status());
    request.set_page_token(page->next_page_token());
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  if (session.output != Session::Output::kTable) {
    session.Print(all);
  } else if (all.items_size() == 0) {
    *session.out << "no " << kind << "s" << (subject.empty() ? "" : " on that subject") << "\n";
  } else {
    session.Print(TableOfEvents(all.items()));
  }
  return kExitOk;
}

Color ColorOf(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_ALLOW:
      return Color::kGreen;
    case v1::VERDICT_THROTTLE:
      return Color::kYellow;
    default:
      return Color::kRed;
  }
}

}  // namespace sluice
