// What was used, on disk: stored amounts, traffic of the day, counted reports and leases, so that they outlive a
// restart.
//
// A report is in the journal, a file of its own, before it is acknowledged: written, not synced. So it outlives the
// process however that ends; a machine that loses power may lose the last second or so, with the gateway beside it that
// reported. Once a second Flush moves what changed to LMDB, synced, and drops the journal that is no longer needed.
// Leases are taken by checks, which wait for no file: those of the last second before a crash are forgotten.
// Source: docs/decisions/2026-11-26-amounts-that-last.md.
#ifndef SLUICE_STORE_USAGE_STORE_H_
#define SLUICE_STORE_USAGE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "enforcement/check.h"
#include "enforcement/ledger.h"
#include "enforcement/limiter.h"

namespace sluice {

class UsageStore final : public LedgerJournal {
 public:
  struct Options {
    std::string path;                      // a folder inside the store's; created (0700) where it is missing
    size_t map_bytes = size_t{4} << 30;    // the most that it can grow to; address space, not memory
    size_t reports_max = size_t{1} << 18;  // as the ledger's
    bool sync = true;                      // false: a power cut may leave nothing (simulations only)
  };

  // Takes over the secret of the usage that lies at `path`, if any does, before the policy's store has one drawn: the
  // index of flags can be made anew under any secret (store.cc does), keys of what was used cannot. So a policy that
  // was moved away, or taken back from a backup, does not part an account from what it used. Call it before
  // Store::Open. FAILED_PRECONDITION where this process has another secret already.
  static absl::Status AdoptKeptSecret(const std::string& path);

  // Opens what is there, loads it into `limiter`, which must outlive the store, and takes its ledger's records from
  // then on. `now` tells how long leases still run. Opens before anything was hashed (names.h): FAILED_PRECONDITION
  // where it cannot take over the secret under which its keys were made. DATA_LOSS, RESOURCE_EXHAUSTED,
  // PERMISSION_DENIED and others as the store says. One process at a time: whoever has the policy's store has this one.
  static absl::StatusOr<std::unique_ptr<UsageStore>> Open(const Options& options, Limiter* limiter, Moment now);
  ~UsageStore() override;
  UsageStore(const UsageStore&) = delete;
  UsageStore& operator=(const UsageStore&) = delete;

  // Ledger's own: RESOURCE_EXHAUSTED or UNAVAILABLE where the file cannot be written; then nothing of the record is
  // kept.
  absl::Status Append(const LedgerRecord& record) override;

  // Makes durable what changed since the last call. Cheap where nothing did. On an error nothing is lost: the journal
  // stays, and a call some seconds later tries again. For one thread.
  absl::Status Flush(Moment now);

 private:
  struct Environment;
  // The file that records are appended to.
  class Journal;

  UsageStore(Options options, Limiter* limiter);
  absl::Status OpenEnvironment();
  absl::Status AdoptSecret();
  absl::Status Load(Moment now);
  absl::Status ReplayJournals(Moment now);
  absl::Status MakeJournal();
  absl::Status Commit(const Ledger::Batch& batch, const std::vector<Leases::Kept>& leases, absl::CivilDay today);
  std::string JournalPath(uint64_t number) const;
  std::vector<uint64_t> JournalNumbers() const;

  const Options options_;
  Limiter* const limiter_;
  std::unique_ptr<Environment> environment_;
  std::unique_ptr<Journal> journal_;  // the ledger's order guards it; none where it could not be made yet
  uint64_t number_ = 0;               // of the journal that is written to; changes with it
  uint64_t applied_ = 0;              // of the last journal that is in LMDB whole
  uint64_t next_report_ = 0;
  absl::CivilDay swept_;  // days before the one that came before this are gone
  MonotonicTime retry_at_;
};

}  // namespace sluice

#endif  // SLUICE_STORE_USAGE_STORE_H_
