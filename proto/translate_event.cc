// The changes of policy.proto, one by one, both ways. Explicit on purpose: a field that either side gains shows up
// here, and tests/proto fills every field of every change and compares.
#include "proto/translate.h"
#include "proto/translate_enum.h"

namespace sluice {
namespace {

using google::protobuf::RepeatedField;
using google::protobuf::Timestamp;

OptionalTime TimeOf(bool has, const Timestamp& time) {
  return has ? OptionalTime(FromProto(time)) : OptionalTime(absl::nullopt);
}

std::vector<Operation> OperationsOf(const RepeatedField<int>& numbers) {
  std::vector<Operation> operations;
  operations.reserve(numbers.size());
  for (const int number : numbers) operations.push_back(FromNumber<Operation>(number));
  return operations;
}

void SetOperations(const std::vector<Operation>& operations, RepeatedField<int>* numbers) {
  for (const Operation operation : operations) numbers->Add(static_cast<int>(operation));
}

// An empty subject stays unset: the default limit of a scope has none.
template <typename Message>
void SetSubject(const Subject& subject, Message* message) {
  if (!subject.empty()) ToProto(subject, message->mutable_subject());
}

// ---- From messages
// -----------------------------------------------------------------------------------------------------

template <typename Value, typename Message>
Value AccountAlone(const Message& message) {
  return Value{message.account()};
}

SetBalance Read(const v1::SetBalance& message) {
  return {message.account(), message.balance_minor(), message.consumption_minor()};
}
PaymentPending Read(const v1::PaymentPending& message) { return {message.account(), message.pending()}; }
SetServiceEnd Read(const v1::SetServiceEnd& message) {
  return {message.account(), TimeOf(message.has_end(), message.end())};
}
GiveNotice Read(const v1::GiveNotice& message) {
  return {message.account(), TimeOf(message.has_termination(), message.termination())};
}
Terminate Read(const v1::Terminate& message) {
  return {message.account(), FromNumber<TerminationCause>(message.cause())};
}
BindBucket Read(const v1::BindBucket& message) { return {message.bucket(), message.account(), message.region()}; }
BindDomain Read(const v1::BindDomain& message) {
  return {message.host(), message.account(), message.bucket(), FromNumber<Geo>(message.geo()),
          message.provider_test_domain()};
}
SetPermit Read(const v1::SetPermit& message) {
  return {message.host(), message.kind(), FromNumber<PermitStatus>(message.status()), message.valid_through()};
}
ClassifyDomain Read(const v1::ClassifyDomain& message) {
  return {message.host(), {message.required_permits().begin(), message.required_permits().end()}};
}
RaiseFlag Read(const v1::RaiseFlag& message) {
  return {message.flag_id(),
          FromProto(message.subject()),
          message.category(),
          FromNumber<Severity>(message.severity()),
          TimeOf(message.has_expires_at(), message.expires_at()),
          message.authority(),
          message.trial()};
}
GrantException Read(const v1::GrantException& message) { return {message.flag_id(), FromProto(message.subject())}; }
IssueOrder Read(const v1::IssueOrder& message) {
  IssueOrder order;
  order.order_id = message.order_id();
  for (const v1::Subject& subject : message.subjects()) order.subjects.push_back(FromProto(subject));
  order.operations = OperationsOf(message.operations());
  order.regions.assign(message.regions().begin(), message.regions().end());
  order.expires_at = TimeOf(message.has_expires_at(), message.expires_at());
  order.authority = message.authority();
  order.document = message.document();
  return order;
}
PlaceHold Read(const v1::PlaceHold& message) { return {message.hold_id(), FromProto(message.subject())}; }
Restrict Read(const v1::Restrict& message) {
  return {message.restriction_id(),
          FromProto(message.subject()),
          FromNumber<RestrictionKind>(message.kind()),
          message.clause(),
          message.requests_per_second(),
          TimeOf(message.has_review_by(), message.review_by()),
          TimeOf(message.has_expires_at(), message.expires_at()),
          message.victim(),
          message.trial(),
          message.automatic()};
}
SetLimit Read(const v1::SetLimit& message) {
  SetLimit limit;
  limit.limit_id = message.limit_id();
  limit.level = FromNumber<Level>(message.level());
  limit.scope = FromNumber<LimitScope>(message.scope());
  limit.subject = FromProto(message.subject());
  limit.dimension = FromNumber<Dimension>(message.dimension());
  limit.operations = OperationsOf(message.operations());
  limit.rate = message.rate();
  limit.burst = message.burst();
  limit.shape = message.shape();
  limit.sharing = FromNumber<Sharing>(message.sharing());
  limit.from = TimeOf(message.has_from(), message.from());
  limit.to = TimeOf(message.has_to(), message.to());
  limit.trial = message.trial();
  return limit;
}
SetParameter Read(const v1::SetParameter& message) {
  return {FromNumber<Level>(message.level()),
          message.account(),
          message.name(),
          message.value(),
          TimeOf(message.has_from(), message.from()),
          TimeOf(message.has_to(), message.to())};
}
SetMaintenance Read(const v1::SetMaintenance& message) {
  return {message.region(), OperationsOf(message.operations()), TimeOf(message.has_from(), message.from()),
          TimeOf(message.has_to(), message.to())};
}
SetUsage Read(const v1::SetUsage& message) {
  return {FromProto(message.subject()), FromNumber<Dimension>(message.dimension()), message.amount()};
}

Change ReadChange(const v1::PolicyEvent& message) {
  using Event = v1::PolicyEvent;
  switch (message.change_case()) {
    case Event::kOpenAccount:
      return AccountAlone<OpenAccount>(message.open_account());
    case Event::kPaid:
      return AccountAlone<Paid>(message.paid());
    case Event::kWithhold:
      return AccountAlone<Withhold>(message.withhold());
    case Event::kClearWithhold:
      return AccountAlone<ClearWithhold>(message.clear_withhold());
    case Event::kSetBalance:
      return Read(message.set_balance());
    case Event::kFreeze:
      return AccountAlone<Freeze>(message.freeze());
    case Event::kPaymentPending:
      return Read(message.payment_pending());
    case Event::kUnfreeze:
      return AccountAlone<Unfreeze>(message.unfreeze());
    case Event::kSetServiceEnd:
      return Read(message.set_service_end());
    case Event::kGiveNotice:
      return Read(message.give_notice());
    case Event::kWithdrawNotice:
      return AccountAlone<WithdrawNotice>(message.withdraw_notice());
    case Event::kTerminate:
      return Read(message.terminate());
    case Event::kGrantBackup:
      return AccountAlone<GrantBackup>(message.grant_backup());
    case Event::kReinstate:
      return AccountAlone<Reinstate>(message.reinstate());
    case Event::kConfirmReclaimed:
      return AccountAlone<ConfirmReclaimed>(message.confirm_reclaimed());
    case Event::kBindBucket:
      return Read(message.bind_bucket());
    case Event::kBindDomain:
      return Read(message.bind_domain());
    case Event::kUnbindDomain:
      return UnbindDomain{message.unbind_domain().host()};
    case Event::kSetPermit:
      return Read(message.set_permit());
    case Event::kClassifyDomain:
      return Read(message.classify_domain());
    case Event::kRegistrySync:
      return RegistrySync{message.registry_sync().registry()};
    case Event::kRaiseFlag:
      return Read(message.raise_flag());
    case Event::kClearFlag:
      return ClearFlag{message.clear_flag().flag_id()};
    case Event::kGrantException:
      return Read(message.grant_exception());
    case Event::kIssueOrder:
      return Read(message.issue_order());
    case Event::kLiftOrder:
      return LiftOrder{message.lift_order().order_id()};
    case Event::kPlaceHold:
      return Read(message.place_hold());
    case Event::kReleaseHold:
      return ReleaseHold{message.release_hold().hold_id()};
    case Event::kRestrict:
      return Read(message.restrict());
    case Event::kUnrestrict:
      return Unrestrict{message.unrestrict().restriction_id()};
    case Event::kOrderDeletion:
      return OrderDeletion{FromProto(message.order_deletion().subject())};
    case Event::kSetLimit:
      return Read(message.set_limit());
    case Event::kClearLimit:
      return ClearLimit{message.clear_limit().limit_id()};
    case Event::kSetParameter:
      return Read(message.set_parameter());
    case Event::kSetMaintenance:
      return Read(message.set_maintenance());
    case Event::kSetUsage:
      return Read(message.set_usage());
    case Event::kAnnounceTerms:
      return AnnounceTerms{TimeOf(message.announce_terms().has_effective(), message.announce_terms().effective())};
    case Event::CHANGE_NOT_SET:
      break;  // or a change that this version does not know: the reducer rejects it
  }
  return std::monostate();
}

// ---- To messages
// -------------------------------------------------------------------------------------------------------

class ChangeWriter {
 public:
  explicit ChangeWriter(v1::PolicyEvent* message) : event_(*message) {}

  void operator()(const std::monostate&) { event_.clear_change(); }
  void operator()(const OpenAccount& change) { event_.mutable_open_account()->set_account(change.account); }
  void operator()(const Paid& change) { event_.mutable_paid()->set_account(change.account); }
  void operator()(const Withhold& change) { event_.mutable_withhold()->set_account(change.account); }
  void operator()(const ClearWithhold& change) { event_.mutable_clear_withhold()->set_account(change.account); }
  void operator()(const SetBalance& change) {
    v1::SetBalance* message = event_.mutable_set_balance();
    message->set_account(change.account);
    message->set_balance_minor(change.balance_minor);
    message->set_consumption_minor(change.consumption_minor);
  }
  void operator()(const Freeze& change) { event_.mutable_freeze()->set_account(change.account); }
  void operator()(const PaymentPending& change) {
    event_.mutable_payment_pending()->set_account(change.account);
    event_.mutable_payment_pending()->set_pending(change.pending);
  }
  void operator()(const Unfreeze& change) { event_.mutable_unfreeze()->set_account(change.account); }
  void operator()(const SetServiceEnd& change) {
    v1::SetServiceEnd* message = event_.mutable_set_service_end();
    message->set_account(change.account);
    if (change.end) ToProto(*change.end, message->mutable_end());
  }
  void operator()(const GiveNotice& change) {
    v1::GiveNotice* message = event_.mutable_give_notice();
    message->set_account(change.account);
    if (change.termination) ToProto(*change.termination, message->mutable_termination());
  }
  void operator()(const WithdrawNotice& change) { event_.mutable_withdraw_notice()->set_account(change.account); }
  void operator()(const Terminate& change) {
    event_.mutable_terminate()->set_account(change.account);
    event_.mutable_terminate()->set_cause(ToNumber<v1::TerminationCause>(change.cause));
  }
  void operator()(const GrantBackup& change) { event_.mutable_grant_backup()->set_account(change.account); }
  void operator()(const Reinstate& change) { event_.mutable_reinstate()->set_account(change.account); }
  void operator()(const ConfirmReclaimed& change) { event_.mutable_confirm_reclaimed()->set_account(change.account); }

  void operator()(const BindBucket& change) {
    v1::BindBucket* message = event_.mutable_bind_bucket();
    message->set_bucket(change.bucket);
    message->set_account(change.account);
    message->set_region(change.region);
  }
  void operator()(const BindDomain& change) {
    v1::BindDomain* message = event_.mutable_bind_domain();
    message->set_host(change.host);
    message->set_account(change.account);
    message->set_bucket(change.bucket);
    message->set_geo(ToNumber<v1::Geo>(change.geo));
    message->set_provider_test_domain(change.provider_test_domain);
  }
  void operator()(const UnbindDomain& change) { event_.mutable_unbind_domain()->set_host(change.host); }
  void operator()(const SetPermit& change) {
    v1::SetPermit* message = event_.mutable_set_permit();
    message->set_host(change.host);
    message->set_kind(change.kind);
    message->set_status(ToNumber<v1::PermitStatus>(change.status));
    message->set_valid_through(change.valid_through);
  }
  void operator()(const ClassifyDomain& change) {
    v1::ClassifyDomain* message = event_.mutable_classify_domain();
    message->set_host(change.host);
    for (const std::string& kind : change.required_permits) message->add_required_permits(kind);
  }
  void operator()(const RegistrySync& change) { event_.mutable_registry_sync()->set_registry(change.registry); }

  void operator()(const RaiseFlag& change) {
    v1::RaiseFlag* message = event_.mutable_raise_flag();
    message->set_flag_id(change.flag_id);
    SetSubject(change.subject, message);
    message->set_category(change.category);
    message->set_severity(ToNumber<v1::Severity>(change.severity));
    if (change.expires_at) ToProto(*change.expires_at, message->mutable_expires_at());
    message->set_authority(change.authority);
    message->set_trial(change.trial);
  }
  void operator()(const ClearFlag& change) { event_.mutable_clear_flag()->set_flag_id(change.flag_id); }
  void operator()(const GrantException& change) {
    event_.mutable_grant_exception()->set_flag_id(change.flag_id);
    SetSubject(change.subject, event_.mutable_grant_exception());
  }
  void operator()(const IssueOrder& change) {
    v1::IssueOrder* message = event_.mutable_issue_order();
    message->set_order_id(change.order_id);
    for (const Subject& subject : change.subjects) ToProto(subject, message->add_subjects());
    SetOperations(change.operations, message->mutable_operations());
    for (const std::string& region : change.regions) message->add_regions(region);
    if (change.expires_at) ToProto(*change.expires_at, message->mutable_expires_at());
    message->set_authority(change.authority);
    message->set_document(change.document);
  }
  void operator()(const LiftOrder& change) { event_.mutable_lift_order()->set_order_id(change.order_id); }
  void operator()(const PlaceHold& change) {
    event_.mutable_place_hold()->set_hold_id(change.hold_id);
    SetSubject(change.subject, event_.mutable_place_hold());
  }
  void operator()(const ReleaseHold& change) { event_.mutable_release_hold()->set_hold_id(change.hold_id); }
  void operator()(const Restrict& change) {
    v1::Restrict* message = event_.mutable_restrict();
    message->set_restriction_id(change.restriction_id);
    SetSubject(change.subject, message);
    message->set_kind(ToNumber<v1::RestrictionKind>(change.kind));
    message->set_clause(change.clause);
    message->set_requests_per_second(change.requests_per_second);
    if (change.review_by) ToProto(*change.review_by, message->mutable_review_by());
    if (change.expires_at) ToProto(*change.expires_at, message->mutable_expires_at());
    message->set_victim(change.victim);
    message->set_trial(change.trial);
    message->set_automatic(change.automatic);
  }
  void operator()(const Unrestrict& change) { event_.mutable_unrestrict()->set_restriction_id(change.restriction_id); }
  void operator()(const OrderDeletion& change) { SetSubject(change.subject, event_.mutable_order_deletion()); }

  void operator()(const SetLimit& change) {
    v1::SetLimit* message = event_.mutable_set_limit();
    message->set_limit_id(change.limit_id);
    message->set_level(ToNumber<v1::Level>(change.level));
    message->set_scope(ToNumber<v1::LimitScope>(change.scope));
    SetSubject(change.subject, message);
    message->set_dimension(ToNumber<v1::Dimension>(change.dimension));
    SetOperations(change.operations, message->mutable_operations());
    message->set_rate(change.rate);
    message->set_burst(change.burst);
    message->set_shape(change.shape);
    message->set_sharing(ToNumber<v1::Sharing>(change.sharing));
    if (change.from) ToProto(*change.from, message->mutable_from());
    if (change.to) ToProto(*change.to, message->mutable_to());
    message->set_trial(change.trial);
  }
  void operator()(const ClearLimit& change) { event_.mutable_clear_limit()->set_limit_id(change.limit_id); }
  void operator()(const SetParameter& change) {
    v1::SetParameter* message = event_.mutable_set_parameter();
    message->set_level(ToNumber<v1::Level>(change.level));
    message->set_account(change.account);
    message->set_name(change.name);
    message->set_value(change.value);
    if (change.from) ToProto(*change.from, message->mutable_from());
    if (change.to) ToProto(*change.to, message->mutable_to());
  }
  void operator()(const SetMaintenance& change) {
    v1::SetMaintenance* message = event_.mutable_set_maintenance();
    message->set_region(change.region);
    SetOperations(change.operations, message->mutable_operations());
    if (change.from) ToProto(*change.from, message->mutable_from());
    if (change.to) ToProto(*change.to, message->mutable_to());
  }
  void operator()(const SetUsage& change) {
    v1::SetUsage* message = event_.mutable_set_usage();
    SetSubject(change.subject, message);
    message->set_dimension(ToNumber<v1::Dimension>(change.dimension));
    message->set_amount(change.amount);
  }
  void operator()(const AnnounceTerms& change) {
    v1::AnnounceTerms* message = event_.mutable_announce_terms();
    if (change.effective) ToProto(*change.effective, message->mutable_effective());
  }

 private:
  v1::PolicyEvent& event_;
};

}  // namespace

PolicyEvent FromProto(const v1::PolicyEvent& message) {
  PolicyEvent event;
  event.event_id = message.event_id();
  event.source = message.source();
  event.role = FromNumber<Role>(message.role());
  event.effective_at = TimeOf(message.has_effective_at(), message.effective_at());
  event.sequence = message.sequence();
  event.note = message.note();
  event.change = ReadChange(message);
  return event;
}

void ToProto(const PolicyEvent& event, v1::PolicyEvent* message) {
  message->Clear();
  message->set_event_id(event.event_id);
  message->set_source(event.source);
  message->set_role(ToNumber<v1::Role>(event.role));
  if (event.effective_at) ToProto(*event.effective_at, message->mutable_effective_at());
  message->set_sequence(event.sequence);
  message->set_note(event.note);
  std::visit(ChangeWriter(message), event.change);
}

StampedEvent StampedFromProto(const v1::PolicyEvent& message) {
  return {FromProto(message), message.revision(), FromProto(message.arrived_at())};
}

void ToProto(const StampedEvent& event, v1::PolicyEvent* message) {
  ToProto(event.event, message);
  message->set_revision(event.revision);
  ToProto(event.arrived_at, message->mutable_arrived_at());
}

}  // namespace sluice
