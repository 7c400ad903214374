// How the records of the usage journal and the values of its tables read as bytes. Internal to store/.
#ifndef SLUICE_STORE_USAGE_RECORD_H_
#define SLUICE_STORE_USAGE_RECORD_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/ledger.h"

namespace sluice {

// Numbers are big-endian throughout. Nothing where the bytes are not what Encode made.
std::string EncodeKey(Hash128 key);
absl::optional<Hash128> DecodeKey(absl::string_view bytes);
std::string EncodeHeld(const HeldAmount& held);
absl::optional<HeldAmount> DecodeHeld(absl::string_view bytes);
std::string EncodeTraffic(const DayTraffic& traffic);
absl::optional<DayTraffic> DecodeTraffic(absl::string_view bytes);
// The key of a lease is its id.
std::string EncodeLeaseKey(LeaseKey lease);
std::string EncodeLease(const Leases::Kept& kept);
absl::optional<Leases::Kept> DecodeLease(absl::string_view key, absl::string_view bytes);

// A record as it stands in the journal: its size, a checksum, and itself.
std::string EncodeRecord(const LedgerRecord& record);
// The record at the front of `*journal`, which it is cut from. Nothing at the end, and at a record that was cut short
// or damaged, behind which nothing was acknowledged.
absl::optional<LedgerRecord> NextRecord(absl::string_view* journal);

}  // namespace sluice

#endif  // SLUICE_STORE_USAGE_RECORD_H_
