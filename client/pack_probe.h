// Asks an agreement pack what it answers: each operation in each state of an account, and under a flag of each
// category. The whole engine runs, so that a default parameter, a cause that is closed or a status code shows in the
// answers where it matters, and not only as a line of YAML that reads otherwise.
#ifndef SLUICE_CLIENT_PACK_PROBE_H_
#define SLUICE_CLIENT_PACK_PROBE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "enforcement/pack.h"
#include "enforcement/values.h"

namespace sluice {

struct PackAnswer {
  std::string about;  // "FROZEN", "RETENTION(BREACH)", "flag 3.1.3.5.7"
  std::string who;    // "owner", "another account", "the public"
  Operation operation = Operation::kUnspecified;
  std::string
      answer;  // "allow", "allow, warned ACCOUNT_FROZEN", "deny ACCOUNT_FROZEN 7.2.1 (403)", or why there is none
};

// The answers of `pack`, in the same order for every pack: states as they follow on each other, then its categories, by
// clause. Runs a simulation a state (about a second in all, in a folder for temporary files). Errors are those of the
// file system.
absl::StatusOr<std::vector<PackAnswer>> ProbePack(const Pack& pack);

}  // namespace sluice

#endif  // SLUICE_CLIENT_PACK_PROBE_H_
