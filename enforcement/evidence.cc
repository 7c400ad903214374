#include "enforcement/evidence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

class Evidence {
 public:
  Evidence(const Policy& policy, const EntitySource& source, const Moment& moment)
      : policy_(policy), source_(source), moment_(moment) {}

  std::string KeeperOf(const Subject& subject) const {
    const Subject stored = AsStored(subject);
    std::string keeper;
    for (const Rule* rule : policy_.evidence()) {
      if (!rule->KeepsNow(moment_)) continue;
      const Subject kept = AsStored(rule->evidence);
      if (Covers(kept, stored) ? IsExcepted(*rule, stored) : !Covers(stored, kept)) continue;
      std::string label = absl::StrCat(rule->kind == EntityKind::kHold ? "hold " : "flag ", rule->id);
      if (keeper.empty() || label < keeper) keeper = std::move(label);
    }
    return keeper;
  }

 private:
  // The object that a URL serves, where its host is bound to a bucket; other subjects as they are.
  Subject AsStored(const Subject& subject) const {
    if (subject.path.empty()) return subject;
    const absl::optional<Domain> domain = policy_.FindDomain(subject.host, moment_.wall);
    if (!domain || domain->bucket.empty()) return subject;
    Subject object;
    object.bucket = std::string(domain->bucket);
    object.key = std::string(absl::StripPrefix(subject.path, "/"));
    return object.key.empty() ? subject : object;
  }

  // Whether an exception under a flag takes all of `subject` out of what the flag keeps.
  bool IsExcepted(const Rule& rule, const Subject& subject) const {
    if (rule.exceptions.empty()) return false;
    const absl::optional<Entity> flag = source_.Get({EntityKind::kFlag, rule.id});
    if (!flag) return false;
    return std::any_of(flag->events.begin(), flag->events.end(), [&](const StampedEvent& stamped) {
      const auto* exception = std::get_if<GrantException>(&stamped.event.change);
      if (exception == nullptr || !Covers(AsStored(exception->subject), subject)) return false;
      const bool ahead = *stamped.event.effective_at > stamped.arrived_at;
      return ahead ? moment_.Passed(*stamped.event.effective_at) : stamped.arrived_at <= moment_.wall;
    });
  }

  // Whether what `inner` names lies within what `outer` names.
  bool Covers(const Subject& outer, const Subject& inner) const {
    if (!outer.account.empty()) {
      if (!inner.account.empty()) return inner.account == outer.account;
      if (!inner.bucket.empty()) {
        const absl::optional<Bucket> bucket = policy_.FindBucket(inner.bucket, moment_.wall);
        return bucket && bucket->account == outer.account;
      }
      if (!inner.host.empty()) {
        const absl::optional<Domain> domain = policy_.FindDomain(inner.host, moment_.wall);
        return domain && domain->account == outer.account;
      }
      return false;
    }
    if (!outer.bucket.empty()) {
      if (inner.bucket != outer.bucket) return false;
      if (!outer.prefix.empty()) {
        return absl::StartsWith(inner.key, outer.prefix) || absl::StartsWith(inner.prefix, outer.prefix);
      }
      if (outer.key.empty()) return true;
      return inner.key == outer.key && (outer.version_id.empty() || inner.version_id == outer.version_id);
    }
    if (!outer.hash.empty()) {
      return inner.hash.algorithm == outer.hash.algorithm && inner.hash.digest == outer.hash.digest;
    }
    if (!outer.host.empty()) {
      const absl::string_view below = absl::StripPrefix(outer.host, "*");
      const bool within =
          below.size() < outer.host.size() ? absl::EndsWith(inner.host, below) : inner.host == outer.host;
      return within && (outer.path.empty() || inner.path == outer.path);
    }
    return false;
  }

  const Policy& policy_;
  const EntitySource& source_;
  const Moment& moment_;
};

}  // namespace

std::string KeeperOfEvidence(const Subject& subject, const Policy& policy, const EntitySource& source,
                             const Moment& now) {
  return Evidence(policy, source, now).KeeperOf(subject);
}

}  // namespace sluice
