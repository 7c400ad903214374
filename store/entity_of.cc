#include "store/entity_of.h"

#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

constexpr absl::string_view kNul("\0", 1);

struct KeyOfChange {
  using Key = absl::optional<EntityKey>;

  Key operator()(const std::monostate&) const { return absl::nullopt; }
  Key operator()(const OrderDeletion&) const { return absl::nullopt; }
  // The lifecycle of an account.
  template <typename AccountChange>
  Key operator()(const AccountChange& change) const {
    return EntityKey{EntityKind::kAccount, change.account};
  }
  Key operator()(const BindBucket& change) const { return EntityKey{EntityKind::kBucket, change.bucket}; }
  Key operator()(const BindDomain& change) const { return EntityKey{EntityKind::kDomain, change.host}; }
  Key operator()(const UnbindDomain& change) const { return EntityKey{EntityKind::kDomain, change.host}; }
  Key operator()(const SetPermit& change) const { return EntityKey{EntityKind::kPermits, change.host}; }
  Key operator()(const ClassifyDomain& change) const { return EntityKey{EntityKind::kPermits, change.host}; }
  Key operator()(const RegistrySync& change) const { return EntityKey{EntityKind::kRegistry, change.registry}; }
  Key operator()(const RaiseFlag& change) const { return EntityKey{EntityKind::kFlag, change.flag_id}; }
  Key operator()(const ClearFlag& change) const { return EntityKey{EntityKind::kFlag, change.flag_id}; }
  Key operator()(const GrantException& change) const { return EntityKey{EntityKind::kFlag, change.flag_id}; }
  Key operator()(const IssueOrder& change) const { return EntityKey{EntityKind::kOrder, change.order_id}; }
  Key operator()(const LiftOrder& change) const { return EntityKey{EntityKind::kOrder, change.order_id}; }
  Key operator()(const PlaceHold& change) const { return EntityKey{EntityKind::kHold, change.hold_id}; }
  Key operator()(const ReleaseHold& change) const { return EntityKey{EntityKind::kHold, change.hold_id}; }
  Key operator()(const Restrict& change) const { return EntityKey{EntityKind::kRestriction, change.restriction_id}; }
  Key operator()(const Unrestrict& change) const { return EntityKey{EntityKind::kRestriction, change.restriction_id}; }
  Key operator()(const SetLimit& change) const { return EntityKey{EntityKind::kLimit, change.limit_id}; }
  Key operator()(const ClearLimit& change) const { return EntityKey{EntityKind::kLimit, change.limit_id}; }
  Key operator()(const SetParameter& change) const {
    return EntityKey{EntityKind::kParameter, absl::StrCat(change.name, kNul, change.account)};
  }
  Key operator()(const SetMaintenance& change) const { return EntityKey{EntityKind::kMaintenance, change.region}; }
  Key operator()(const AnnounceTerms&) const { return EntityKey{EntityKind::kTerms, ""}; }
  Key operator()(const SetUsage& change) const {
    return EntityKey{EntityKind::kUsage, absl::StrCat(Describe(change.subject), kNul, Name(change.dimension))};
  }
};

}  // namespace

absl::optional<EntityKey> EntityOf(const Change& change) { return std::visit(KeyOfChange(), change); }

}  // namespace sluice
