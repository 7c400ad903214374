#include "bench/event_costs.h"

#include <lmdb.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "agreement/loader.h"
#include "proto/translate.h"

namespace sluice::bench {
namespace {

[[noreturn]] void Die(absl::string_view what, absl::string_view why) {
  std::fprintf(stderr, "bench: %s: %s\n", std::string(what).c_str(), std::string(why).c_str());
  std::exit(1);
}

// One LMDB environment with one table, into which each commit puts one record of a flag's size.
class BareStore {
 public:
  BareStore() {
    Must(mdb_env_create(&environment_));
    Must(mdb_env_set_mapsize(environment_, size_t{1} << 30));
    Must(mdb_env_open(environment_, folder_.path().c_str(), MDB_NORDAHEAD, 0600));
  }
  ~BareStore() { mdb_env_close(environment_); }
  void Commit(uint64_t number) {
    MDB_txn* transaction;
    MDB_dbi table;
    std::string text(160, 'v');
    MDB_val key{sizeof(number), &number}, value{text.size(), text.data()};
    Must(mdb_txn_begin(environment_, nullptr, 0, &transaction));
    Must(mdb_dbi_open(transaction, nullptr, 0, &table));
    Must(mdb_put(transaction, table, &key, &value, 0));
    Must(mdb_txn_commit(transaction));
  }

 private:
  static void Must(int error) {
    if (error != 0) Die("a bare commit", mdb_strerror(error));
  }
  const TemporaryFolder folder_;
  MDB_env* environment_ = nullptr;
};

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

template <typename Body>
double MicrosOf(const Body& body) {
  const int64_t start = absl::GetCurrentTimeNanos();
  body();
  return static_cast<double>(absl::GetCurrentTimeNanos() - start) / 1e3;
}

PolicyEvent EventOf(int64_t i, const Sizes& sizes) {
  PolicyEvent event;
  event.source = "bench";
  event.role = Role::kModeration;
  RaiseFlag flag = FlagOf(i, sizes);
  flag.flag_id = absl::StrFormat("event-%010d", i);
  event.event_id = flag.flag_id;
  event.change = std::move(flag);
  return event;
}

Moment Now() {
  Moment now;
  now.wall = absl::Now();
  return now;
}

void MeasureAcknowledgements(Store::Options options, const Sizes& sizes, int64_t events, Goals* goals) {
  options.sync = true;
  auto store = Store::Open(options);
  if (!store.ok()) Die("opening the store", store.status().ToString());
  Fixture fixture(*std::move(store), absl::Now());
  BareStore bare_store;
  std::vector<double> event_us, bare_us;
  for (int64_t i = 0; i < events; ++i) {
    bare_us.push_back(MicrosOf([&] { bare_store.Commit(static_cast<uint64_t>(i)); }));
    event_us.push_back(MicrosOf([&] {
      const auto applied = fixture.writer().Apply({EventOf(i, sizes)}, Now());
      if (!applied.ok()) Die("applying an event", applied.status().ToString());
      if (applied->results[0].outcome != Outcome::kApplied) Die("applying an event", applied->results[0].error);
    }));
  }
  const double event_p99 = Percentile(event_us, 0.99), bare_p99 = Percentile(bare_us, 0.99);
  goals->AtMost("p99 of an acknowledged event against a bare LMDB commit", event_p99 / bare_p99, 1.5, "x",
                absl::StrFormat("%.0f us against %.0f us; medians %.0f us and %.0f us, %d of each", event_p99, bare_p99,
                                Percentile(event_us, 0.5), Percentile(bare_us, 0.5), events));
}

void MeasureImport(const Sizes& sizes, int64_t events, Goals* goals) {
  constexpr int64_t kChunkEvents = 5000;  // about a chunk of an export
  const absl::Time policy_time = absl::Now();
  const auto fill = [&](int64_t first, v1::ExportChunk* chunk) {
    const int64_t end = std::min(first + kChunkEvents, events);
    chunk->Clear();
    chunk->set_revision(events);
    ToProto(policy_time, chunk->mutable_policy_time());
    chunk->set_last(end == events);
    for (int64_t i = first; i < end; ++i) {
      StampedEvent stamped;
      stamped.event = EventOf(i, sizes);
      stamped.event.effective_at = stamped.arrived_at = policy_time;
      stamped.revision = i + 1;
      ToProto(stamped, chunk->add_events());
      v1::SeenEvent* seen = chunk->add_seen();
      seen->set_source(stamped.event.source);
      seen->set_event_id(stamped.event.event_id);
      seen->set_revision(stamped.revision);
    }
  };
  std::vector<v1::ExportChunk> chunks;  // made beforehand: what is measured is the import
  for (int64_t first = 0; first < events; first += kChunkEvents) fill(first, &chunks.emplace_back());
  const TemporaryFolder folder;
  auto store = Store::Open({.path = folder.path(), .map_bytes = size_t{64} << 30});
  if (!store.ok()) Die("opening the store", store.status().ToString());
  Fixture fixture(*std::move(store), absl::Now());
  absl::Status status;
  size_t next = 0;
  const PolicyWriter::ChunkSource source = [&](v1::ExportChunk* chunk) {
    if (next == chunks.size()) return false;
    *chunk = std::move(chunks[next++]);
    return true;
  };
  const double seconds = MicrosOf([&] { status = fixture.writer().Import(source).status(); }) / 1e6;
  if (!status.ok()) Die("importing", status.ToString());
  goals->AtLeast("bulk import", static_cast<double>(events) / seconds, 100'000, "events/s",
                 absl::StrFormat("%d flags in %.2f s, durable and shown, seen ids with them", events, seconds));

  // The other way in: calls of as many events as one group takes.
  constexpr int64_t kCall = 4096;
  const int64_t calls = std::max<int64_t>(events / 8 / kCall, 1);
  const double applied_seconds = MicrosOf([&] {
                                   for (int64_t call = 0; call < calls; ++call) {
                                     std::vector<PolicyEvent> batch;
                                     for (int64_t i = 0; i < kCall; ++i) {
                                       batch.push_back(EventOf(events + call * kCall + i, sizes));
                                     }
                                     const auto applied = fixture.writer().Apply(std::move(batch), Now());
                                     if (!applied.ok()) Die("applying events", applied.status().ToString());
                                   }
                                 }) /
                                 1e6;
  std::printf("events applied in calls of %d: %.0f a second\n", static_cast<int>(kCall),
              static_cast<double>(calls * kCall) / applied_seconds);
}

}  // namespace

void MeasureEvents(const Store::Options& options, const Sizes& sizes, int64_t events, int64_t import_events,
                   Goals* goals) {
  MeasureAcknowledgements(options, sizes, events, goals);
  MeasureImport(sizes, import_events, goals);
}

}  // namespace sluice::bench
