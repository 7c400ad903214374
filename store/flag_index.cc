#include "store/flag_index.h"

#include <cstdint>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "enforcement/rule_compiler.h"

namespace sluice {
namespace {

// A piece: size of the id (two bytes), the id, size of the category (one), the category, severity with two bits, role,
// and two times of twelve bytes.
constexpr uint8_t kWhole = 0x80, kTrial = 0x40;
constexpr size_t kTimeBytes = 12;

void AppendTime(absl::Time time, std::string* out) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // infinite: the least or the most there is
  const bool finite = time != absl::InfiniteFuture() && time != absl::InfinitePast();
  const int64_t nanos = finite ? absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds)) : 0;
  AppendBigEndian(static_cast<uint64_t>(seconds), out);
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(nanos >> shift));
}

absl::Time ReadTime(const char* bytes) {
  const auto seconds = static_cast<int64_t>(ReadBigEndian({bytes, 8}));
  if (seconds == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
  if (seconds == std::numeric_limits<int64_t>::min()) return absl::InfinitePast();
  uint32_t nanos = 0;
  for (int i = 8; i < 12; ++i) nanos = nanos << 8 | static_cast<uint8_t>(bytes[i]);
  return absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanos);
}

void AppendPiece(const Rule& rule, bool whole, std::string* out) {
  out->push_back(static_cast<char>(rule.id.size() >> 8));
  out->push_back(static_cast<char>(rule.id.size()));
  out->append(rule.id);
  out->push_back(static_cast<char>(rule.clause.size()));
  out->append(rule.clause);
  out->push_back(
      static_cast<char>(static_cast<uint8_t>(rule.severity) | (whole ? kWhole : 0) | (rule.trial ? kTrial : 0)));
  out->push_back(static_cast<char>(rule.set_by));
  AppendTime(rule.span.from, out);
  AppendTime(rule.span.until, out);
}

// Takes the first piece off `*bytes`; false where there is none that can be read. `*text` is its bytes.
bool TakePiece(absl::string_view* bytes, FlagPiece* piece, absl::string_view* text) {
  const absl::string_view start = *bytes;
  const auto take = [&](size_t size, absl::string_view* part) {
    if (bytes->size() < size) return false;
    *part = bytes->substr(0, size);
    bytes->remove_prefix(size);
    return true;
  };
  absl::string_view head, rest;
  if (!take(2, &head)) return false;
  if (!take(static_cast<size_t>(static_cast<uint8_t>(head[0])) << 8 | static_cast<uint8_t>(head[1]), &piece->id))
    return false;
  if (!take(1, &head) || !take(static_cast<uint8_t>(head[0]), &piece->category)) return false;
  if (!take(2 + 2 * kTimeBytes, &rest)) return false;
  piece->whole = (static_cast<uint8_t>(rest[0]) & kWhole) != 0;
  piece->trial = (static_cast<uint8_t>(rest[0]) & kTrial) != 0;
  piece->severity = static_cast<Severity>(static_cast<uint8_t>(rest[0]) & ~(kWhole | kTrial));
  piece->set_by = static_cast<Role>(rest[1]);
  piece->from = ReadTime(rest.data() + 2);
  piece->until = ReadTime(rest.data() + 2 + kTimeBytes);
  *text = start.substr(0, start.size() - bytes->size());
  return true;
}

// What `flag` puts into the table, by name.
std::map<std::string, std::string> PiecesOf(const Entity& flag) {
  std::map<std::string, std::string> pieces;
  const CompiledRules compiled = CompileRules(flag, nullptr);
  for (const auto& rule : compiled.rules) {
    bool whole = !rule->exceptions.empty();
    for (const SubjectKey& subject : rule->subjects) whole |= !IsFiltered(subject.kind);
    for (const SubjectKey& subject : rule->subjects) AppendPiece(*rule, whole, &pieces[FlaggedName(subject.hash)]);
  }
  return pieces;
}

// Replaces what the value of `name` says of the flag `id` by `pieces`.
int Replace(LmdbTable flagged, const std::string& name, absl::string_view id, absl::string_view pieces) {
  absl::string_view value;
  const int error = flagged.Get(name, &value);
  if (error != 0 && error != MDB_NOTFOUND) return error;
  std::string kept;
  absl::string_view left = error == 0 ? value : absl::string_view();
  while (!left.empty()) {
    FlagPiece piece;
    absl::string_view text;
    if (!TakePiece(&left, &piece, &text)) return MDB_CORRUPTED;
    if (piece.id != id) absl::StrAppend(&kept, text);
  }
  absl::StrAppend(&kept, pieces);
  return kept.empty() ? flagged.Delete(name) : flagged.Put(name, kept);
}

int SlotOfThread(int slots) {
  static std::atomic<int> next{0};
  thread_local const int number = next.fetch_add(1, std::memory_order_relaxed);
  return number % slots;
}

}  // namespace

std::string FlaggedName(Hash128 subject) {
  std::string name;
  AppendBigEndian(subject.low, &name);
  AppendBigEndian(subject.high, &name);
  return name;
}

Hash128 FlaggedSubject(absl::string_view name) {
  return {ReadBigEndian(name.substr(0, 8)), ReadBigEndian(name.substr(8, 8))};
}

int UpdateFlagged(LmdbTable flagged, const Entity& before, const Entity& after) {
  const std::string& id = after.key.id;
  const std::map<std::string, std::string> was = PiecesOf(before);
  const std::map<std::string, std::string> is = PiecesOf(after);
  for (const auto& [name, pieces] : was) {
    if (is.contains(name)) continue;
    if (const int error = Replace(flagged, name, id, ""); error != 0) return error;
  }
  for (const auto& [name, pieces] : is) {
    const auto it = was.find(name);
    if (it != was.end() && it->second == pieces) continue;
    if (const int error = Replace(flagged, name, id, pieces); error != 0) return error;
  }
  return 0;
}

int NewFlags::Add(const Entity& flag) {
  for (const auto& [name, pieces] : PiecesOf(flag)) {
    if (const int error = pieces_.Add(name, pieces); error != 0) return error;
  }
  return 0;
}

int NewFlags::Write(LmdbTable flagged) {
  return pieces_.ForEach([&](absl::string_view name, absl::string_view pieces) {
    int error = flagged.Append(name, pieces);
    if (error == MDB_KEYEXIST) {  // not the last one; it may still be new
      absl::string_view there;
      error = flagged.Get(name, &there);
      const std::string both = absl::StrCat(error == 0 ? there : absl::string_view(), pieces);
      if (error == 0 || error == MDB_NOTFOUND) error = flagged.Put(name, both);
    }
    return error;
  });
}

bool VisitFlagPieces(absl::string_view value, absl::FunctionRef<void(const FlagPiece&)> visit) {
  while (!value.empty()) {
    FlagPiece piece;
    absl::string_view text;
    if (!TakePiece(&value, &piece, &text)) return false;
    visit(piece);
  }
  return true;
}

LmdbFlagReader::~LmdbFlagReader() {
  for (Slot& slot : slots_) {
    if (MDB_txn* const transaction = slot.transaction.load(std::memory_order_acquire)) mdb_txn_abort(transaction);
  }
  absl::MutexLock lock(&held_mutex_);
  if (held_ != nullptr) mdb_txn_abort(held_);
}

void LmdbFlagReader::HoldCommitted() {
  absl::MutexLock lock(&held_mutex_);
  if (held_ != nullptr) mdb_txn_reset(held_);  // one that a failed commit left
  const int begun = held_ != nullptr ? mdb_txn_renew(held_) : mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &held_);
  if (begun == 0 || held_ == nullptr) return;
  mdb_txn_abort(held_);
  held_ = nullptr;
}

void LmdbFlagReader::ReleaseCommitted() {
  absl::MutexLock lock(&held_mutex_);
  if (held_ != nullptr) mdb_txn_reset(held_);
}

bool LmdbFlagReader::FindIn(MDB_txn* transaction, Hash128 subject,
                            absl::FunctionRef<void(const FlagPiece&)> visit) const {
  absl::string_view value;
  const int error = LmdbTable(transaction, flagged_).Get(FlaggedName(subject), &value);
  return error == MDB_NOTFOUND || (error == 0 && VisitFlagPieces(value, visit));
}

bool LmdbFlagReader::Find(Hash128 subject, absl::FunctionRef<void(const FlagPiece&)> visit) const {
  std::atomic<MDB_txn*>& slot = slots_[static_cast<size_t>(SlotOfThread(kSlots))].transaction;
  // Acquire and release: what the last holder did to the transaction is done.
  MDB_txn* transaction = slot.exchange(nullptr, std::memory_order_acquire);
  const int begun = transaction != nullptr ? mdb_txn_renew(transaction)
                                           : mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction);
  if (begun != 0) {
    if (transaction != nullptr) mdb_txn_abort(transaction);
    if (begun != MDB_PANIC) return false;
    absl::MutexLock lock(&held_mutex_);
    return held_ != nullptr && FindIn(held_, subject, visit);
  }
  const bool readable = FindIn(transaction, subject, visit);
  mdb_txn_reset(transaction);
  MDB_txn* none = nullptr;
  // Two threads may share a slot; the second one back has one too many.
  if (!slot.compare_exchange_strong(none, transaction, std::memory_order_release, std::memory_order_relaxed)) {
    mdb_txn_abort(transaction);
  }
  return readable;
}

}  // namespace sluice
