// How subjects, times and events read in tables.
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands.h"
#include "client/yaml_message.h"
#include "enforcement/calendar.h"
#include "enforcement/names.h"
#include "proto/translate.h"

namespace sluice {
namespace {

template <typename Enum>
std::string Words(const google::protobuf::RepeatedField<int>& values, Enum) {
  std::string result;
  for (const int value : values) {
    absl::StrAppend(&result, result.empty() ? "" : ",",
                    ShortEnumName(google::protobuf::GetEnumDescriptor<Enum>(), value));
  }
  return result;
}

template <typename Enum>
std::string Word(Enum value) {
  return value == 0 ? "" : ShortEnumName(google::protobuf::GetEnumDescriptor<Enum>(), value);
}

void Join(absl::string_view piece, std::string* text) {
  if (!piece.empty()) absl::StrAppend(text, text->empty() ? "" : " ", piece);
}

std::string Until(const google::protobuf::Timestamp& time) { return absl::StrCat("until ", TimeText(time)); }

EventText TextOfLimit(const v1::SetLimit& limit) {
  EventText text{"limit", limit.limit_id(), "", ""};
  text.subject = SubjectText(limit.subject());
  if (text.subject == "-") text.subject = absl::StrCat("every ", absl::AsciiStrToLower(Word(limit.scope())));
  text.detail = absl::StrCat(Word(limit.dimension()), " ", limit.rate());
  if (limit.burst() > 0) absl::StrAppend(&text.detail, " burst ", limit.burst());
  Join(Words(limit.operations(), v1::Operation()), &text.detail);
  Join(Word(limit.level()), &text.detail);
  if (limit.shape()) Join("shaped", &text.detail);
  if (limit.sharing() == v1::SHARING_FLEET) Join("fleet-wide", &text.detail);
  if (limit.has_from()) Join(absl::StrCat("from ", TimeText(limit.from())), &text.detail);
  if (limit.has_to()) Join(Until(limit.to()), &text.detail);
  if (limit.trial()) Join("trial", &text.detail);
  return text;
}

EventText TextOfOrder(const v1::IssueOrder& order) {
  EventText text{"order", order.order_id(), "", ""};
  for (const v1::Subject& subject : order.subjects()) {
    absl::StrAppend(&text.subject, text.subject.empty() ? "" : ", ", SubjectText(subject));
  }
  Join(Words(order.operations(), v1::Operation()), &text.detail);
  if (order.regions_size() > 0) Join(absl::StrCat("in ", absl::StrJoin(order.regions(), ",")), &text.detail);
  Join(order.authority(), &text.detail);
  Join(order.document(), &text.detail);
  if (order.has_expires_at()) Join(Until(order.expires_at()), &text.detail);
  return text;
}

EventText TextOfRestriction(const v1::Restrict& restriction) {
  EventText text{"restriction", restriction.restriction_id(), SubjectText(restriction.subject()), ""};
  Join(Word(restriction.kind()), &text.detail);
  if (restriction.requests_per_second() > 0) Join(absl::StrCat(restriction.requests_per_second(), "/s"), &text.detail);
  Join(restriction.clause(), &text.detail);
  if (restriction.victim()) Join("victim", &text.detail);
  if (restriction.automatic()) Join("automatic", &text.detail);
  if (restriction.trial()) Join("trial", &text.detail);
  if (restriction.has_expires_at()) Join(Until(restriction.expires_at()), &text.detail);
  return text;
}

}  // namespace

std::string SubjectText(const v1::Subject& subject) {
  const Subject plain = FromProto(subject);
  return plain.empty() ? "-" : Describe(plain);
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromProto(time), ChinaStandardTime());
}

EventText TextOf(const v1::PolicyEvent& event) {
  switch (event.change_case()) {
    case v1::PolicyEvent::kRaiseFlag: {
      const v1::RaiseFlag& flag = event.raise_flag();
      EventText text{"flag", flag.flag_id(), SubjectText(flag.subject()), flag.category()};
      Join(Word(flag.severity()), &text.detail);
      Join(flag.authority(), &text.detail);
      if (flag.trial()) Join("trial", &text.detail);
      if (flag.has_expires_at()) Join(Until(flag.expires_at()), &text.detail);
      return text;
    }
    case v1::PolicyEvent::kGrantException:
      return {"exception", event.grant_exception().flag_id(), SubjectText(event.grant_exception().subject()), ""};
    case v1::PolicyEvent::kIssueOrder:
      return TextOfOrder(event.issue_order());
    case v1::PolicyEvent::kPlaceHold:
      return {"hold", event.place_hold().hold_id(), SubjectText(event.place_hold().subject()), ""};
    case v1::PolicyEvent::kRestrict:
      return TextOfRestriction(event.restrict());
    case v1::PolicyEvent::kSetLimit:
      return TextOfLimit(event.set_limit());
    case v1::PolicyEvent::kSetPermit: {
      const v1::SetPermit& permit = event.set_permit();
      EventText text{"permit", permit.kind(), absl::StrCat("host ", permit.host()), Word(permit.status())};
      if (!permit.valid_through().empty()) Join(absl::StrCat("through ", permit.valid_through()), &text.detail);
      return text;
    }
    case v1::PolicyEvent::kBindBucket: {
      const v1::BindBucket& bind = event.bind_bucket();
      return {"bucket", bind.bucket(), absl::StrCat("account ", bind.account()), bind.region()};
    }
    case v1::PolicyEvent::kBindDomain: {
      const v1::BindDomain& bind = event.bind_domain();
      EventText text{"domain", bind.host(), absl::StrCat("account ", bind.account()), Word(bind.geo())};
      if (!bind.bucket().empty()) Join(absl::StrCat("bucket ", bind.bucket()), &text.detail);
      if (bind.provider_test_domain()) Join("test domain", &text.detail);
      return text;
    }
    default: {
      const absl::string_view name = ChangeName(FromProto(event).change.index());
      EventText text{std::string(name), "", "", ""};
      const google::protobuf::FieldDescriptor* field = event.GetDescriptor()->FindFieldByName(std::string(name));
      if (field == nullptr) return text;
      // One change a line: "{account: u1}" without its braces' line breaks.
      text.detail = event.GetReflection()->GetMessage(event, field).ShortDebugString();
      return text;
    }
  }
}

Table TableOfEvents(const google::protobuf::RepeatedPtrField<v1::PolicyEvent>& events) {
  Table table({{"KIND"},
               {"ID", Table::Align::kLeft, 40},
               {"SUBJECT", Table::Align::kLeft, 60},
               {"DETAIL", Table::Align::kLeft, 60},
               {"SINCE"},
               {"SET BY"},
               {"NOTE", Table::Align::kLeft, 40}});
  for (const v1::PolicyEvent& event : events) {
    const EventText text = TextOf(event);
    table.AddRow({text.kind, text.id, text.subject, text.detail, TimeText(event.effective_at()), Word(event.role()),
                  event.note()});
  }
  return table;
}

std::string SpreadYaml(const std::string& json) {
  try {
    YAML::Node node = YAML::Load(json);
    const std::function<void(YAML::Node)> spread = [&](YAML::Node part) {
      if (part.IsScalar()) return;
      part.SetStyle(YAML::EmitterStyle::Block);
      for (auto item : part) spread(part.IsMap() ? item.second : YAML::Node(item));
    };
    spread(node);
    return absl::StrCat(YAML::Dump(node), "\n");
  } catch (const YAML::Exception&) {
    return json;
  }
}

}  // namespace sluice
