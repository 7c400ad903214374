// Where every call of administration passes: who calls, may they, and what became of it, in the log and the metrics.
#ifndef SLUICE_SERVER_ADMIN_GATE_H_
#define SLUICE_SERVER_ADMIN_GATE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/event.h"
#include "metrics/trust_counters.h"
#include "server/access_source.h"
#include "server/admin/connection_bound.h"
#include "server/log/logger.h"

namespace sluice {

// What became of the events of a call.
struct EventCounts {
  int64_t applied = 0, duplicate = 0, stale = 0, rejected = 0;
  int64_t refused = 0;   // of the rejected: their sender may not send them
  int64_t revision = 0;  // of the policy after the last of them
  void Add(Outcome outcome);
};

// One call: filled by who admits it, read by who tells of it.
struct AdminCall {
  AdminMethod method = AdminMethod::kApply;
  Credential credential;
  std::string origin;  // "ipv4:10.0.0.7:51234"; "unix:" where it came over the local socket
  Grants grants;
  EventCounts events;
  absl::Time began = absl::InfinitePast();
};

// Thread-safe.
class Gate {
 public:
  // All must outlive the gate. All but `access` may be null. `connections` is told which of them belong to a caller
  // whom the access file knows.
  Gate(const AccessSource* access, const Logger* logger, TrustCounters* counters, ConnectionBound* connections)
      : access_(access), logger_(logger), counters_(counters), connections_(connections) {}

  // Fills call->grants by the access file of this moment. UNAUTHENTICATED: no credential, or a token that nobody has.
  // PERMISSION_DENIED: nobody's user or certificate, or a caller that may not call this method.
  absl::Status Admit(AdminCall* call) const;

  // Whether the access file knows whoever is at the other end of a Unix socket.
  bool Knows(const Credential::Peer& peer) const;

  // Once for every call, at its end, admitted or not: a line in the log, and a count. What callers wrote is cut there
  // as a status message is: a request of 32 MiB may be one name.
  void Tell(const AdminCall& call, const absl::Status& status) const;
  // Of a call that stays open, when it begins.
  void TellBegun(const AdminCall& call) const;
  // Of an event that its sender may not send; the call's own line has but their number.
  void TellRefused(const AdminCall& call, const PolicyEvent& event) const;

 private:
  const AccessSource* const access_;
  const Logger* const logger_;
  TrustCounters* const counters_;
  ConnectionBound* const connections_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_GATE_H_
