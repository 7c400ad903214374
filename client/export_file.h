// The file that `sluicectl export` writes: a snapshot of a node's whole policy.
//
// The line "SLUICE-EXPORT 1\n", then ExportChunks in order, each behind its length as a varint (Protobuf's usual
// delimited form), then a length of 0. The end mark tells a whole file from one that was cut short between two chunks.
#ifndef SLUICE_CLIENT_EXPORT_FILE_H_
#define SLUICE_CLIENT_EXPORT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sluice/v1/admin.pb.h"

namespace sluice {

// Writes to a new file beside `path`, which takes that name only at Finish: no half-written export is ever there under
// `path`. "-" is standard output. Not thread-safe.
class ExportWriter {
 public:
  static absl::StatusOr<std::unique_ptr<ExportWriter>> Create(const std::string& path);
  ~ExportWriter();  // without Finish: removes what was written
  absl::Status Write(const v1::ExportChunk& chunk);
  // Writes the end mark and makes the file durable.
  absl::Status Finish();
  int64_t bytes() const { return bytes_; }

 private:
  ExportWriter(std::FILE* file, std::string path, std::string written_to)
      : file_(file), path_(std::move(path)), written_to_(std::move(written_to)) {}
  absl::Status Put(absl::string_view bytes);

  std::FILE* file_;
  const std::string path_;
  const std::string written_to_;  // "" = standard output
  std::string buffer_;
  int64_t bytes_ = 0;
};

// Reads such a file. Not thread-safe.
class ExportReader {
 public:
  // "-" is standard input. INVALID_ARGUMENT where the file is no export, or of a newer format.
  static absl::StatusOr<std::unique_ptr<ExportReader>> Open(const std::string& path);
  ~ExportReader();
  // False behind the last chunk. DATA_LOSS where the file is cut short or damaged, with the offset.
  absl::StatusOr<bool> Next(v1::ExportChunk* chunk);
  int64_t bytes_read() const { return bytes_; }
  int64_t bytes_total() const { return bytes_total_; }  // 0 = unknown

 private:
  ExportReader(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}

  std::FILE* const file_;
  const std::string path_;
  std::string buffer_;
  int64_t bytes_ = 0;
  int64_t bytes_total_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_EXPORT_FILE_H_
