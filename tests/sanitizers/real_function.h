// For what stands before a library in the order of symbols and passes each call on.
#ifndef SLUICE_TESTS_SANITIZERS_REAL_FUNCTION_H_
#define SLUICE_TESTS_SANITIZERS_REAL_FUNCTION_H_

#include <dlfcn.h>

#include <cstdlib>

namespace sluice {

// The next function of that name behind the caller's own. Ends the process where there is none: another library than
// the one whose names these are.
template <typename Function>
Function* RealFunction(const char* symbol) {
  auto* function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, symbol));
  if (function == nullptr) abort();
  return function;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_SANITIZERS_REAL_FUNCTION_H_
