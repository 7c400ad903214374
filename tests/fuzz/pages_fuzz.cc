// The file of a store, whatever is in it: its pages are found sound or not, in bounded time.
#include <stdlib.h>

#include "store/page_check.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::MemoryFile file(data, size);
  const auto counts = sluice::CheckPages(file.fd(), absl::nullopt);
  if (counts.ok() && counts->used + counts->free > counts->pages) abort();
  return 0;
}
