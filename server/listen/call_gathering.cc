#include "server/listen/call_gathering.h"

#include <utility>

namespace sluice {

void CallGathering::Add(Asker* asker, UnaryMethod* method, size_t calls) {
  if (method != method_) Answer();
  method_ = method;
  askers_.push_back(asker);
  calls_ += calls;
}

void CallGathering::Answer() {
  if (askers_.empty()) return;
  asked_.clear();
  places_.clear();
  for (Asker* const asker : askers_) {
    size_t call = 0;
    for (const AskedCall& each : asker->BeginAnswering()) {
      asked_.push_back(each);
      places_.push_back({asker, call++});
    }
  }
  method_->CallTogether(asked_, this);
  for (Asker* const asker : askers_) asker->EndAnswering();
  askers_.clear();
  calls_ = 0;
}

bool CallGathering::EndAnswer(size_t call, absl::Status status) {
  // Whatever becomes of one connection, the others want their answers.
  places_[call].asker->EndAnswer(places_[call].call, std::move(status));
  return true;
}

}  // namespace sluice
