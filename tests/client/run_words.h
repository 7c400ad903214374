// Runs sluicectl in process, as a shell would.
#ifndef SLUICE_TESTS_CLIENT_RUN_WORDS_H_
#define SLUICE_TESTS_CLIENT_RUN_WORDS_H_

#include <sstream>
#include <string>
#include <vector>

#include "client/commands.h"

namespace sluice {

struct Ran {
  int code = -1;
  std::string out, err;
};

inline Ran RunWords(std::vector<std::string> words) {
  words.insert(words.begin(), "sluicectl");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  std::ostringstream out, err;
  Ran ran;
  ran.code = RunCommandLine(static_cast<int>(argv.size()), argv.data(), out, err);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_CLIENT_RUN_WORDS_H_
