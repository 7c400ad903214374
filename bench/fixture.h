// What the benchmarks decide on: a policy of accounts, buckets, flagged objects and CDN hosts, in a store; and
// questions about it, each with the answer that it must get.
#ifndef SLUICE_BENCH_FIXTURE_H_
#define SLUICE_BENCH_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "enforcement/pack.h"
#include "store/policy_writer.h"
#include "store/store.h"

namespace sluice::bench {

struct Sizes {
  int64_t accounts = 100'000;  // every tenth is frozen
  int64_t buckets = 200'000;   // of the accounts in turn; every tenth is bound to a CDN host with a valid permit
  int64_t flags = 1'000'000;   // blocked objects, over the buckets in turn
  bool hosts = true;           // false: no bucket is bound to a host
  int64_t lone_hosts = 0;      // hosts without a permit, of buckets that are bound to nobody
};
// INVALID_ARGUMENT unless each is a positive multiple of 10, and there are no fewer buckets than accounts.
absl::Status Validate(const Sizes& sizes);

enum class Case : uint8_t {
  kOwnerAllow,  // the owner downloads: nothing is set on anything that the request meets
  kCdnAllow,    // an unsigned read through a host with a permit: owner, bucket and key by host and path
  kFlagDeny,    // the owner downloads an object that is flagged
  kFreezeDeny,  // the owner downloads, and is frozen
};

// Views into the QuestionSet that made it.
struct Question {
  Operation operation = Operation::kUnspecified;
  Verdict verdict = Verdict::kUnspecified;  // what the answer must be
  Reason reason = Reason::kUnspecified;
  absl::string_view requester, bucket, key, host, path, client_ip;

  // Overwrites what a question has; all else keeps its default.
  void Fill(CheckInput* input) const {
    input->operation = operation;
    input->requester = requester;
    input->bucket = bucket;
    input->key = key;
    input->host = host;
    input->path = path;
    input->client_ip = client_ip;
  }
  bool IsAnsweredBy(Verdict v, Reason r) const { return v == verdict && r == reason; }
};

// `count` questions of one case about entities drawn at random. Their text lies in one piece, in order, as requests
// arrive in a buffer: what a check waits for is the policy, not the question.
class QuestionSet {
 public:
  QuestionSet(const Sizes& sizes, Case what, size_t count, uint64_t seed);
  QuestionSet(const QuestionSet&) = delete;
  QuestionSet& operator=(const QuestionSet&) = delete;

  size_t size() const { return questions_.size(); }
  const Question& operator[](size_t i) const { return questions_[i]; }

 private:
  absl::string_view Keep(absl::string_view text);

  std::string text_;
  std::vector<Question> questions_;
};

// Flag `i` of a policy of `sizes`.
RaiseFlag FlagOf(int64_t i, const Sizes& sizes);

// The most that a store of `sizes` takes.
size_t MapBytes(const Sizes& sizes);
// Puts a policy as it reads on `today` into an empty store. Takes 3 us an entity. REQUIRES: Validate(sizes).
absl::Status FillStore(Store* store, const Sizes& sizes, absl::Time today);

// A folder of its own, gone with this object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A node without listeners. Not thread-safe but for engine().Check. Ends the process where the disk denies it a store.
class Fixture {
 public:
  // On a store of its own with the policy as it reads on `today`. Takes seconds at the default sizes. REQUIRES:
  // Validate(sizes).
  Fixture(const Sizes& sizes, absl::Time today);
  // On a store that FillStore filled.
  Fixture(std::unique_ptr<Store> store, absl::Time today);

  // How many default request limits every check through a CDN host meets: per account, bucket, address, object and
  // domain, in this order. None ever throttles. At most 5.
  void SetLimits(int count);

  Engine& engine() { return *engine_; }
  Limiter& limiter() { return *limiter_; }
  Store& store() { return *store_; }
  PolicyWriter& writer() { return *writer_; }
  const PolicyIndex& index() const { return *index_; }
  const Pack& pack() const { return *pack_; }

 private:
  void Load();

  const absl::Time today_;
  const TemporaryFolder folder_;
  std::unique_ptr<const Pack> pack_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PolicyIndex> index_;
  std::unique_ptr<PolicyWriter> writer_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Engine> engine_;
  int limits_ = 0;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_FIXTURE_H_
