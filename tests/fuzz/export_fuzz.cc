// An export file: read to its end, or refused where it is cut or damaged; its events translate.
#include "client/export_file.h"
#include "proto/translate.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::MemoryFile file(data, size);
  auto reader = sluice::ExportReader::Open(file.path());
  if (!reader.ok()) return 0;
  sluice::v1::ExportChunk chunk;
  while (true) {
    const auto more = (*reader)->Next(&chunk);
    if (!more.ok() || !*more) return 0;
    for (const auto& event : chunk.events()) sluice::StampedFromProto(event);
  }
}
