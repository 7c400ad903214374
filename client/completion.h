// Scripts that let shells complete sluicectl's commands and flags.
#ifndef SLUICE_CLIENT_COMPLETION_H_
#define SLUICE_CLIENT_COMPLETION_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"

namespace sluice {

// The script for `shell`: bash, zsh or fish. Made from the commands that `app` has, so that it never lags behind them.
// REQUIRES: `shell` is one of the three.
std::string CompletionScript(const CLI::App& app, absl::string_view shell);

}  // namespace sluice

#endif  // SLUICE_CLIENT_COMPLETION_H_
