// The index: what a check costs against its bare parts, what an entity takes in memory, how soon a node is ready again,
// how that changes with the number of flags, and what an event costs. Prints a row for each goal; every answer is
// compared with what it must be, and a wrong one makes the exit code 1. How fast anything was never does.
//
//   sluice_index_bench [--accounts N] [--flags N] [--few-flags N] [--events N] [--import N] [--rounds N] [--goals FILE]
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/event_costs.h"
#include "bench/fixture.h"
#include "bench/goals.h"
#include "bench/median.h"
#include "enforcement/limit_cells.h"

namespace sluice::bench {
namespace {

constexpr size_t kQuestions = size_t{1} << 16;

struct Options {
  int64_t accounts = 1'000'000;
  int64_t flags = 10'000'000;
  int64_t few_flags = 1'000'000;
  int64_t events = 2000;
  int64_t import_events = 1'000'000;
  int rounds = 15;
  std::string goals;
};

// A Tuesday; time moves only as far as a benchmark moves it.
absl::Time Today() { return absl::FromCivil(absl::CivilSecond(2026, 12, 1, 2, 0, 0), absl::UTCTimeZone()); }

// Bytes of memory that belong to no file, so the page cache is not among them.
double AnonymousBytes() {
  malloc_trim(0);
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return 1024.0 * std::stod(line.substr(8));
  }
  return 0;
}

double SecondsOf(const std::function<void()>& body) {
  const absl::Time start = absl::Now();
  body();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

// ---- Checks
// ----------------------------------------------------------------------------------------------------------

class Asker {
 public:
  Asker(Fixture* fixture, const QuestionSet* questions, bool met_by_host)
      : fixture_(*fixture), questions_(*questions), met_by_host_(met_by_host) {
    now_.wall = Today();
    now_.mono.ns = 1'000'000'000;
  }

  // Nanoseconds of one whole check.
  double Whole() {
    return Timed([&](const Question& question) {
      question.Fill(&input_);
      const Decision decision = fixture_.engine().Check(input_, now_);
      wrong_ += !question.IsAnsweredBy(decision.verdict, decision.reason);
    });
  }
  // Of what a check cannot do without, in the order in which one thing follows from the other: its names hashed, the
  // tables, the filter, and one compare-and-swap. No form of a name, no rule, no decision.
  double Bare() {
    const PolicyIndex::Guard policy = fixture_.index().Read();
    const TokenBucket bucket(1e8, 1e12);
    return Timed([&](const Question& question) {
      Hash128 owner, bucket_hash;
      if (met_by_host_) {
        Domain domain;
        const Hash128 host = SubjectHash(SubjectKind::kHost, question.host);
        found_ += policy->FindDomain(question.host, host, now_.wall, &domain);
        found_ += policy->FindPermits(host) != nullptr;
        bucket_hash = SubjectHash(SubjectKind::kBucket, domain.bucket);
        found_ += policy->MayBeFlagged(SubjectHash(SubjectKind::kUrl, question.host, question.path));
        found_ += policy->MayBeFlagged(SubjectHash(SubjectKind::kObject, domain.bucket, question.path.substr(1)));
        owner = policy->FindBucketOwner(bucket_hash, now_.wall).value_or(Hash128());
      } else {
        bucket_hash = SubjectHash(SubjectKind::kBucket, question.bucket);
        owner = SubjectHash(SubjectKind::kAccount, question.requester);
        found_ += policy->MayBeFlagged(SubjectHash(SubjectKind::kObject, question.bucket, question.key));
        found_ += policy->FindBucketOwner(bucket_hash, now_.wall) == owner;
      }
      found_ += policy->PlainlyPermits(owner, Operation::kDownload, now_);
      found_ += SubjectHash(SubjectKind::kAddressBlock, question.client_ip).low == 0;
      fixture_.limiter().Take(Mix({1, 2}, owner), bucket, 1, now_.mono);
    });
  }
  int64_t wrong() const { return wrong_; }

 private:
  template <typename Each>
  double Timed(const Each& each) {
    const double seconds = SecondsOf([&] {
      for (size_t i = 0; i < questions_.size(); ++i) {
        now_.mono.ns += 1000;
        each(questions_[i]);
      }
    });
    return seconds * 1e9 / static_cast<double>(questions_.size());
  }

  Fixture& fixture_;
  const QuestionSet& questions_;
  const bool met_by_host_;
  CheckInput input_;
  Moment now_;
  int64_t wrong_ = 0;
  int64_t found_ = 0;
};

struct Costs {
  double whole = 0, bare = 0, ratio = 0;  // medians; nanoseconds
};

// Whole and bare by turns, so that a machine that grows slower meets both alike.
Costs Measure(Fixture* fixture, const Sizes& sizes, Case what, const Options& options, int64_t* wrong) {
  const QuestionSet questions(sizes, what, kQuestions, /*seed=*/1);
  Asker asker(fixture, &questions, what == Case::kCdnAllow);
  std::vector<double> whole, bare, ratio;
  for (int round = 0; round <= options.rounds; ++round) {
    const double one = asker.Whole(), other = asker.Bare();
    if (round == 0) continue;
    whole.push_back(one);
    bare.push_back(other);
    ratio.push_back(one / other);
  }
  *wrong += asker.wrong();
  return {Median(whole), Median(bare), Median(ratio)};
}

// ---- Memory
// ----------------------------------------------------------------------------------------------------------

// What an entity of each kind takes, each kind alone in a store: anonymous memory of the process, before and after.
void MeasureMemory(const Options& options, Goals* goals) {
  const auto of = [](const Sizes& sizes, int64_t entities) {
    const TemporaryFolder folder;
    auto store = Store::Open({.path = folder.path(), .map_bytes = MapBytes(sizes), .sync = false});
    const absl::Status filled = store.ok() ? FillStore(store->get(), sizes, Today()) : store.status();
    if (!filled.ok()) {
      std::fprintf(stderr, "sluice_index_bench: %s\n", filled.ToString().c_str());
      std::exit(1);
    }
    const double before = AnonymousBytes();
    const Fixture fixture(*std::move(store), Today());
    return (AnonymousBytes() - before) / static_cast<double>(entities);
  };
  const int64_t n = options.accounts;
  // Limiter, pack and all else that a node has anyway; the first time also what a process makes once.
  of({10, 10, 10}, 1);
  const double idle = of({0, 0, 0}, 1);
  const double account = of({n, 0, 0}, n) - idle / static_cast<double>(n);
  goals->AtMost("resident memory of an account", account, 64, "bytes",
                absl::StrFormat("%d accounts, every tenth frozen", n));
  // Buckets and domains need the accounts that they are of: few of them, with many each.
  const int64_t owners = n / 100;
  const double owners_take = of({owners, 0, 0}, 1);
  const double bucket = (of({owners, n, 0, /*hosts=*/false}, 1) - owners_take) / static_cast<double>(n);
  goals->AtMost("resident memory of a bucket", bucket, 64, "bytes", absl::StrFormat("%d buckets", n));
  const double domain = (of({owners, 0, 0, false, n}, 1) - owners_take) / static_cast<double>(n);
  goals->AtMost("resident memory of a domain", domain, 64, "bytes", absl::StrFormat("%d domains", n));
}

int Run(const Options& options) {
  Goals goals(options.goals);
  int64_t wrong = 0;
  MeasureMemory(options, &goals);
  const Sizes sizes{options.accounts, options.accounts, options.flags};
  const Sizes few{options.accounts, options.accounts, options.few_flags};
  std::printf("%d accounts, %d buckets, %d domains, %d flags\n", static_cast<int>(sizes.accounts),
              static_cast<int>(sizes.buckets), static_cast<int>(sizes.buckets / 10), static_cast<int>(sizes.flags));

  const TemporaryFolder folder;
  const Store::Options store_options{.path = folder.path(), .map_bytes = MapBytes(sizes), .sync = false};
  {
    auto store = Store::Open(store_options);
    if (!store.ok()) {
      std::fprintf(stderr, "sluice_index_bench: %s\n", store.status().ToString().c_str());
      return 1;
    }
    absl::Status status;
    const double seconds = SecondsOf([&] { status = FillStore(store->get(), sizes, Today()); });
    if (!status.ok()) {
      std::fprintf(stderr, "sluice_index_bench: %s\n", status.ToString().c_str());
      return 1;
    }
    std::printf("filled the store in %.1f s, %.1f GB\n", seconds, static_cast<double>((*store)->used_bytes()) / 1e9);
  }

  // As sluiced starts: store, index, writer. The page cache is warm, as after a restart of the process alone.
  std::unique_ptr<Fixture> fixture;
  const double before = AnonymousBytes();
  const double ready = SecondsOf([&] {
    auto store = Store::Open(store_options);
    if (store.ok()) fixture = std::make_unique<Fixture>(*std::move(store), Today());
  });
  if (fixture == nullptr) return 1;
  goals.AtMost("ready after a restart", ready, 3, "s",
               absl::StrFormat("%d flags, %d accounts", sizes.flags, sizes.accounts));
  const PolicyIndex::Bytes bytes = fixture->index().bytes();
  goals.AtMost("resident memory of a flagged object",
               static_cast<double>(bytes.flags) / static_cast<double>(sizes.flags), 3, "bytes",
               absl::StrFormat("%d flags; the whole node %.0f MB", sizes.flags, (AnonymousBytes() - before) / 1e6));

  fixture->SetLimits(1);
  Costs many[2], few_costs[2], cdn;
  many[0] = Measure(fixture.get(), sizes, Case::kOwnerAllow, options, &wrong);
  cdn = Measure(fixture.get(), sizes, Case::kCdnAllow, options, &wrong);
  goals.AtMost("whole check against its bare parts, owner's download", many[0].ratio, 1.5, "x",
               absl::StrFormat("%.0f ns against %.0f ns, random keys, one rate", many[0].whole, many[0].bare));
  goals.AtMost("whole check against its bare parts, read by host and path", cdn.ratio, 1.5, "x",
               absl::StrFormat("%.0f ns against %.0f ns, random keys, one rate", cdn.whole, cdn.bare));
  many[1] = Measure(fixture.get(), sizes, Case::kFlagDeny, options, &wrong);
  fixture.reset();
  {
    Fixture small(few, Today());
    small.SetLimits(1);
    few_costs[0] = Measure(&small, few, Case::kOwnerAllow, options, &wrong);
    few_costs[1] = Measure(&small, few, Case::kFlagDeny, options, &wrong);
  }
  const char* const kinds[] = {"a clean object", "a flagged object"};
  for (int i = 0; i < 2; ++i) {
    goals.AtMost(absl::StrFormat("check of %s at %d flags against %d", kinds[i], sizes.flags, few.flags),
                 many[i].whole / few_costs[i].whole, 3, "x",
                 absl::StrFormat("%.0f ns against %.0f ns", many[i].whole, few_costs[i].whole));
  }
  MeasureEvents(store_options, few, options.events, options.import_events, &goals);
  if (wrong > 0) std::fprintf(stderr, "sluice_index_bench: %ld wrong answers\n", static_cast<long>(wrong));
  return wrong > 0 ? 1 : 0;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("The index against its goals.");
  app.add_option("--accounts", options.accounts, "Accounts, and as many buckets");
  app.add_option("--flags", options.flags, "Flagged objects");
  app.add_option("--few-flags", options.few_flags, "Flagged objects of the policy that it is compared with");
  app.add_option("--events", options.events, "Single events to acknowledge");
  app.add_option("--import", options.import_events, "Events to import in bulk");
  app.add_option("--rounds", options.rounds, "Rounds of each measurement of a check");
  app.add_option("--goals", options.goals, "Append the rows to this file");
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
