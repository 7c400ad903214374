// The policy in force, for many readers and one writer: two copies behind a LeftRight, and the records that both share.
//
// A record of an account, bucket or domain, or a bit of the filter, has one place. The writer changes a copy that
// nobody reads; what it changes of the shared records, that copy keeps beside them. Publish shows the copy, waits until
// nobody reads the other one, and only then settles the changes into the shared tables: a reader of the new copy looks
// for what changes in the copy until then, and every other record stays as it is. So a reader sees one revision, takes
// no lock and never waits; the writer waits for the checks that are under way, for one check each. Source:
// docs/decisions/2026-11-26-index.md
#ifndef SLUICE_ENFORCEMENT_POLICY_INDEX_H_
#define SLUICE_ENFORCEMENT_POLICY_INDEX_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "enforcement/left_right.h"
#include "enforcement/policy.h"

namespace sluice {

class PolicyIndex {
 public:
  // `pack` must outlive the index.
  explicit PolicyIndex(const Pack* pack) : records_(std::make_unique<PolicyRecords>()), copies_(pack, records_.get()) {}

  using Guard = LeftRight<Policy>::Guard;
  // Thread-safe; wait-free.
  Guard Read() const { return copies_.Read(); }

  // Calls `visit` with each host that was ever bound, as last committed. Holds no copy, so that the writer does not
  // wait for it. Takes some microseconds each. Thread-safe where what SetEach was given is.
  void ForEachHost(absl::FunctionRef<void(const std::string& host)> visit) const {
    if (records_->each) records_->each(EntityKind::kDomain, [&](const Entity& domain) { visit(domain.key.id); });
  }

  // ---- The one writer -----------------------------------------------------------------------------------------------

  // What is retained of an entity, changes that are not yet committed among it: a parameter that changes has accounts
  // built again from their facts. REQUIRES: called before a parameter is put over accounts.
  void SetFacts(std::function<absl::optional<Entity>(const EntityKey&)> facts) { records_->facts = std::move(facts); }
  // The same of all entities of a kind: asked once for each hold on "*.x", and by ForEachHost on its thread.
  void SetEach(std::function<void(EntityKind, const std::function<void(const Entity&)>&)> each) {
    records_->each = std::move(each);
  }
  // Flags on objects, versions, hashes and URLs are from now on looked up in `flags`, which must outlive the index, and
  // not compiled, but for those with exceptions and those that keep evidence. REQUIRES: no flag was put yet.
  void SetFlags(const FlagReader* flags) { records_->flags = flags; }
  // Room in the filter for `keys`, then every subject that is flagged. REQUIRES: before the first flag.
  void ReserveFlagged(size_t keys) { records_->flag_filter.Reserve(keys); }
  void AddFlagged(Hash128 subject) { records_->flag_filter.Add(subject); }

  // The copy that no reader sees; what it is told there shows at Publish.
  Policy& working() { return copies_.working(); }
  // Shows the working copy to readers and calls `repeat(Policy&)` to tell the other one the same.
  template <typename Repeat>
  void Publish(Repeat&& repeat) {
    Policy& shown = working();
    copies_.Publish([&](Policy& other) {
      shown.Settle();
      other.BeginRepeat();
      std::forward<Repeat>(repeat)(other);
      other.EndRepeat(shown);
    });
  }
  // Fills an empty policy with millions: calls `load(Policy&, shared)` for the copy that is shown first, with true,
  // then for the other, which needs no accounts, buckets and domains, flags that stay in the store, and announcements.
  // REQUIRES: nothing was put yet, so that no reader finds anything.
  template <typename Load>
  void LoadAll(const Load& load) {
    Policy& shown = working();
    shown.BeginLoading();
    load(shown, true);
    shown.EndLoading();
    Publish([&](Policy& other) {
      load(other, false);
      other.CopyDated(shown);
    });
  }

  // Bytes of records, their names and the filter.
  struct Bytes {
    size_t accounts = 0, buckets = 0, domains = 0, names = 0, flags = 0;
  };
  Bytes bytes() const {
    return {records_->accounts.bytes(), records_->buckets.bytes(), records_->domains.bytes(), records_->names.bytes(),
            records_->flag_filter.bytes()};
  }

 private:
  const std::unique_ptr<PolicyRecords> records_;
  LeftRight<Policy> copies_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_POLICY_INDEX_H_
