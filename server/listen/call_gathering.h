// Unary calls that came on several connections of one thread and are answered together, which is faster than one by one
// (Engine::CheckTogether). A connection with many calls under way brings company of its own; this is for many
// connections with a call each (docs/decisions/2026-11-27-connections-together.md).
#ifndef SLUICE_SERVER_LISTEN_CALL_GATHERING_H_
#define SLUICE_SERVER_LISTEN_CALL_GATHERING_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/listen/unary_method.h"

namespace sluice {

// Who keeps calls of one method for a gathering, and takes their answers.
class Asker : public AnswerSink {
 public:
  // The calls that it keeps, of which there are some, are answered now: good until EndAnswering.
  virtual absl::Span<const AskedCall> BeginAnswering() = 0;
  virtual void EndAnswering() = 0;
};

// Of one thread.
class CallGathering final : private AnswerSink {
 public:
  // Takes up `calls` of `asker`, which keeps them, and what they view, until they are answered. Those gathered before
  // are answered first where they are of another method: then `asker` is the only one.
  void Add(Asker* asker, UnaryMethod* method, size_t calls);
  // Answers them all, each as it would be alone.
  void Answer();

  size_t askers() const { return askers_.size(); }
  // Those that come later are as well off with the next.
  bool enough() const { return calls_ >= kEnough; }

 private:
  // Twice what the engine decides at once: by eight it was 3 % slower.
  static constexpr size_t kEnough = 16;

  struct Place {
    Asker* asker;
    size_t call;  // among those of the asker
  };

  std::string* BeginAnswer(size_t call) override { return places_[call].asker->BeginAnswer(places_[call].call); }
  bool EndAnswer(size_t call, absl::Status status) override;

  UnaryMethod* method_ = nullptr;
  std::vector<Asker*> askers_;
  size_t calls_ = 0;

  // Scratch memory.
  std::vector<AskedCall> asked_;
  std::vector<Place> places_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_CALL_GATHERING_H_
