// sluice.v1.Enforcement as methods of the data-path listener: each hands its bytes to the Checker.
#ifndef SLUICE_SERVER_LISTEN_ENFORCEMENT_METHODS_H_
#define SLUICE_SERVER_LISTEN_ENFORCEMENT_METHODS_H_

#include "server/listen/checker.h"
#include "server/listen/router.h"
#include "server/listen/unary_method.h"

namespace sluice {

class EnforcementMethods {
 public:
  // Adds Check, CheckBatch, CheckStream and Report to `*router`. `checker` must outlive this, and this the router's
  // use.
  EnforcementMethods(Checker* checker, Router* router);
  EnforcementMethods(const EnforcementMethods&) = delete;
  EnforcementMethods& operator=(const EnforcementMethods&) = delete;

 private:
  using Answer = absl::Status (Checker::*)(absl::string_view, const CallContext&, std::string*);
  class Method : public UnaryMethod {
   public:
    Method(Checker* checker, Answer answer) : checker_(checker), answer_(answer) {}
    absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override {
      return (checker_->*answer_)(request, context, response);
    }

   protected:
    Checker* const checker_;

   private:
    const Answer answer_;
  };

  // Many checks arrive in one read.
  class CheckMethod final : public Method {
   public:
    explicit CheckMethod(Checker* checker) : Method(checker, &Checker::CheckBytes) {}
    void CallTogether(absl::Span<const AskedCall> calls, AnswerSink* answers) override {
      checker_->CheckBytesTogether(calls, answers);
    }
  };

  CheckMethod check_;
  Method batch_, report_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_ENFORCEMENT_METHODS_H_
