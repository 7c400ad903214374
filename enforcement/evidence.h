// What may not be deleted because it is evidence: under a hold, or a CRITICAL flag (domain.md, section 7).
#ifndef SLUICE_ENFORCEMENT_EVIDENCE_H_
#define SLUICE_ENFORCEMENT_EVIDENCE_H_

#include <string>

#include "enforcement/policy.h"
#include "enforcement/reducer.h"

namespace sluice {

// The hold or flag that keeps `subject`, or something of it, at `now`: "hold h1"; of several the first by name, since
// the error that says so is announced and stored, and has to read the same on every node. "" where nothing keeps it.
std::string KeeperOfEvidence(const Subject& subject, const Policy& policy, const EntitySource& source,
                             const Moment& now);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_EVIDENCE_H_
