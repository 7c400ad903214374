#include "enforcement/timeline_code.h"

#include <cstdint>

namespace sluice {
namespace {

enum SegmentBit : uint8_t {
  kWaits = 1,  // for its own beginning, unless kWaitsForEarlier
  kPaymentPending = 2,
  kDeleteByParameter = 4,
  kDeadline = 8,
  kAnnounceAt = 16,
  kWaitsForEarlier = 32
};

// How a time is told: by seconds since the one told before, and nanoseconds where there are any.
enum TimeForm : uint64_t { kSeconds = 0, kNanos = 1, kFuture = 2, kPast = 3 };

class Writer {
 public:
  void Byte(uint8_t byte) { bytes_.push_back(static_cast<char>(byte)); }
  void Varint(uint64_t number) {
    for (; number >= 0x80; number >>= 7) Byte(static_cast<uint8_t>(number) | 0x80);
    Byte(static_cast<uint8_t>(number));
  }
  void Time(absl::Time time) {
    if (time == absl::InfiniteFuture()) return Varint(kFuture);
    if (time == absl::InfinitePast()) return Varint(kPast);
    const int64_t seconds = absl::ToUnixSeconds(time);
    const int64_t nanos = absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds));
    // No window is longer than a hundred thousand years: the difference and its three bits fit.
    const int64_t delta = seconds - last_seconds_;
    const uint64_t zigzag = static_cast<uint64_t>(delta) << 1 ^ static_cast<uint64_t>(delta >> 63);
    Varint(zigzag << 2 | (nanos == 0 ? kSeconds : kNanos));
    if (nanos != 0) Varint(static_cast<uint64_t>(nanos));
    last_seconds_ = seconds;
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
  int64_t last_seconds_ = 0;
};

class Reader {
 public:
  explicit Reader(absl::string_view bytes) : p_(bytes.data()), end_(p_ + bytes.size()) {}
  bool more() const { return p_ < end_; }
  uint8_t Byte() { return static_cast<uint8_t>(*p_++); }
  uint64_t Varint() {
    uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = Byte();
      number |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
  }
  absl::Time Time() {
    const uint64_t told = Varint();
    if ((told & 3) == kFuture) return absl::InfiniteFuture();
    if ((told & 3) == kPast) return absl::InfinitePast();
    const uint64_t zigzag = told >> 2;
    last_seconds_ += static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
    const int64_t nanos = (told & 3) == kNanos ? static_cast<int64_t>(Varint()) : 0;
    return absl::FromUnixSeconds(last_seconds_) + absl::Nanoseconds(nanos);
  }

 private:
  const char* p_;
  const char* const end_;
  int64_t last_seconds_ = 0;
};

}  // namespace

std::string EncodeTimeline(const Timeline& timeline) {
  Writer writer;
  for (const Segment& segment : timeline.segments) {
    const bool earlier = segment.waits_for && *segment.waits_for != segment.from;
    writer.Byte(static_cast<uint8_t>((segment.waits_for ? kWaits : 0) | (earlier ? kWaitsForEarlier : 0) |
                                     (segment.payment_pending ? kPaymentPending : 0) |
                                     (segment.delete_by_parameter ? kDeleteByParameter : 0) |
                                     (segment.deadline ? kDeadline : 0) | (segment.announce_at ? kAnnounceAt : 0)));
    writer.Byte(static_cast<uint8_t>(static_cast<int>(segment.state) << 4 | static_cast<int>(segment.cause)));
    uint32_t permissions = 0;
    for (int i = 0; i < kOperationCount; ++i) permissions |= static_cast<uint32_t>(segment.permissions[i]) << 2 * i;
    for (int shift = 0; shift < 32; shift += 8) writer.Byte(static_cast<uint8_t>(permissions >> shift));
    writer.Time(segment.from);
    writer.Time(segment.since);
    if (segment.deadline) writer.Time(*segment.deadline);
    if (segment.announce_at) writer.Time(*segment.announce_at);
    if (earlier) writer.Time(*segment.waits_for);
  }
  return writer.Take();
}

Timeline DecodeTimeline(absl::string_view bytes) {
  Timeline timeline;
  for (Reader reader(bytes); reader.more();) {
    Segment& segment = timeline.segments.emplace_back();
    const uint8_t bits = reader.Byte();
    segment.payment_pending = (bits & kPaymentPending) != 0;
    segment.delete_by_parameter = (bits & kDeleteByParameter) != 0;
    const uint8_t words = reader.Byte();
    segment.state = static_cast<AccountState>(words >> 4);
    segment.cause = static_cast<TerminationCause>(words & 15);
    uint32_t permissions = 0;
    for (int shift = 0; shift < 32; shift += 8) permissions |= static_cast<uint32_t>(reader.Byte()) << shift;
    for (int i = 0; i < kOperationCount; ++i)
      segment.permissions[i] = static_cast<Permission>(permissions >> 2 * i & 3);
    segment.from = reader.Time();
    segment.since = reader.Time();
    if ((bits & kDeadline) != 0) segment.deadline = reader.Time();
    if ((bits & kAnnounceAt) != 0) segment.announce_at = reader.Time();
    if ((bits & kWaits) != 0) segment.waits_for = (bits & kWaitsForEarlier) != 0 ? reader.Time() : segment.from;
  }
  return timeline;
}

}  // namespace sluice
