// store check, backup, restore: a node's store as a whole, by its folder. No server is asked.
#include <functional>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/progress.h"
#include "proto/translate.h"
#include "store/backup.h"

namespace sluice {
namespace {

int PrintReport(const Session& session, absl::string_view done, const absl::StatusOr<StoreReport>& report) {
  if (!report.ok()) return session.Fail(report.status());
  if (session.output != Session::Output::kTable) {
    // JSON is YAML too.
    *session.out << "{\"revision\": " << report->revision << ", \"entities\": " << report->entities
                 << ", \"events\": " << report->events << ", \"logged\": " << report->logged
                 << ", \"announcements\": " << report->announcements << ", \"event_ids\": " << report->event_ids
                 << ", \"bytes_used\": " << report->bytes_used << ", \"bytes_free\": " << report->bytes_free << "}\n";
    return kExitOk;
  }
  google::protobuf::Timestamp policy_time;
  ToProto(report->policy_time, &policy_time);
  *session.out << done << ": revision " << report->revision << " of "
               << (report->revision == 0 ? "no time yet" : TimeText(policy_time)) << ", "
               << WithCommas(static_cast<int64_t>(report->entities)) << " entities of "
               << WithCommas(static_cast<int64_t>(report->events)) << " events, "
               << WithCommas(static_cast<int64_t>(report->logged)) << " logged, "
               << HumanBytes(static_cast<int64_t>(report->bytes_used)) << " in use, "
               << HumanBytes(static_cast<int64_t>(report->bytes_free)) << " free\n";
  return kExitOk;
}

}  // namespace

void AddStoreCommands(CLI::App* app, Session* session) {
  CLI::App* family = AddFamily(app, "store", "Check a node's store, copy it, bring it back.");
  auto path = std::make_shared<std::string>("/var/lib/sluice");
  auto folder = std::make_shared<std::string>();
  auto replace = std::make_shared<bool>(false);
  const auto add_path = [path](CLI::App* command) {
    command->add_option("--store", *path, "folder of the store, as store.path of the node")->capture_default_str();
  };
  CLI::App* command = AddCommand(family, session, "check",
                                 "Read every page and record of the last committed state; the node may be running.",
                                 "sluicectl store check --store /var/lib/sluice",
                                 [=] { return PrintReport(*session, "sound", CheckStore(*path)); });
  add_path(command);
  command =
      AddCommand(family, session, "backup",
                 "Copy the last committed state, event log included, and check the copy; the node may be running.",
                 "sluicectl store backup /backup/sluice-2026-03-01",
                 [=] { return PrintReport(*session, "backed up", BackUpStore(*path, *folder)); });
  add_path(command);
  command->add_option("FOLDER", *folder, "where to; it is made")->required();
  command = AddCommand(family, session, "restore", "Bring a backup back, after a check; the node must be stopped.",
                       "sluicectl store restore /backup/sluice-2026-03-01",
                       [=] { return PrintReport(*session, "restored", RestoreStore(*folder, *path, *replace)); });
  add_path(command);
  command->add_option("FOLDER", *folder, "what `sluicectl store backup` made")->required();
  command->add_flag("--replace", *replace, "also where there is a store already, which is kept as data.mdb.replaced");
}

}  // namespace sluice
