// What one agreement pack says otherwise than another.
#ifndef SLUICE_CLIENT_PACK_DIFF_H_
#define SLUICE_CLIENT_PACK_DIFF_H_

#include <string>
#include <vector>

#include "client/pack_probe.h"
#include "enforcement/pack.h"

namespace sluice {

// A rule that reads otherwise. What one of the two lacks is "-" there.
struct RuleChange {
  std::string rule;  // "FROZEN DELETE", "category 3.1.3.5.7 severity", "parameter grace_days"
  std::string before, after;
};
// In the order of the file: operations, causes, categories, reasons, roles, parameters, answers, timing, abuse. Name,
// version and digest are not among them.
std::vector<RuleChange> CompareRules(const Pack& before, const Pack& after);

// Answers that change in one way, put together: all operations of those who ask alike.
struct AnswerChange {
  std::string about;  // as in PackAnswer
  std::string who;    // as in PackAnswer, with commas between; "others" for both that are not the owner, "everyone"
  std::vector<Operation> operations;
  std::string before, after;
};
// Of two lists by ProbePack. A category that one pack lacks is compared with "-".
std::vector<AnswerChange> CompareAnswers(const std::vector<PackAnswer>& before, const std::vector<PackAnswer>& after);

}  // namespace sluice

#endif  // SLUICE_CLIENT_PACK_DIFF_H_
