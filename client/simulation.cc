#include "client/simulation.h"

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/yaml_message.h"
#include "decision_log/record.h"
#include "enforcement/names.h"
#include "enforcement/rule_compiler.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "proto/translate.h"
#include "store/policy_export.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Address space, not disk: a simulated policy of millions of entities still fits.
constexpr size_t kMapBytes = size_t{4} << 30;
constexpr size_t kUsageMapBytes = size_t{1} << 30;
// Enough for any scenario; a record takes a third of a kilobyte.
constexpr size_t kAuditCapacity = size_t{1} << 22;

MemoryLog::Options LogOptions(const Simulation::Options& options) {
  MemoryLog::Options log;
  log.capacity = options.audit_capacity.value_or(kAuditCapacity);
  log.keep_oldest = options.audit_capacity.has_value();
  log.node = "simulation";
  return log;
}

absl::StatusOr<std::string> MakeFolder() {
  std::error_code error;
  const fs::path root = fs::temp_directory_path(error);
  if (error) return absl::UnavailableError(absl::StrCat("no folder for temporary files: ", error.message()));
  std::string name = (root / "sluice-simulation-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot make a folder in ", root.string(), ": ", std::generic_category().message(errno)));
  }
  return name;
}

// The whole policy of `store` in one chunk.
absl::StatusOr<v1::ExportChunk> ExportOf(const Store& store) {
  v1::ExportChunk whole;
  absl::Status status = SendExport(store, std::numeric_limits<size_t>::max(), [&whole](const v1::ExportChunk& chunk) {
    whole = chunk;
    return true;
  });
  if (!status.ok()) return status;
  return whole;
}

absl::Status ImportInto(PolicyWriter* writer, const v1::ExportChunk& whole) {
  bool given = false;
  return writer
      ->Import([&](v1::ExportChunk* chunk) {
        if (std::exchange(given, true)) return false;
        *chunk = whole;
        return true;
      })
      .status();
}

// Where the items of two lists first differ.
template <typename List>
std::string FirstDifference(absl::string_view what, const List& before, const List& after) {
  if (before.size() != after.size()) return absl::StrCat(before.size(), " ", what, " became ", after.size());
  for (int i = 0; i < before.size(); ++i) {
    if (SerializeDeterministically(before[i]) != SerializeDeterministically(after[i])) {
      return absl::StrCat(what, " ", i, ": {", before[i].ShortDebugString(), "} became {", after[i].ShortDebugString(),
                          "}");
    }
  }
  return "";
}

}  // namespace

SimulatedClock::SimulatedClock(absl::Time wall) {
  now_.wall = wall;
  now_.mono.ns = absl::ToInt64Nanoseconds(absl::Hours(1));  // a machine that has run for a while
}

Moment SimulatedClock::Now() const {
  absl::MutexLock lock(&mutex_);
  return now_;
}

void SimulatedClock::Advance(absl::Duration by) {
  absl::MutexLock lock(&mutex_);
  now_.wall += by;
  now_.mono.ns += absl::ToInt64Nanoseconds(by);
}

void SimulatedClock::StepWall(absl::Duration by) {
  absl::MutexLock lock(&mutex_);
  now_.wall += by;
}

void SimulatedClock::SetClockError(absl::optional<absl::Duration> error) {
  absl::MutexLock lock(&mutex_);
  now_.clock_error = error;
}

Simulation::Simulation(const Pack* pack, Options options)
    : pack_(pack),
      options_(std::move(options)),
      clock_(options_.start),
      metrics_({SLUICE_VERSION, pack->name, pack->digest}),
      log_(LogOptions(options_)) {
  metrics_.SetLog([this] {
    Metrics::LogFigures figures;
    for (int i = 0; i < kLogClassCount; ++i) {
      const auto log_class = static_cast<LogClass>(i);
      figures.classes.push_back({Name(log_class), log_.taken(log_class), log_.dropped(log_class)});
    }
    return figures;
  });
  metrics_.SetSource(Metrics::Source::kPolicyRevision,
                     [this] { return static_cast<double>(node_->store->revision()); });
  metrics_.SetSource(Metrics::Source::kStoreBytes, [this] { return static_cast<double>(node_->store->used_bytes()); });
  metrics_.SetSource(Metrics::Source::kReady, [this] { return node_->store->revision() > 0 ? 1.0 : 0.0; });
}

absl::StatusOr<std::unique_ptr<Simulation>> Simulation::Create(const Pack* pack, Options options) {
  std::unique_ptr<Simulation> simulation(new Simulation(pack, std::move(options)));
  absl::StatusOr<std::string> folder = MakeFolder();
  if (!folder.ok()) return folder.status();
  simulation->folder_ = *std::move(folder);
  if (absl::Status status = simulation->Open(); !status.ok()) return status;
  return simulation;
}

Simulation::~Simulation() {
  node_.reset();
  if (folder_.empty()) return;
  std::error_code ignored;  // a folder left behind under the system's temporary files harms nobody
  fs::remove_all(folder_, ignored);
}

absl::StatusOr<std::unique_ptr<Simulation::Node>> Simulation::OpenNode(const std::string& folder,
                                                                       EventObserver* observer) const {
  auto node = std::make_unique<Node>();
  Store::Options options;
  options.path = folder;
  options.map_bytes = kMapBytes;
  options.sync = false;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options);
  if (!store.ok()) return store.status();
  node->store = *std::move(store);
  node->index = std::make_unique<PolicyIndex>(pack_);
  node->policy_clock = std::make_unique<PolicyClock>(&clock_, node->store->policy_time());
  node->limiter = std::make_unique<Limiter>(Limiter::Options());
  node->engine = std::make_unique<Engine>(pack_, node->index.get(), node->limiter.get(), options_.node);
  node->abuse = std::make_unique<AbuseGuard>(*pack_, node->limiter.get());
  node->engine->SetAbuseObserver(node->abuse.get());
  if (options_.keep_usage) {
    absl::StatusOr<std::unique_ptr<UsageStore>> usage =
        UsageStore::Open({.path = absl::StrCat(folder, "/usage"), .map_bytes = kUsageMapBytes, .sync = false},
                         node->limiter.get(), node->policy_clock->Now());
    if (!usage.ok()) return usage.status();
    node->usage = *std::move(usage);
  }
  absl::StatusOr<std::unique_ptr<PolicyWriter>> writer =
      PolicyWriter::Create(node->store.get(), node->index.get(), pack_, observer,
                           [node = node.get()](const StampedEvent& event, bool fresh) {
                             node->engine->TakeOver(event, fresh, node->policy_clock->Now()).IgnoreError();
                           });
  if (!writer.ok()) return writer.status();
  node->writer = *std::move(writer);
  return node;
}

absl::Status Simulation::Open() {
  node_.reset();  // the store opens once at a time
  absl::StatusOr<std::unique_ptr<Node>> node = OpenNode(absl::StrCat(folder_, "/store"), &metrics_);
  if (!node.ok()) return node.status();
  node_ = *std::move(node);
  return Tick();
}

absl::Status Simulation::Tick() {
  const std::vector<PolicyEvent> due = node_->abuse->Due(*node_->index->Read(), Now());
  if (due.empty()) return node_->writer->Tick(Now());
  return node_->writer->Apply(due, Now()).status();
}

absl::Status Simulation::AdvanceTo(absl::Time wall) {
  if (wall < this->wall()) {
    return absl::InvalidArgumentError(
        absl::StrCat("wanted a moment from ", FormatRfc3339(this->wall()), " on, got ", FormatRfc3339(wall)));
  }
  while (true) {
    const Moment now = Now();
    const absl::Time due = node_->index->Read()->NextDue(now);
    if (due <= now.wall || due >= wall) break;
    clock_.Advance(due - this->wall());
    if (absl::Status status = Tick(); !status.ok()) return status;
  }
  clock_.Advance(wall - this->wall());
  return Tick();
}

absl::Status Simulation::StepWall(absl::Duration by) {
  clock_.StepWall(by);
  return Tick();
}

absl::Status Simulation::SetClockError(absl::optional<absl::Duration> error) {
  clock_.SetClockError(error);
  return Tick();
}

absl::StatusOr<ApplyResult> Simulation::Apply(std::vector<PolicyEvent> events) {
  absl::StatusOr<ApplyResult> result = node_->writer->Apply(std::move(events), Now());
  if (!result.ok()) return result;
  // The last obstacle to an announcement may have gone with these events.
  if (absl::Status status = Tick(); !status.ok()) return status;
  return result;
}

absl::StatusOr<std::vector<Announcement>> Simulation::NewAnnouncements() {
  constexpr size_t kAll = size_t{1} << 40;
  absl::StatusOr<std::vector<Announcement>> announcements = node_->writer->Announcements(announced_revision_, kAll);
  if (!announcements.ok()) return announcements;
  std::vector<Announcement> fresh;
  size_t known = announced_of_revision_;
  for (Announcement& announcement : *announcements) {
    if (announcement.revision == announced_revision_ && known > 0) {
      --known;
      continue;
    }
    if (announcement.revision != announced_revision_) announced_of_revision_ = 0;
    announced_revision_ = announcement.revision;
    ++announced_of_revision_;
    fresh.push_back(std::move(announcement));
  }
  return fresh;
}

absl::StatusOr<v1::DescribeResponse> Simulation::Describe(const v1::Subject& subject) const {
  absl::StatusOr<Subject> canonical = CanonicalSubject(FromProto(subject));
  if (!canonical.ok()) return canonical.status();
  const Moment now = Now();
  const Description description = node_->engine->Describe(*canonical, now);
  v1::DescribeResponse response;
  ToProto(description, &response);
  for (const EntityKey& key : description.in_force) {
    absl::StatusOr<absl::optional<Entity>> entity = node_->store->GetEntity(key);
    if (!entity.ok()) return entity.status();
    if (!entity->has_value()) continue;
    for (const StampedEvent* event : EventsTold(**entity, now)) ToProto(*event, response.add_in_force());
  }
  return response;
}

absl::Status Simulation::Restart() {
  if (node_->usage != nullptr) {
    if (absl::Status status = node_->usage->Flush(Now()); !status.ok()) return status;
  }
  return Open();
}

absl::StatusOr<v1::ExportChunk> Simulation::Export() const { return ExportOf(*node_->store); }

absl::Status Simulation::Import(const v1::ExportChunk& snapshot) {
  if (absl::Status status = ImportInto(node_->writer.get(), snapshot); !status.ok()) return status;
  return Open();  // policy time comes with the export
}

absl::StatusOr<std::string> Simulation::Replay() const {
  absl::StatusOr<v1::ExportChunk> before = Export();
  if (!before.ok()) return before.status();
  const std::string bytes = SerializeDeterministically(*before);
  v1::ExportChunk carried;  // what another node would read
  if (!carried.ParseFromString(bytes)) return absl::InternalError("the export cannot be read back");

  const std::string folder = absl::StrCat(folder_, "/replay");
  absl::StatusOr<std::string> difference = [&]() -> absl::StatusOr<std::string> {
    absl::StatusOr<std::unique_ptr<Node>> other = OpenNode(folder, nullptr);
    if (!other.ok()) return other.status();
    if (absl::Status status = ImportInto((*other)->writer.get(), carried); !status.ok()) return status;
    const absl::StatusOr<v1::ExportChunk> after = ExportOf(*(*other)->store);
    if (!after.ok()) return after.status();
    if (SerializeDeterministically(*after) == bytes) return "";
    for (const std::string& found :
         {FirstDifference("events", before->events(), after->events()),
          FirstDifference("seen", before->seen(), after->seen()),
          FirstDifference("sequences", before->sequences(), after->sequences()),
          FirstDifference("announcements", before->announcements(), after->announcements())}) {
      if (!found.empty()) return found;
    }
    return absl::StrCat("revision ", before->revision(), " at ", FormatRfc3339(FromProto(before->policy_time())),
                        " became revision ", after->revision(), " at ", FormatRfc3339(FromProto(after->policy_time())));
  }();
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return difference;
}

absl::StatusOr<Decision> Simulation::Check(const CheckInput& input) {
  if (absl::Status status = Engine::Validate(input); !status.ok()) return status;
  const Moment now = Now();
  absl::StatusOr<Decision> asked = options_.ask ? options_.ask(node_->engine.get(), node_->policy_clock.get(), input)
                                                : node_->engine->Check(input, now);
  if (!asked.ok()) return asked.status();
  Decision decision = *std::move(asked);
  metrics_.OnDecision(input, decision, now);
  if (options_.log_decisions) log_.OnDecision(input, decision, now);
  return decision;
}

absl::StatusOr<Decision> Simulation::Explain(const CheckInput& input, std::vector<ExplainStep>* steps) const {
  if (absl::Status status = Engine::Validate(input); !status.ok()) return status;
  return node_->engine->Explain(input, Now(), steps);
}

absl::Status Simulation::Report(const UsageInput& usage) { return node_->engine->Report("", {usage}, Now()); }

absl::Status Simulation::QueryLog(const v1::LogQuery& query,
                                  const std::function<bool(const v1::DecisionRecord&)>& visit) const {
  LogCursor cursor;
  return log_.Query(query, &cursor, visit);
}

std::string SerializeDeterministically(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace sluice
