// Every scenario of tests/scenarios, with a wire between the question and the engine: the answers that come through the
// listener, and through gRPC's own server, are those that the engine gives in process, field by field.
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/optional.h"
#include "agreement/loader.h"
#include "client/scenario.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "sluice/v1/check.grpc.pb.h"
#include "tests/server/any_server.h"
#include "tests/server/raw_call.h"

namespace sluice {
namespace {

const Pack& DefaultPack() {
  static const auto* const kPack = new std::unique_ptr<const Pack>(*LoadDefaultPack());
  return **kPack;
}

std::vector<std::string> ScenarioFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_SOURCE_DIR "/tests/scenarios")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Lives as long as the process, as the texts of a pack do in a hint.
absl::string_view Kept(const std::string& text) {
  static auto* const kTexts = new std::set<std::string>();
  return *kTexts->insert(text).first;
}

template <typename Value, typename Number>
Value Cast(Number number) {
  return static_cast<Value>(static_cast<int>(number));
}

void Overwrite(const v1::CheckResponse& answer, Decision* out) {
  Decision& decision = *out;
  decision.warnings.clear();
  decision.all_reasons.clear();
  decision.verdict = Cast<Verdict>(answer.verdict());
  decision.reason = Cast<Reason>(answer.reason());
  decision.fault = Cast<Fault>(answer.fault());
  decision.set_by = Cast<Role>(answer.set_by());
  decision.clause = answer.clause();
  decision.rule_id = answer.rule_id();
  decision.lease_id = answer.lease_id();
  for (const int reason : answer.warnings()) decision.warnings.push_back(Cast<Reason>(reason));
  for (const int reason : answer.all_reasons()) decision.all_reasons.push_back(Cast<Reason>(reason));
  decision.retry_after_ms = answer.retry_after_ms();
  decision.shape_bytes_per_second = answer.shape_bytes_per_second();
  decision.cache_for_ms = answer.cache_for_ms();
  decision.recheck_after_ms = answer.recheck_after_ms();
  decision.revision = answer.revision();
  decision.http = {answer.http().status(), Kept(answer.http().code()), Kept(answer.http().message())};
}

class SameAnswersTest : public testing::TestWithParam<std::string> {
 protected:
  // Asks over a wire. One check at a time: the checker is made anew for each, on whatever engine is asked.
  class Wire {
   public:
    Wire(ServedBy by, const std::string& folder) {
      CheckServer::Options options;
      options.address.path = folder + "/" + NameOf(by);
      options.threads = 1;
      auto server = AnyServer::Start(by, options, reinterpret_cast<Checker*>(&checker_));
      EXPECT_TRUE(server.ok()) << server.status();
      server_ = *std::move(server);
      stub_ = v1::Enforcement::NewStub(Connect(server_->address()));
    }
    ~Wire() {
      server_.reset();
      if (made_) checker()->~Checker();
    }

    absl::StatusOr<Decision> Ask(Engine* engine, const Clock* clock, const CheckInput& input) {
      // What only the decision log is told does not travel: whom the check met, and what rules on trial would have
      // done. Asked first, since the check itself may spend what they go by.
      Decision decision = engine->Explain(input, clock->Now(), nullptr);
      if (std::exchange(made_, true)) checker()->~Checker();
      new (&checker_) Checker(engine, clock, &readiness_, &metrics_, {});
      v1::CheckRequest request;
      ToProto(input, &request);
      request.set_detail(true);  // all that the engine says of a decision
      grpc::ClientContext context;
      v1::CheckResponse answer;
      const grpc::Status status = stub_->Check(&context, request, &answer);
      if (!status.ok()) {
        return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
      }
      EXPECT_EQ(answer.request_id(), input.request_id);
      ++asked_;
      Overwrite(answer, &decision);
      return decision;
    }
    int asked() const { return asked_; }

   private:
    Checker* checker() { return reinterpret_cast<Checker*>(&checker_); }

    alignas(Checker) char checker_[sizeof(Checker)];
    bool made_ = false;
    Readiness readiness_;
    Metrics metrics_{{"test", "default", ""}};
    std::unique_ptr<AnyServer> server_;
    std::unique_ptr<v1::Enforcement::Stub> stub_;
    int asked_ = 0;
  };

  SameAnswersTest() {
    std::string pattern = testing::TempDir() + "/sluice.XXXXXX";
    folder_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  }
  ~SameAnswersTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_P(SameAnswersTest, OverBothServersAsInProcess) {
  const std::string file = SLUICE_SOURCE_DIR "/tests/scenarios/" + GetParam() + ".yaml";
  const auto direct = RunScenarioFile(file, DefaultPack());
  ASSERT_TRUE(direct.ok()) << direct.status();
  int asked = -1;
  for (const ServedBy by : {ServedBy::kOwn, ServedBy::kGrpc}) {
    Wire wire(by, folder_);
    ScenarioOptions options;
    options.ask = [&wire](Engine* engine, const Clock* clock, const CheckInput& input) {
      return wire.Ask(engine, clock, input);
    };
    const auto over = RunScenarioFile(file, DefaultPack(), options);
    ASSERT_TRUE(over.ok()) << over.status();
    ASSERT_EQ(over->size(), direct->size());
    for (size_t i = 0; i < over->size(); ++i) {
      EXPECT_EQ((*over)[i].passed, (*direct)[i].passed) << NameOf(by) << ": " << (*over)[i].title;
      EXPECT_EQ((*over)[i].diff, (*direct)[i].diff) << NameOf(by) << ": " << (*over)[i].title;
    }
    if (asked >= 0) {
      EXPECT_EQ(wire.asked(), asked);
    }
    asked = wire.asked();
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, SameAnswersTest, testing::ValuesIn(ScenarioFiles()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace sluice
