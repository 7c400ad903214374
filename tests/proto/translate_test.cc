#include "proto/translate.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

// Fills every field with a value of its own, so that two fields that are mixed up show.
class Filler {
 public:
  void Fill(Message* message) {
    const Descriptor* descriptor = message->GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      if (field->real_containing_oneof() == nullptr) FillField(message, field);
    }
  }

  void FillField(Message* message, const FieldDescriptor* field) {
    const int times = field->is_repeated() ? 2 : 1;
    for (int i = 0; i < times; ++i) FillOne(message, field);
  }

 private:
  // `set` and `add` of the reflection interface, by type.
#define SLUICE_FILL(Type, value)                                                      \
  field->is_repeated() ? message->GetReflection()->Add##Type(message, field, (value)) \
                       : message->GetReflection()->Set##Type(message, field, (value))
  void FillOne(Message* message, const FieldDescriptor* field) {
    const int n = ++count_;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        SLUICE_FILL(String, absl::StrCat(field->name(), "-", n));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        SLUICE_FILL(Int32, 1000 + n);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        SLUICE_FILL(Int64, (int64_t{1} << 33) + n);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        SLUICE_FILL(Double, n + 0.125);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        SLUICE_FILL(Bool, true);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        SLUICE_FILL(EnumValue, 1 + n % (field->enum_type()->value_count() - 1));
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Fill(field->is_repeated() ? message->GetReflection()->AddMessage(message, field)
                                  : message->GetReflection()->MutableMessage(message, field));
        break;
      default:
        FAIL() << "no value for " << field->full_name();
    }
  }
#undef SLUICE_FILL

  int count_ = 0;
};

std::string Difference(const Message& wanted, const Message& got) {
  std::string report;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  differencer.Compare(wanted, got);
  return report;
}

TEST(Translate, EveryChangeComesBackWithEveryField) {
  const google::protobuf::OneofDescriptor* changes = v1::PolicyEvent::descriptor()->FindOneofByName("change");
  ASSERT_EQ(static_cast<size_t>(changes->field_count()), kChangeCount - 1);
  for (int i = 0; i < changes->field_count(); ++i) {
    SCOPED_TRACE(changes->field(i)->name());
    Filler filler;
    v1::PolicyEvent wanted;
    filler.Fill(&wanted);
    filler.FillField(&wanted, changes->field(i));

    const StampedEvent event = StampedFromProto(wanted);
    EXPECT_EQ(event.event.change.index(), static_cast<size_t>(i) + 1);
    EXPECT_EQ(ChangeName(event.event.change.index()), changes->field(i)->name());
    v1::PolicyEvent got;
    got.mutable_clear_flag();  // overwritten whole
    ToProto(event, &got);
    EXPECT_EQ(Difference(wanted, got), "");
  }
}

TEST(Translate, AnEventOnItsWayInCarriesNoRevision) {
  v1::PolicyEvent wanted;
  Filler().Fill(&wanted);
  wanted.mutable_freeze()->set_account("u1");
  v1::PolicyEvent got;
  ToProto(FromProto(wanted), &got);
  wanted.clear_revision();
  wanted.clear_arrived_at();
  EXPECT_EQ(Difference(wanted, got), "");
}

TEST(Translate, AChangeWithoutFieldsComesBackAsThatChange) {
  const google::protobuf::OneofDescriptor* changes = v1::PolicyEvent::descriptor()->FindOneofByName("change");
  for (int i = 0; i < changes->field_count(); ++i) {
    v1::PolicyEvent wanted;
    wanted.GetReflection()->MutableMessage(&wanted, changes->field(i));
    v1::PolicyEvent got;
    ToProto(FromProto(wanted), &got);
    EXPECT_EQ(Difference(wanted, got), "") << changes->field(i)->name();
  }
  EXPECT_EQ(FromProto(v1::PolicyEvent()).change.index(), 0u);
}

TEST(Translate, ACheckComesBackWithEveryField) {
  v1::CheckRequest wanted;
  Filler().Fill(&wanted);
  CheckInput input;
  FromProto(wanted, &input);
  v1::CheckRequest got;
  ToProto(input, &got);
  EXPECT_EQ(Difference(wanted, got), "");
}

TEST(Translate, ACheckOverwritesWhatItsInputHeld) {
  v1::CheckRequest full;
  Filler().Fill(&full);
  CheckInput input;
  FromProto(full, &input);
  const v1::CheckRequest empty;
  FromProto(empty, &input);
  v1::CheckRequest got;
  ToProto(input, &got);
  EXPECT_EQ(Difference(empty, got), "");
}

TEST(Translate, UsageKeepsEveryField) {
  v1::Usage message;
  Filler().Fill(&message);
  ASSERT_EQ(v1::Usage::descriptor()->field_count(), 13);
  const UsageInput usage = FromProto(message);
  EXPECT_EQ(usage.owner, message.owner());
  EXPECT_EQ(usage.bucket, message.bucket());
  EXPECT_EQ(usage.key, message.key());
  EXPECT_EQ(usage.host, message.host());
  EXPECT_EQ(usage.client_ip, message.client_ip());
  EXPECT_EQ(static_cast<int>(usage.operation), message.operation());
  EXPECT_EQ(usage.bytes_in, message.bytes_in());
  EXPECT_EQ(usage.bytes_out, message.bytes_out());
  EXPECT_EQ(usage.cpu_microseconds, message.cpu_microseconds());
  EXPECT_EQ(usage.memory_byte_seconds, message.memory_byte_seconds());
  EXPECT_EQ(usage.stored_bytes_delta, message.stored_bytes_delta());
  EXPECT_EQ(usage.stored_objects_delta, message.stored_objects_delta());
  EXPECT_EQ(usage.lease_id, message.lease_id());
}

Decision FullDecision() {
  Decision decision;
  decision.verdict = Verdict::kDeny;
  decision.reason = Reason::kLegalOrder;
  decision.fault = Fault::kLaw;
  decision.set_by = Role::kLegal;
  decision.clause = "9.2.2";
  decision.rule_id = "o1";
  decision.lease_id = "l1";
  decision.warnings = {Reason::kTermsChanged};
  decision.all_reasons = {Reason::kLegalOrder, Reason::kAccountFrozen};
  decision.retry_after_ms = 1;
  decision.shape_bytes_per_second = 2;
  decision.cache_for_ms = 3;
  decision.recheck_after_ms = 4;
  decision.revision = 5;
  decision.http = {451, "UnavailableForLegalReasons", "unavailable"};
  return decision;
}

TEST(Translate, ADecisionFillsEveryFieldOfTheAnswer) {
  v1::CheckResponse got;
  ToProto(FullDecision(), "r1", &got, /*detail=*/true, "4bf92f3577b34da6a3ce929d0e0e4736");
  v1::CheckResponse wanted;
  wanted.set_request_id("r1");
  wanted.set_trace_id("4bf92f3577b34da6a3ce929d0e0e4736");
  wanted.set_verdict(v1::VERDICT_DENY);
  wanted.set_reason(v1::REASON_LEGAL_ORDER);
  wanted.set_fault(v1::FAULT_LAW);
  wanted.set_set_by(v1::ROLE_LEGAL);
  wanted.set_clause("9.2.2");
  wanted.set_rule_id("o1");
  wanted.set_lease_id("l1");
  wanted.add_warnings(v1::REASON_TERMS_CHANGED);
  wanted.add_all_reasons(v1::REASON_LEGAL_ORDER);
  wanted.add_all_reasons(v1::REASON_ACCOUNT_FROZEN);
  wanted.set_retry_after_ms(1);
  wanted.set_shape_bytes_per_second(2);
  wanted.set_cache_for_ms(3);
  wanted.set_recheck_after_ms(4);
  wanted.set_revision(5);
  wanted.mutable_http()->set_status(451);
  wanted.mutable_http()->set_code("UnavailableForLegalReasons");
  wanted.mutable_http()->set_message("unavailable");
  EXPECT_EQ(Difference(wanted, got), "");
  std::vector<const FieldDescriptor*> set;
  wanted.GetReflection()->ListFields(wanted, &set);
  EXPECT_EQ(static_cast<int>(set.size()), v1::CheckResponse::descriptor()->field_count()) << "a field is untested";
}

TEST(Translate, WithoutDetailTheAnswerNamesNeitherAllReasonsNorWhoSetTheRule) {
  v1::CheckResponse got;
  ToProto(FullDecision(), "r1", &got, /*detail=*/true);
  ToProto(FullDecision(), "r1", &got, /*detail=*/false);
  EXPECT_EQ(got.all_reasons_size(), 0);
  EXPECT_EQ(got.set_by(), v1::ROLE_UNSPECIFIED);
  EXPECT_EQ(got.rule_id(), "o1");
}

TEST(Translate, AnAllowCarriesNoHttpHint) {
  Decision decision = FullDecision();
  decision.verdict = Verdict::kAllow;
  v1::CheckResponse got;
  ToProto(FullDecision(), "r1", &got);
  ToProto(decision, "r1", &got);
  EXPECT_FALSE(got.has_http());
  ToProto(decision, "r1", &got, /*detail=*/true, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(got.trace_id(), "");
}

TEST(Translate, SubjectsAndAnnouncementsComeBackWithEveryField) {
  v1::Subject subject, subject_back;
  Filler().Fill(&subject);
  ToProto(FromProto(subject), &subject_back);
  EXPECT_EQ(Difference(subject, subject_back), "");
  v1::Announcement announcement, announcement_back;
  Filler().Fill(&announcement);
  ToProto(FromProto(announcement), &announcement_back);
  EXPECT_EQ(Difference(announcement, announcement_back), "");
}

TEST(Translate, ADescriptionFillsAllButWhatIsInForce) {
  Description description;
  description.subject.account = "u1";
  description.state = AccountState::kRetention;
  description.cause = TerminationCause::kExpired;
  description.state_since = absl::FromUnixSeconds(10);
  description.deadline = absl::FromUnixSeconds(20);
  description.owner = "u1";
  description.revision = 7;
  v1::DescribeResponse got;
  got.add_in_force();
  ToProto(description, &got);
  EXPECT_EQ(got.subject().account(), "u1");
  EXPECT_EQ(got.state(), v1::ACCOUNT_STATE_RETENTION);
  EXPECT_EQ(got.cause(), v1::TERMINATION_CAUSE_EXPIRED);
  EXPECT_EQ(got.state_since().seconds(), 10);
  EXPECT_EQ(got.deadline().seconds(), 20);
  EXPECT_EQ(got.owner(), "u1");
  EXPECT_EQ(got.revision(), 7);
  EXPECT_EQ(got.in_force_size(), 0);
  v1::ExplainStep step;
  ToProto(ExplainStep{"flag f1", true, "3.1.3.7", "why"}, &step);
  EXPECT_EQ(step.rule(), "flag f1");
  EXPECT_TRUE(step.matched());
  EXPECT_EQ(step.clause(), "3.1.3.7");
  EXPECT_EQ(step.text(), "why");
}

TEST(Translate, TimesKeepTheirNanoseconds) {
  for (const absl::Time time :
       {absl::FromUnixNanos(1), absl::FromUnixNanos(-1), absl::FromUnixNanos(1767225600123456789), absl::UnixEpoch()}) {
    google::protobuf::Timestamp message;
    ToProto(time, &message);
    EXPECT_GE(message.nanos(), 0);
    EXPECT_EQ(FromProto(message), time);
  }
}

TEST(Translate, TimesBeyondWhatATimestampMaySayAreHeldThere) {
  google::protobuf::Timestamp message;
  ToProto(absl::InfiniteFuture(), &message);
  EXPECT_EQ(message.seconds(), 253402300799);
  const absl::Time last = FromProto(message);
  message.set_seconds(INT64_MAX);
  EXPECT_EQ(FromProto(message), last);
  ToProto(absl::InfinitePast(), &message);
  EXPECT_EQ(message.seconds(), -62135596800);
  const absl::Time first = FromProto(message);
  message.set_seconds(INT64_MIN);
  message.set_nanos(-5);
  EXPECT_EQ(FromProto(message), first);
}

TEST(Translate, AnUnknownEnumNumberNeverWrapsToAKnownOne) {
  const struct {
    int number, wanted;
  } cases[] = {{200, 200}, {255, 255},  {256, 255},       {258, 255},
               {-1, 255},  {-254, 255}, {INT32_MAX, 255}, {INT32_MIN, 255}};
  for (const auto& each : cases) {
    v1::CheckRequest request;
    request.set_operation(static_cast<v1::Operation>(each.number));
    CheckInput input;
    FromProto(request, &input);
    EXPECT_EQ(static_cast<int>(input.operation), each.wanted);
    EXPECT_EQ(Name(input.operation), "?");
    v1::CheckRequest back;
    ToProto(input, &back);
    EXPECT_EQ(static_cast<int>(back.operation()), each.wanted);

    v1::PolicyEvent event;
    event.mutable_issue_order()->add_operations(static_cast<v1::Operation>(each.number));
    const PolicyEvent plain = FromProto(event);
    EXPECT_EQ(static_cast<int>(std::get<IssueOrder>(plain.change).operations[0]), each.wanted);
  }
}

template <typename Enum>
void ExpectWords(const EnumDescriptor* descriptor) {
  std::string prefix;  // of "CLIENT_IP" in LimitScope: "LIMIT_SCOPE_"
  for (const char c : descriptor->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  prefix += '_';
  for (int i = 0; i < descriptor->value_count(); ++i) {
    EXPECT_EQ(Name(static_cast<Enum>(descriptor->value(i)->number())),
              absl::StripPrefix(descriptor->value(i)->name(), prefix));
  }
}

TEST(Translate, WordsAreThoseOfTheContract) {
  ExpectWords<Operation>(v1::Operation_descriptor());
  ExpectWords<Verdict>(v1::Verdict_descriptor());
  ExpectWords<Reason>(v1::Reason_descriptor());
  ExpectWords<Fault>(v1::Fault_descriptor());
  ExpectWords<Role>(v1::Role_descriptor());
  ExpectWords<Severity>(v1::Severity_descriptor());
  ExpectWords<AccountState>(v1::AccountState_descriptor());
  ExpectWords<TerminationCause>(v1::TerminationCause_descriptor());
  ExpectWords<Dimension>(v1::Dimension_descriptor());
  ExpectWords<LimitScope>(v1::LimitScope_descriptor());
  ExpectWords<Level>(v1::Level_descriptor());
  ExpectWords<RestrictionKind>(v1::RestrictionKind_descriptor());
  ExpectWords<Dialect>(v1::Dialect_descriptor());
  ExpectWords<Outcome>(v1::Outcome_descriptor());
  ExpectWords<AnnouncementKind>(v1::AnnouncementKind_descriptor());
}

}  // namespace
}  // namespace sluice
