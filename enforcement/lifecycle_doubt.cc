#include "enforcement/lifecycle_doubt.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

// What a segment permits, and once more of DELETE: where the parameter freeze.allow_delete is on.
using Rows = std::array<Permission, std::tuple_size<PermissionRow>::value + 1>;

Rows RowsOf(const Segment& segment) {
  Rows rows;
  std::copy(segment.permissions.begin(), segment.permissions.end(), rows.begin());
  const Permission permission = segment.permissions[static_cast<size_t>(Operation::kDelete)];
  rows.back() = segment.delete_by_parameter ? std::min(permission, Permission::kWarn) : permission;
  return rows;
}

// Whether `a` denies, or warns of, something that `b` does not.
bool IsStricter(const Rows& a, const Rows& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return true;
  }
  return false;
}

void MakeStricter(const Rows& by, Rows* rows) {
  for (size_t i = 0; i < rows->size(); ++i) (*rows)[i] = std::max((*rows)[i], by[i]);
}

// What the last of `segments` and those before it permit while no written time from `mark` on has passed.
struct Certainty {
  Rows rows;
  AccountState state;  // of the first segment that does not wait
  TerminationCause cause;
  bool perhaps_unknown = false;
  bool operator==(const Certainty& other) const {
    return rows == other.rows && state == other.state && cause == other.cause &&
           perhaps_unknown == other.perhaps_unknown;
  }
};

Certainty BeforeMark(const Timeline& timeline, absl::Time mark) {
  const Segment* segment = &timeline.segments.back();
  Certainty out{RowsOf(*segment), segment->state, segment->cause};
  while (segment->waits_for && *segment->waits_for >= mark) {
    if (segment == timeline.segments.data()) {
      out.perhaps_unknown = true;
      break;
    }
    --segment;
    MakeStricter(RowsOf(*segment), &out.rows);
    out.state = segment->state;
    out.cause = segment->cause;
  }
  return out;
}

}  // namespace

const Segment* Timeline::At(absl::Time t) const {
  const auto after = std::upper_bound(segments.begin(), segments.end(), t,
                                      [](absl::Time time, const Segment& segment) { return time < segment.from; });
  return after == segments.begin() ? nullptr : &*(after - 1);
}

Permission Timeline::Permits(Operation judged, const Moment& now, bool delete_opened,
                             const Segment** decided_by) const {
  const auto permits = [&](const Segment& segment) {
    const Permission permission = segment.permissions[static_cast<size_t>(judged)];
    return delete_opened && segment.delete_by_parameter ? std::min(permission, Permission::kWarn) : permission;
  };
  const Segment* segment = At(now.wall);
  *decided_by = segment;
  if (segment == nullptr) return Permission::kAllow;
  Permission permission = permits(*segment);
  for (; segment->waits_for && !now.Passed(*segment->waits_for); --segment) {
    if (segment == segments.data()) {
      // Opened by an event dated ahead, of which it is not certain that its time has come: perhaps it is not known yet.
      if (permission == Permission::kAllow) *decided_by = nullptr;
      break;
    }
    const Segment& before = segment[-1];
    if (permits(before) > permission) {
      permission = permits(before);
      *decided_by = &before;
    }
  }
  return permission;
}

void ForgetPast(absl::Time reached, Timeline* timeline) {
  auto& segments = timeline->segments;
  const auto ahead = std::upper_bound(segments.begin(), segments.end(), reached,
                                      [](absl::Time time, const Segment& segment) { return time < segment.from; });
  if (ahead - segments.begin() <= static_cast<ptrdiff_t>(kPastSegmentsKept)) return;
  const auto first = ahead - kPastSegmentsKept;
  Segment oldest = *first;
  for (auto it = first; it->waits_for && it != segments.begin();) {
    Segment before = *--it;
    oldest.waits_for = before.waits_for;
    // Whoever denies more gives the state.
    if (IsStricter(RowsOf(before), RowsOf(oldest))) std::swap(oldest, before);
    for (size_t i = 0; i < oldest.permissions.size(); ++i) {
      oldest.permissions[i] = std::max(oldest.permissions[i], before.permissions[i]);
    }
    oldest.delete_by_parameter &= before.delete_by_parameter;
  }
  oldest.from = segments.front().from;
  *first = oldest;
  segments.erase(segments.begin(), first);
}

Timeline WithDoubts(Timeline timeline, const std::vector<absl::Time>& written, const std::vector<absl::Time>& arrivals,
                    absl::FunctionRef<Timeline(absl::Time reached)> if_slow) {
  if (written.empty() || arrivals.empty() || arrivals.back() < written.front()) return timeline;
  std::vector<std::pair<absl::Time, Timeline>> slow;
  for (const absl::Time each : written) {
    if (each > arrivals.back()) break;
    if (slow.empty() || slow.back().first != each) slow.emplace_back(each, if_slow(each - absl::Nanoseconds(1)));
  }
  Timeline out;
  size_t next = 0;  // of the segments of `timeline`
  const auto copy_until = [&](absl::Time t) {
    while (next < timeline.segments.size() && timeline.segments[next].from < t) {
      out.segments.push_back(timeline.segments[next++]);
    }
  };
  for (size_t i = 0; i < arrivals.size(); ++i) {
    const absl::Time t = arrivals[i];
    if (t < slow.front().first || (i + 1 < arrivals.size() && arrivals[i + 1] == t)) continue;
    copy_until(t);
    const bool begins = next < timeline.segments.size() && timeline.segments[next].from == t;
    Segment standing = begins ? timeline.segments[next++] : out.segments.back();
    standing.from = t;
    standing.waits_for.reset();
    // Latest doubt first; one that denies no more than those after it says nothing.
    std::vector<Segment> group = {standing};
    Rows rows = RowsOf(standing);
    for (auto doubt = slow.rbegin(); doubt != slow.rend(); ++doubt) {
      if (doubt->first > t) continue;
      const Segment* otherwise = doubt->second.At(t);
      if (otherwise == nullptr || !IsStricter(RowsOf(*otherwise), rows)) continue;
      group.back().waits_for = doubt->first;
      group.push_back(*otherwise);
      group.back().from = t;
      group.back().waits_for.reset();
      MakeStricter(RowsOf(*otherwise), &rows);
    }
    Timeline with_group = out;
    with_group.segments.insert(with_group.segments.end(), group.rbegin(), group.rend());
    const bool says_more =
        begins || std::any_of(slow.begin(), slow.end(), [&](const auto& doubt) {
          return doubt.first <= t && !(BeforeMark(out, doubt.first) == BeforeMark(with_group, doubt.first));
        });
    if (says_more) out = std::move(with_group);
  }
  while (next < timeline.segments.size()) out.segments.push_back(timeline.segments[next++]);
  return out;
}

}  // namespace sluice
