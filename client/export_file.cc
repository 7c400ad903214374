#include "client/export_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr absl::string_view kHeader = "SLUICE-EXPORT 1\n";
constexpr absl::string_view kHeaderOfAnyFormat = "SLUICE-EXPORT ";
// A chunk beyond this is damage, not data: servers send chunks of at most a few MiB.
constexpr uint64_t kChunkBytesMax = uint64_t{64} << 20;

absl::Status FileError(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExportWriter>> ExportWriter::Create(const std::string& path) {
  std::unique_ptr<ExportWriter> writer;
  if (path == "-") {
    writer.reset(new ExportWriter(stdout, "standard output", ""));
  } else {
    const std::string beside = absl::StrCat(path, ".", getpid(), ".part");
    // 0600: an export names accounts and what is held against them.
    const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return FileError("cannot write export", beside);
    std::FILE* file = fdopen(fd, "wb");
    if (file == nullptr) return FileError("cannot write export", beside);
    writer.reset(new ExportWriter(file, path, beside));
  }
  if (absl::Status status = writer->Put(kHeader); !status.ok()) return status;
  return writer;
}

ExportWriter::~ExportWriter() {
  if (file_ == nullptr || written_to_.empty()) return;
  std::fclose(file_);
  unlink(written_to_.c_str());
}

absl::Status ExportWriter::Put(absl::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return FileError("cannot write export", path_);
  bytes_ += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status ExportWriter::Write(const v1::ExportChunk& chunk) {
  if (!chunk.SerializeToString(&buffer_)) return absl::InternalError("a chunk of the export cannot be encoded");
  if (buffer_.empty()) return absl::OkStatus();  // its length would be the end mark
  char head[10];
  size_t length = 0;
  for (uint64_t rest = buffer_.size();; rest >>= 7) {
    head[length++] = static_cast<char>((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
    if (rest <= 0x7F) break;
  }
  if (absl::Status status = Put(absl::string_view(head, length)); !status.ok()) return status;
  return Put(buffer_);
}

absl::Status ExportWriter::Finish() {
  if (absl::Status status = Put(absl::string_view("\0", 1)); !status.ok()) return status;
  if (std::fflush(file_) != 0) return FileError("cannot write export", path_);
  if (written_to_.empty()) return absl::OkStatus();
  if (fsync(fileno(file_)) != 0) return FileError("cannot write export", path_);
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0 || std::rename(written_to_.c_str(), path_.c_str()) != 0) {
    const absl::Status status = FileError("cannot write export", path_);
    unlink(written_to_.c_str());
    return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExportReader>> ExportReader::Open(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return FileError("cannot read export", path);
  auto reader = std::unique_ptr<ExportReader>(new ExportReader(file, path == "-" ? "standard input" : path));
  struct stat status = {};
  if (fstat(fileno(file), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return absl::InvalidArgumentError(absl::StrCat(path, " is a folder; wanted an export"));
    if (S_ISREG(status.st_mode)) reader->bytes_total_ = status.st_size;
  }
  std::string header(kHeader.size(), '\0');
  header.resize(std::fread(header.data(), 1, header.size(), file));
  reader->bytes_ = static_cast<int64_t>(header.size());
  if (header == kHeader) return reader;
  if (absl::StartsWith(header, kHeaderOfAnyFormat)) {
    return absl::InvalidArgumentError(absl::StrCat(reader->path_, ": wanted an export of format 1, got a newer one: \"",
                                                   header.substr(0, header.find('\n')), "\""));
  }
  return absl::InvalidArgumentError(absl::StrCat(reader->path_, " is no export of sluicectl: it does not begin with \"",
                                                 kHeader.substr(0, kHeader.size() - 1), "\""));
}

ExportReader::~ExportReader() {
  if (file_ != stdin) std::fclose(file_);
}

absl::StatusOr<bool> ExportReader::Next(v1::ExportChunk* chunk) {
  const auto damaged = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path_, ": ", what, " at byte ", bytes_));
  };
  uint64_t length = 0;
  for (int shift = 0;; shift += 7) {
    const int byte = std::fgetc(file_);
    if (byte == EOF) return damaged("the export is cut short");
    ++bytes_;
    if (shift > 28) return damaged("the export is damaged");
    length |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) break;
  }
  if (length == 0) {
    if (std::fgetc(file_) != EOF) return damaged("text stands behind the end of the export");
    return false;
  }
  if (length > kChunkBytesMax) return damaged("the export is damaged");
  buffer_.resize(length);
  if (std::fread(buffer_.data(), 1, length, file_) != length) return damaged("the export is cut short");
  if (!chunk->ParseFromString(buffer_)) return damaged("the export is damaged");
  bytes_ += static_cast<int64_t>(length);
  return true;
}

}  // namespace sluice
