// watch, export, import: announcements as they come, and the policy as a whole.
#include <unistd.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/export_file.h"
#include "client/progress.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

Color ColorOf(v1::AnnouncementKind kind) {
  switch (kind) {
    case v1::ANNOUNCEMENT_KIND_RECLAIM_CANCELLED:
      return Color::kGreen;
    case v1::ANNOUNCEMENT_KIND_EVENT_REJECTED:
    case v1::ANNOUNCEMENT_KIND_DELETE_REQUESTED:
      return Color::kRed;
    default:
      return Color::kYellow;
  }
}

int RunWatch(const Session& session, int64_t from_revision, int64_t count) {
  v1::WatchRequest request;
  request.set_from_revision(from_revision);
  int64_t seen = 0;
  const absl::Status status = session.Admin().Watch(request, [&](const v1::Announcement& announcement) {
    if (session.output != Session::Output::kTable) {
      session.PrintItem(announcement);
    } else {
      // One at a time as they come, so no table could know its widths.
      const std::string kind = ShortEnumName(v1::AnnouncementKind_descriptor(), announcement.kind());
      *session.out << TimeText(announcement.at()) << "  " << announcement.revision() << "  "
                   << Paint(kind, ColorOf(announcement.kind()), session.colored) << "  "
                   << Printable(SubjectText(announcement.subject()));
      if (!announcement.clause().empty()) *session.out << "  " << Printable(announcement.clause());
      if (!announcement.detail().empty()) *session.out << "  " << Printable(announcement.detail());
      *session.out << std::endl;
    }
    return session.out->good() && (count == 0 || ++seen < count);
  });
  return status.ok() ? kExitOk : session.Fail(status);
}

int RunExport(const Session& session, const std::string& file) {
  // With -o json or yaml the policy comes in a form for reading, one chunk a document; Import takes the binary form
  // alone.
  if (session.output != Session::Output::kTable) {
    if (file != "-") return session.UsageError("-o json and yaml write to standard output: leave FILE away");
    const absl::Status status = session.Admin().Export([&](const v1::ExportChunk& chunk) {
      session.PrintItem(chunk);
      return absl::OkStatus();
    });
    return status.ok() ? kExitOk : session.Fail(status);
  }
  if (file == "-" && isatty(STDOUT_FILENO) == 1) {
    return session.UsageError("an export is binary: name a FILE, send it to a pipe, or read it with -o yaml");
  }
  std::unique_ptr<ExportWriter> writer;
  int64_t events = 0;
  int64_t revision = 0;
  absl::Status status;
  {
    Progress progress(stderr, "exporting", 0, Progress::Unit::kBytes);
    status = session.Admin().Export([&](const v1::ExportChunk& chunk) {
      // Created with the first chunk: where no server answers, no file is touched.
      if (writer == nullptr) {
        absl::StatusOr<std::unique_ptr<ExportWriter>> created = ExportWriter::Create(file);
        if (!created.ok()) return created.status();
        writer = *std::move(created);
      }
      events += chunk.events_size();
      revision = chunk.revision();
      const absl::Status written = writer->Write(chunk);
      progress.Update(writer->bytes());
      return written;
    });
    if (status.ok() && writer == nullptr) {
      absl::StatusOr<std::unique_ptr<ExportWriter>> created = ExportWriter::Create(file);  // of a node without policy
      if (created.ok()) writer = *std::move(created);
      status = created.status();
    }
    if (status.ok()) status = writer->Finish();
  }
  if (!status.ok()) return session.Fail(status);
  std::ostream& out = file == "-" ? *session.err : *session.out;
  out << "exported " << WithCommas(events) << " events, revision " << revision << ", " << HumanBytes(writer->bytes())
      << (file == "-" ? "" : absl::StrCat(", to ", file)) << "\n";
  return kExitOk;
}

int RunImport(const Session& session, const std::string& file) {
  absl::StatusOr<std::unique_ptr<ExportReader>> reader = ExportReader::Open(file);
  if (!reader.ok()) return session.Fail(reader.status());
  absl::StatusOr<v1::ImportResponse> response = absl::UnknownError("");
  {
    Progress progress(stderr, "importing", (*reader)->bytes_total(), Progress::Unit::kBytes);
    response = session.Admin().Import([&](v1::ExportChunk* chunk) {
      absl::StatusOr<bool> more = (*reader)->Next(chunk);
      progress.Update((*reader)->bytes_read());
      return more;
    });
  }
  if (!response.ok()) return session.Fail(response.status());
  if (session.output != Session::Output::kTable) {
    session.Print(*response);
  } else {
    *session.out << "imported " << WithCommas(response->events()) << " events, revision " << response->revision()
                 << "\n";
  }
  return kExitOk;
}

}  // namespace

void AddStreamCommands(CLI::App* app, Session* session) {
  auto from = std::make_shared<int64_t>(0);
  auto count = std::make_shared<int64_t>(0);
  CLI::App* command = AddCommand(
      app, session, "watch", "Print announcements as they come: accounts that may be reclaimed, deletions, rejections.",
      "sluicectl watch --from 1 -o json", [=] { return RunWatch(*session, *from, *count); });
  command->add_option("--from", *from, "from this revision on; 0: all that there are, then as they come")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--count", *count, "end after so many; 0: never")->check(CLI::NonNegativeNumber);

  auto export_file = std::make_shared<std::string>("-");
  command = AddCommand(app, session, "export", "Save the whole policy: one consistent snapshot.",
                       "sluicectl export policy.export", [=] { return RunExport(*session, *export_file); });
  command->add_option("FILE", *export_file, "where to; - or none: standard output");

  auto import_file = std::make_shared<std::string>();
  command = AddCommand(app, session, "import", "Load an export into a server that has no policy yet. All or nothing.",
                       "sluicectl import policy.export", [=] { return RunImport(*session, *import_file); });
  command->add_option("FILE", *import_file, "what `sluicectl export` wrote; - for standard input")->required();
}

}  // namespace sluice
