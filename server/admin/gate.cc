#include "server/admin/gate.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/listen/grpc_status.h"

namespace sluice {
namespace {

bool MayCall(const Grants& grants, AdminMethod method) {
  switch (method) {
    case AdminMethod::kApply:
    case AdminMethod::kApplyStream:
      return grants.roles != 0;  // which of the events is asked for each
    case AdminMethod::kDescribe:
    case AdminMethod::kExplain:
    case AdminMethod::kList:
    case AdminMethod::kWatch:
    case AdminMethod::kExport:
      return grants.reads_policy;
    case AdminMethod::kImport:
      return grants.imports;
    case AdminMethod::kTop:
    case AdminMethod::kQuery:
      return grants.reads_log;
  }
  return false;
}

absl::string_view Wanted(AdminMethod method) {
  switch (method) {
    case AdminMethod::kApply:
    case AdminMethod::kApplyStream:
      return "a role";
    case AdminMethod::kImport:
      return "imports: true";
    case AdminMethod::kTop:
    case AdminMethod::kQuery:
      return "reads: log";
    default:
      return "reads: policy";
  }
}

AdminOutcome OutcomeOf(const AdminCall& call, const absl::Status& status) {
  if (status.ok()) return AdminOutcome::kDone;
  // Only who was not admitted is nobody.
  if (!call.grants.caller.empty() && MayCall(call.grants, call.method)) return AdminOutcome::kFailed;
  return absl::IsUnauthenticated(status) ? AdminOutcome::kUnauthenticated : AdminOutcome::kDenied;
}

}  // namespace

void EventCounts::Add(Outcome outcome) {
  switch (outcome) {
    case Outcome::kApplied:
      ++applied;
      break;
    case Outcome::kDuplicate:
      ++duplicate;
      break;
    case Outcome::kStale:
      ++stale;
      break;
    default:
      ++rejected;
  }
}

absl::Status Gate::Admit(AdminCall* call) const {
  const Credential& credential = call->credential;
  const absl::optional<Grants> grants = access_->Current()->Of(credential);
  if (!grants) {
    if (credential.token)
      return absl::UnauthenticatedError("the token is none that the access file of this node knows");
    if (!credential.certificate && !credential.peer) {
      return absl::UnauthenticatedError(
          "wanted a credential that the access file of this node knows: a user of this machine at its Unix socket, a "
          "client certificate or a token; got none");
    }
    return absl::PermissionDeniedError(
        absl::StrCat("the access file of this node has no caller for ", Describe(credential)));
  }
  call->grants = *grants;
  if (connections_ != nullptr) connections_->OnKnown(call->origin);
  if (MayCall(*grants, call->method)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(Name(call->method), ": wanted a caller with ", Wanted(call->method),
                                                  ", got ", grants->caller, ", which has it not"));
}

bool Gate::Knows(const Credential::Peer& peer) const {
  Credential credential;
  credential.peer = peer;
  return access_->Current()->Of(credential).has_value();
}

void Gate::Tell(const AdminCall& call, const absl::Status& status) const {
  const AdminOutcome outcome = OutcomeOf(call, status);
  if (counters_ != nullptr) {
    counters_->OnAdminCall(call.method, outcome);
    if (call.events.refused > 0) counters_->OnEventsRefused(call.events.refused);
  }
  if (logger_ == nullptr) return;
  const bool denied = outcome == AdminOutcome::kUnauthenticated || outcome == AdminOutcome::kDenied;
  const LogLevel level = denied || call.events.refused > 0 ? LogLevel::kWarning : LogLevel::kInfo;
  const int64_t took_ms = absl::ToInt64Milliseconds(absl::Now() - call.began);
  const std::string credential = Describe(call.credential);
  if (call.method == AdminMethod::kApply || call.method == AdminMethod::kApplyStream) {
    logger_->Log(level, "admin call",
                 {{"caller", call.grants.caller},
                  {"credential", credential},
                  {"origin", call.origin},
                  {"method", Name(call.method)},
                  {"outcome", Name(outcome)},
                  {"applied", call.events.applied},
                  {"duplicate", call.events.duplicate},
                  {"stale", call.events.stale},
                  {"rejected", call.events.rejected},
                  {"refused", call.events.refused},
                  {"revision", call.events.revision},
                  {"ms", took_ms},
                  {"error", CutStatusMessage(status.message())}});
    return;
  }
  logger_->Log(level, "admin call",
               {{"caller", call.grants.caller},
                {"credential", credential},
                {"origin", call.origin},
                {"method", Name(call.method)},
                {"outcome", Name(outcome)},
                {"ms", took_ms},
                {"error", CutStatusMessage(status.message())}});
}

void Gate::TellBegun(const AdminCall& call) const {
  if (logger_ == nullptr) return;
  logger_->Info("admin call begun", {{"caller", call.grants.caller},
                                     {"credential", Describe(call.credential)},
                                     {"origin", call.origin},
                                     {"method", Name(call.method)}});
}

void Gate::TellRefused(const AdminCall& call, const PolicyEvent& event) const {
  if (logger_ == nullptr) return;
  logger_->Warning("event refused", {{"caller", call.grants.caller},
                                     {"credential", Describe(call.credential)},
                                     {"origin", call.origin},
                                     {"change", ChangeName(event.change.index())},
                                     {"source", CutStatusMessage(event.source)},
                                     {"event_id", CutStatusMessage(event.event_id)},
                                     {"error", event.refusal}});
}

}  // namespace sluice
