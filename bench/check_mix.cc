#include "bench/check_mix.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/wire.h"

namespace sluice::bench {
namespace {

std::string RequestOf(const Question& question, size_t id) {
  std::string bytes;
  AppendTextField(1, absl::StrFormat("%016x", id), &bytes);
  AppendNumberField(2, static_cast<uint64_t>(question.operation), &bytes);
  AppendTextField(3, question.requester, &bytes);
  AppendTextField(5, question.bucket, &bytes);
  AppendTextField(6, question.key, &bytes);
  AppendTextField(9, question.host, &bytes);
  AppendTextField(10, question.path, &bytes);
  AppendTextField(11, question.client_ip, &bytes);
  return bytes;
}

bool ReadVerdict(absl::string_view answer, uint64_t* verdict, uint64_t* reason) {
  WireReader fields(answer);
  while (fields.Next()) {
    if (fields.type() != WireReader::Type::kVarint) continue;
    if (fields.number() == 2) *verdict = fields.varint();
    if (fields.number() == 3) *reason = fields.varint();
  }
  return fields.ok();
}

}  // namespace

std::vector<MixedCheck> MakeCheckMix(const Sizes& sizes, size_t count) {
  const std::pair<Case, size_t> shares[] = {{Case::kOwnerAllow, count * 70 / 100},
                                            {Case::kCdnAllow, count * 20 / 100},
                                            {Case::kFlagDeny, count * 5 / 100},
                                            {Case::kFreezeDeny, count * 5 / 100}};
  std::vector<MixedCheck> mix;
  for (const auto& [what, share] : shares) {
    const QuestionSet questions(sizes, what, share, /*seed=*/3);
    for (size_t i = 0; i < share; ++i) {
      mix.push_back({RequestOf(questions[i], mix.size()), questions[i].verdict, questions[i].reason});
    }
  }
  std::shuffle(mix.begin() + 1, mix.end(), std::mt19937_64(4));
  return mix;
}

std::string WhatIsWrong(const MixedCheck& check, absl::string_view answer) {
  uint64_t verdict = 0, reason = 0;
  if (!ReadVerdict(answer, &verdict, &reason)) return "an answer that is no CheckResponse";
  if (verdict == static_cast<uint64_t>(check.verdict) && reason == static_cast<uint64_t>(check.reason)) return {};
  return absl::StrCat("wanted verdict ", static_cast<int>(check.verdict), " for reason ",
                      static_cast<int>(check.reason), ", got ", verdict, " for ", reason);
}

bool IsShed(absl::string_view answer) {
  uint64_t verdict = 0, reason = 0;
  return ReadVerdict(answer, &verdict, &reason) && verdict == static_cast<uint64_t>(Verdict::kDeny) &&
         reason == static_cast<uint64_t>(Reason::kOverloaded);
}

std::string WhatIsWrongOfBatch(const std::vector<MixedCheck>& mix, size_t first, size_t count,
                               absl::string_view answer) {
  size_t answered = 0;
  WireReader fields(answer);
  while (fields.Next()) {
    if (fields.number() != 1 || fields.type() != WireReader::Type::kBytes) continue;
    const MixedCheck& check = mix[(first + answered++) % mix.size()];
    if (std::string wrong = WhatIsWrong(check, fields.bytes()); !wrong.empty()) return wrong;
  }
  if (!fields.ok()) return "an answer that is no CheckBatchResponse";
  return answered == count ? "" : absl::StrCat("wanted ", count, " answers, got ", answered);
}

}  // namespace sluice::bench
