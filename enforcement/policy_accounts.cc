// The half of Policy that keeps the standing of accounts, and what falls due of them by time alone.
#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/policy.h"
#include "enforcement/timeline_code.h"

namespace sluice {
namespace {

// When something may be announced of an account by time alone: a stretch of RECLAIMABLE from its announce_at on, where
// something in it changes at a time that was written ahead (a payment is no longer on its way), and its end where that
// was. A stretch that an event ended on arrival is over, and one that was announced already (`announced`) is not again.
std::vector<int64_t> DueNs(const Timeline& timeline, bool announced) {
  std::vector<int64_t> due;
  const auto& segments = timeline.segments;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].state != AccountState::kReclaimable || !segments[i].announce_at) continue;
    const Segment* next = i + 1 < segments.size() ? &segments[i + 1] : nullptr;
    const bool goes_on = next != nullptr && next->state == AccountState::kReclaimable;
    if (next != nullptr && !goes_on && next->waits_for != next->from) continue;
    if (!announced && !goes_on) due.push_back(absl::ToUnixNanos(*segments[i].announce_at));
    if (next != nullptr && !(announced && goes_on) && next->waits_for == next->from) {
      due.push_back(absl::ToUnixNanos(next->from));
    }
  }
  return due;
}

// The row of a state that has one alone and no clock of its own.
absl::optional<StateRow> PlainRow(AccountState state) {
  if (state == AccountState::kPending) return StateRow::kPending;
  if (state == AccountState::kActive) return StateRow::kActive;
  return absl::nullopt;
}

}  // namespace

// ---- Records
// ---------------------------------------------------------------------------------------------------------

// What a record says of a state in one byte and a time. REQUIRES: PlainRow(state).
Segment Policy::PlainSegment(AccountState state, int64_t from_ns) const {
  Segment segment;
  segment.state = state;
  segment.from = segment.since = absl::FromUnixNanos(from_ns);
  segment.permissions = pack_->rows[static_cast<size_t>(*PlainRow(state))];
  return segment;
}

bool Policy::IsPlain(const Segment& segment) const {
  return PlainRow(segment.state).has_value() && !segment.waits_for && segment.cause == TerminationCause::kUnspecified &&
         segment.permissions == pack_->rows[static_cast<size_t>(*PlainRow(segment.state))] &&
         segment.since == segment.from && !segment.deadline && !segment.payment_pending && !segment.announce_at &&
         !segment.delete_by_parameter && FitsNanos(segment.from);
}

AccountRecord Policy::RecordOf(NamePool::Place name, const Timeline& timeline) {
  AccountRecord record{};
  record.name = name;
  const auto& segments = timeline.segments;
  if (segments.empty()) {
    record.form = AccountRecord::kNameOnly;
  } else if (segments.size() <= 2 && std::all_of(segments.begin(), segments.end(),
                                                 [this](const Segment& segment) { return IsPlain(segment); })) {
    record.form = segments.size() == 1 ? AccountRecord::kOneState : AccountRecord::kTwoStates;
    record.first_ns = absl::ToUnixNanos(segments.front().from);
    record.second_ns = absl::ToUnixNanos(segments.back().from);
    record.states =
        static_cast<uint8_t>(static_cast<int>(segments.front().state) | static_cast<int>(segments.back().state) << 4);
  } else {
    record.form = AccountRecord::kCoded;
    record.first_ns = records_->names.Add(EncodeTimeline(timeline));
  }
  return record;
}

Timeline Policy::TimelineOf(const AccountRecord& record) const {
  Timeline timeline;
  if (record.form == AccountRecord::kCoded) return DecodeTimeline(records_->names.At(record.code()));
  if (record.form >= AccountRecord::kOneState)
    timeline.segments.push_back(PlainSegment(record.first(), record.first_ns));
  if (record.form == AccountRecord::kTwoStates) {
    timeline.segments.push_back(PlainSegment(record.second(), record.second_ns));
  }
  return timeline;
}

AccountRecord Policy::Meet(absl::string_view account, Hash128 hash) {
  if (const AccountRecord* known = accounts_.Find(hash)) return *known;
  AccountRecord record{};
  record.form = AccountRecord::kNameOnly;
  record.name = records_->names.Add(account);
  accounts_.Put(hash, record);
  return record;
}

Timeline Policy::BuildStanding(const Entity& account) const {
  return account.events.empty() ? Timeline() : BuildTimeline(account.events, account.key.id, parameters_, *pack_);
}

void Policy::PutAccount(const Entity& account, Timeline standing) {
  ready_ = true;
  if (repeating_) return;
  const Hash128 hash = SubjectHash(SubjectKind::kAccount, account.key.id);
  if (account.events.empty() && accounts_.Find(hash) == nullptr) return;
  const AccountRecord before = Meet(account.key.id, hash);
  const Timeline was = TimelineOf(before);
  // Of one that was never more than opened and paid no clock runs that a parameter could move.
  const bool clocked = std::any_of(standing.segments.begin(), standing.segments.end(),
                                   [](const Segment& segment) { return !PlainRow(segment.state); });
  // Policy time has come at least to where the last event arrived, and never goes back.
  absl::Time reached = absl::InfinitePast();
  for (const StampedEvent& event : account.events) reached = std::max(reached, event.arrived_at);
  ForgetPast(reached, &standing);
  AccountRecord record = RecordOf(before.name, standing);
  record.clocked = clocked;
  if (const AccountRecord* pending = accounts_.Pending(hash)) records_->names.Free(pending->code());
  accounts_.Put(hash, record);
  account_count_ += (record.form != AccountRecord::kNameOnly) - (before.form != AccountRecord::kNameOnly);
  TrackDue(record, was, standing);
}

void Policy::RebuildTimelines(absl::string_view account) {
  std::vector<std::string> names;
  if (!account.empty()) {
    names.emplace_back(account);
  } else {
    accounts_.ForEach([&](const AccountRecord& record) {
      if (record.form != AccountRecord::kNameOnly && record.clocked)
        names.emplace_back(records_->names.At(record.name));
    });
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  for (const std::string& name : names) {
    const AccountRecord* record = accounts_.Find(SubjectHash(SubjectKind::kAccount, name));
    if (record == nullptr || record->form == AccountRecord::kNameOnly) continue;
    if (!records_->facts) std::abort();  // PolicyIndex::SetFacts was not called
    const absl::optional<Entity> entity = records_->facts({EntityKind::kAccount, name});
    if (entity) PutAccount(*entity, BuildStanding(*entity));
  }
}

absl::optional<Account> Policy::FindAccount(absl::string_view account) const {
  return FindAccount(SubjectHash(SubjectKind::kAccount, account));
}

absl::optional<Account> Policy::FindAccount(Hash128 account) const {
  const AccountRecord* record = accounts_.Find(account);
  if (record == nullptr || record->form == AccountRecord::kNameOnly) return absl::nullopt;
  return Account{records_->names.At(record->name), TimelineOf(*record)};
}

void Policy::ForEachAccount(absl::FunctionRef<void(const Account&)> visit) const {
  accounts_.ForEachShown([&](const AccountRecord& record) {
    if (record.form != AccountRecord::kNameOnly) visit({records_->names.At(record.name), TimelineOf(record)});
  });
}

bool Policy::PlainlyPermits(Hash128 account, Operation judged, const Moment& now) const {
  const AccountRecord* record = accounts_.Find(account);
  if (record == nullptr || (record->form != AccountRecord::kOneState && record->form != AccountRecord::kTwoStates)) {
    return false;
  }
  // Of one state both are the same.
  if (now.wall < absl::FromUnixNanos(record->second_ns)) return false;
  return pack_->rows[static_cast<size_t>(*PlainRow(record->second()))][static_cast<size_t>(judged)] ==
         Permission::kAllow;
}

absl::string_view Policy::AccountName(Hash128 account) const {
  const AccountRecord* record = accounts_.Find(account);
  return record == nullptr ? absl::string_view() : records_->names.At(record->name);
}

// ---- What falls due
// --------------------------------------------------------------------------------------------------

void Policy::TrackDue(const AccountRecord& record, const Timeline& was, const Timeline& is) {
  for (const int64_t due : DueNs(was, /*announced=*/false)) records_->due.erase({due, record.name});
  const bool announced = IsAnnounced(records_->names.At(record.name));
  for (const int64_t due : DueNs(is, announced)) records_->due.emplace(due, record.name);
}

bool Policy::IsAnnounced(absl::string_view account) const { return AnnouncedAt(account).has_value(); }

OptionalTime Policy::AnnouncedAt(absl::string_view account) const {
  const auto it = records_->announced.find(account);
  return it == records_->announced.end() ? OptionalTime() : OptionalTime(it->second);
}

void Policy::Note(const Announcement& announcement) {
  if (repeating_) return;
  const std::string& account = announcement.subject.account;
  if (announcement.kind == AnnouncementKind::kReclaimable) {
    records_->announced[account] = announcement.at;
  } else if (announcement.kind == AnnouncementKind::kReclaimCancelled) {
    records_->announced.erase(account);
  } else {
    return;
  }
  const AccountRecord* record = accounts_.Find(SubjectHash(SubjectKind::kAccount, account));
  if (record == nullptr) return;
  const Timeline timeline = TimelineOf(*record);
  TrackDue(*record, timeline, timeline);
}

absl::flat_hash_set<absl::string_view> Policy::HeldAccounts(const Moment& now) const {
  absl::flat_hash_set<absl::string_view> held;
  for (const Rule* rule : evidence_) {
    if (!rule->KeepsNow(now)) continue;
    const Subject& subject = rule->evidence;
    if (!subject.account.empty()) {
      held.insert(subject.account);
    } else if (!subject.bucket.empty()) {
      if (const auto bucket = FindBucket(subject.bucket, now.wall)) held.insert(bucket->account);
    } else if (!subject.host.empty()) {
      if (const auto domain = FindDomain(subject.host, now.wall)) held.insert(domain->account);
    }
  }
  return held;
}

void Policy::AddHeldBelow(const Moment& now, absl::flat_hash_set<absl::string_view>* held) const {
  for (const Rule* rule : evidence_) {
    const std::string& wildcard = rule->evidence.host;
    if (!absl::StartsWith(wildcard, "*.") || !rule->KeepsNow(now)) continue;
    for (const std::string& host : HostsBelow(wildcard)) {
      if (const auto domain = FindDomain(host, now.wall)) held->insert(domain->account);
    }
  }
}

// Hosts are looked up from below upwards, and a record does not have its name: who is bound below a wildcard takes a
// walk through all there is, the first time that a hold asks. Such holds are rare.
const std::set<std::string>& Policy::HostsBelow(const std::string& wildcard) const {
  const auto [it, added] = records_->hosts_below.try_emplace(wildcard);
  std::set<std::string>& hosts = it->second;
  if (!added) return hosts;
  const auto add = [&](const std::string& host) {
    if (absl::EndsWith(host, wildcard.substr(1))) hosts.insert(host);
  };
  if (records_->each) records_->each(EntityKind::kDomain, [&](const Entity& domain) { add(domain.key.id); });
  for (const std::string& host : records_->hosts_put) add(host);
  return hosts;
}

std::vector<Announcement> Policy::DueAnnouncements(const Moment& now) {
  std::vector<Announcement> due;
  const int64_t wall_ns = absl::ToUnixNanos(now.wall);
  // Those that are RECLAIMABLE, each once: an account may be due for more than one cause. What has ended at a time that
  // was written beforehand is due no more.
  absl::flat_hash_map<absl::string_view, Segment> reclaimable;
  for (auto it = records_->due.begin(); it != records_->due.end() && it->first <= wall_ns;) {
    const absl::string_view name = records_->names.At(it->second);
    const absl::optional<Account> account = FindAccount(name);
    const Segment* segment = account ? account->timeline.At(now.wall) : nullptr;
    const bool over = segment == nullptr || segment->state != AccountState::kReclaimable;
    if (over) {
      records_->recheck_announced |= IsAnnounced(name);
    } else {
      reclaimable.emplace(name, *segment);
    }
    it = over ? records_->due.erase(it) : std::next(it);
  }
  const bool some_due = !reclaimable.empty() && now.clock_error.has_value();
  const bool recheck = !records_->announced.empty() && (records_->recheck_announced || !evidence_.empty());
  records_->recheck_announced = false;
  if (!some_due && !recheck) return due;
  absl::flat_hash_set<absl::string_view> held = HeldAccounts(now);
  AddHeldBelow(now, &held);
  const auto announce = [&](AnnouncementKind kind, absl::string_view name, const Segment& segment, std::string detail) {
    Announcement announcement;
    announcement.kind = kind;
    announcement.subject.account = std::string(name);
    announcement.at = now.wall;
    announcement.clause = pack_->causes[static_cast<size_t>(segment.cause)].clause;
    announcement.detail = std::move(detail);
    due.push_back(std::move(announcement));
  };
  if (recheck) {
    for (const auto& [name, at] : records_->announced) {
      const absl::optional<Account> account = FindAccount(name);
      const Segment* segment = account ? account->timeline.At(now.wall) : nullptr;
      if (segment == nullptr || segment->state == AccountState::kReclaimed) continue;
      if (segment->state != AccountState::kReclaimable) {
        announce(AnnouncementKind::kReclaimCancelled, name, *segment, "the account came back");
      } else if (held.contains(name)) {
        announce(AnnouncementKind::kReclaimCancelled, name, *segment, "held as evidence");
      }
    }
  }
  if (some_due) {
    for (const auto& [name, segment] : reclaimable) {
      if (segment.payment_pending || !segment.announce_at || *segment.announce_at > now.wall || held.contains(name) ||
          IsAnnounced(name)) {
        continue;
      }
      announce(AnnouncementKind::kReclaimable, name, segment,
               absl::StrCat("the window closed at ", ChinaTimeText(*segment.deadline),
                            "; confirm with billing before anything is erased"));
    }
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Announcement& a, const Announcement& b) { return a.subject.account < b.subject.account; });
  return due;
}

absl::Time Policy::NextDue(const Moment& now) const {
  absl::Time next = absl::InfiniteFuture();
  const auto& due = records_->due;
  const int64_t wall_ns = absl::ToUnixNanos(now.wall);
  const auto first = due.upper_bound({wall_ns, std::numeric_limits<NamePool::Place>::max()});
  if (first != due.end()) next = absl::FromUnixNanos(first->first);
  const bool blocked = !due.empty() && due.begin()->first <= wall_ns;
  if (!blocked && records_->announced.empty()) return next;
  for (const Rule* rule : evidence_) {
    const absl::Time gone = rule->span.until + now.clock_error.value_or(absl::ZeroDuration());
    if (gone > now.wall) next = std::min(next, gone);
    if (rule->span.from > now.wall) next = std::min(next, rule->span.from);
    for (const Exception& exception : rule->exceptions) {
      const absl::Time lifts =
          exception.from + (exception.ahead ? now.clock_error.value_or(absl::ZeroDuration()) : absl::ZeroDuration());
      if (lifts > now.wall) next = std::min(next, lifts);
    }
  }
  return next;
}

}  // namespace sluice
