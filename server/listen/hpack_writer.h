// HPACK for the few header blocks that Sluice sends (RFC 7541). Two fields go into the peer's table once, and every
// answer after that is a byte or two; all else is a literal that leaves the table alone. No Huffman.
#ifndef SLUICE_SERVER_LISTEN_HPACK_WRITER_H_
#define SLUICE_SERVER_LISTEN_HPACK_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace sluice::http2 {

// Blocks must be appended in the order in which they are sent: the peer's table follows.
class HpackWriter {
 public:
  // The peer's SETTINGS_HEADER_TABLE_SIZE.
  void SetTableSize(uint32_t bytes);

  // Begins a block. What has changed about the table is told first.
  void Begin(std::string* out);
  // Fields, after Begin. `name` in lower case.
  void AppendStatus(int status, std::string* out);
  void AppendField(absl::string_view name, absl::string_view value, std::string* out);
  void AppendGrpcContentType(std::string* out);  // content-type: application/grpc
  void AppendGrpcOk(std::string* out);           // grpc-status: 0

  // The peer has both of our fields, and nothing about its table is to be told: a block of status 200 and content-type
  // is kSettledHead, and one of grpc-status is kSettledTail, and neither changes anything here.
  bool settled() const { return has_grpc_ok_ && wanted_bytes_ >= table_bytes_; }
  static constexpr absl::string_view kSettledHead = "\x88\xbf";
  static constexpr absl::string_view kSettledTail = "\xbe";

 private:
  // Both fields together, as the table counts them: 12 + 16 + 32 and 11 + 1 + 32.
  static constexpr uint32_t kOurFieldsBytes = 104;
  static constexpr uint32_t kDefaultTableBytes = 4096;

  uint32_t table_bytes_ = kDefaultTableBytes;   // as the peer knows it
  uint32_t wanted_bytes_ = kDefaultTableBytes;  // the least that it has asked for since the last block
  bool uses_table_ = true;
  bool has_content_type_ = false;
  bool has_grpc_ok_ = false;
};

}  // namespace sluice::http2

#endif  // SLUICE_SERVER_LISTEN_HPACK_WRITER_H_
