#include "store/usage_record.h"

#include <xxhash.h>

#include "store/lmdb_table.h"

namespace sluice {
namespace {

constexpr size_t kHeadBytes = 16;  // size, checksum
constexpr size_t kChangeBytes = 16 + 5 * 8;
constexpr size_t kLeaseBytes = 16;

void Put(int64_t number, std::string* out) { AppendBigEndian(static_cast<uint64_t>(number), out); }

void PutKey(Hash128 key, std::string* out) {
  AppendBigEndian(key.high, out);
  AppendBigEndian(key.low, out);
}

int64_t DayNumber(absl::CivilDay day) { return day - absl::CivilDay(1970, 1, 1); }
absl::CivilDay DayOfNumber(int64_t number) { return absl::CivilDay(1970, 1, 1) + number; }

// Takes numbers off the front of what is known to be long enough.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}
  int64_t Number() {
    const auto number = static_cast<int64_t>(ReadBigEndian(bytes_.substr(0, 8)));
    bytes_.remove_prefix(8);
    return number;
  }
  Hash128 Key() {
    Hash128 key;
    key.high = static_cast<uint64_t>(Number());
    key.low = static_cast<uint64_t>(Number());
    return key;
  }
  LeaseKey Lease() {
    LeaseKey lease;
    lease.process = static_cast<uint64_t>(Number());
    lease.number = static_cast<uint64_t>(Number());
    return lease;
  }
  size_t left() const { return bytes_.size(); }

 private:
  absl::string_view bytes_;
};

}  // namespace

std::string EncodeKey(Hash128 key) {
  std::string bytes;
  PutKey(key, &bytes);
  return bytes;
}

absl::optional<Hash128> DecodeKey(absl::string_view bytes) {
  if (bytes.size() != 16) return absl::nullopt;
  return Reader(bytes).Key();
}

std::string EncodeHeld(const HeldAmount& held) {
  std::string bytes;
  Put(held.amount, &bytes);
  Put(held.set_at, &bytes);
  return bytes;
}

absl::optional<HeldAmount> DecodeHeld(absl::string_view bytes) {
  if (bytes.size() != 16) return absl::nullopt;
  Reader reader(bytes);
  HeldAmount held;
  held.amount = reader.Number();
  held.set_at = reader.Number();
  return held;
}

std::string EncodeTraffic(const DayTraffic& traffic) {
  std::string bytes;
  Put(DayNumber(traffic.day), &bytes);
  Put(traffic.bytes, &bytes);
  Put(traffic.day_before, &bytes);
  Put(traffic.set_at, &bytes);
  return bytes;
}

absl::optional<DayTraffic> DecodeTraffic(absl::string_view bytes) {
  if (bytes.size() != 32) return absl::nullopt;
  Reader reader(bytes);
  DayTraffic traffic;
  traffic.day = DayOfNumber(reader.Number());
  traffic.bytes = reader.Number();
  traffic.day_before = reader.Number();
  traffic.set_at = reader.Number();
  return traffic;
}

std::string EncodeLeaseKey(LeaseKey lease) {
  std::string bytes;
  AppendBigEndian(lease.process, &bytes);
  AppendBigEndian(lease.number, &bytes);
  return bytes;
}

std::string EncodeLease(const Leases::Kept& kept) {
  std::string bytes;
  Put(absl::ToUnixNanos(kept.until), &bytes);
  for (const Hash128 key : kept.keys) PutKey(key, &bytes);
  return bytes;
}

absl::optional<Leases::Kept> DecodeLease(absl::string_view key, absl::string_view bytes) {
  if (key.size() != 16 || bytes.size() % 16 != 8) return absl::nullopt;
  Leases::Kept kept;
  kept.lease = Reader(key).Lease();
  Reader reader(bytes);
  kept.until = absl::FromUnixNanos(reader.Number());
  while (reader.left() > 0) kept.keys.push_back(reader.Key());
  return kept;
}

std::string EncodeRecord(const LedgerRecord& record) {
  std::string body;
  PutKey(record.report, &body);
  Put(static_cast<int64_t>(record.changes.size()), &body);
  for (const AmountChange& change : record.changes) {
    PutKey(change.key, &body);
    Put(static_cast<int64_t>(change.what), &body);
    Put((change.set ? 1 : 0) | (change.known ? 2 : 0) | (change.fresh ? 4 : 0), &body);
    Put(DayNumber(change.day), &body);
    Put(change.amount, &body);
    Put(change.revision, &body);
  }
  for (const LeaseKey lease : record.ended) body += EncodeLeaseKey(lease);
  std::string bytes;
  AppendBigEndian(body.size(), &bytes);
  AppendBigEndian(XXH3_64bits(body.data(), body.size()), &bytes);
  return bytes + body;
}

absl::optional<LedgerRecord> NextRecord(absl::string_view* journal) {
  if (journal->size() < kHeadBytes) return absl::nullopt;
  const uint64_t size = ReadBigEndian(journal->substr(0, 8));
  const uint64_t checksum = ReadBigEndian(journal->substr(8, 8));
  if (size > journal->size() - kHeadBytes || size < 24) return absl::nullopt;
  const absl::string_view body = journal->substr(kHeadBytes, size);
  if (XXH3_64bits(body.data(), body.size()) != checksum) return absl::nullopt;
  LedgerRecord record;
  Reader reader(body);
  record.report = reader.Key();
  const auto changes = static_cast<uint64_t>(reader.Number());
  if (changes > reader.left() / kChangeBytes) return absl::nullopt;
  for (uint64_t i = 0; i < changes; ++i) {
    AmountChange change;
    change.key = reader.Key();
    const int64_t what = reader.Number();
    const int64_t flags = reader.Number();
    change.what = what == 1 ? AmountChange::What::kHeld : AmountChange::What::kTraffic;
    change.set = (flags & 1) != 0;
    change.known = (flags & 2) != 0;
    change.fresh = (flags & 4) != 0;
    change.day = DayOfNumber(reader.Number());
    change.amount = reader.Number();
    change.revision = reader.Number();
    record.changes.push_back(change);
  }
  if (reader.left() % kLeaseBytes != 0) return absl::nullopt;
  while (reader.left() > 0) record.ended.push_back(reader.Lease());
  journal->remove_prefix(kHeadBytes + size);
  return record;
}

}  // namespace sluice
