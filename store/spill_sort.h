// Sorts more than there is memory for: what does not fit goes, sorted, to a file that has no name any more, and is
// merged at the end. Internal to store/.
// Source: docs/decisions/2026-11-27-flags-by-hash.md
#ifndef SLUICE_STORE_SPILL_SORT_H_
#define SLUICE_STORE_SPILL_SORT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Records of a name of sixteen bytes and a value of less than 4 GiB. Nothing is allocated before the first Add. For one
// thread, and one such object at a time in a folder. Blocks on the disk. Results are codes of errno, or of `visit`; 0
// for success. After another one it may only be destroyed.
class SpillSort {
 public:
  // Holds at most `memory_bytes`, and of each run (what was in memory at once) a record that is larger than its share
  // of them. The file lies in `folder`, takes 20 bytes a record beside its value, and is gone with this object or its
  // process.
  SpillSort(absl::string_view folder, size_t memory_bytes) : folder_(folder), memory_bytes_max_(memory_bytes) {}
  ~SpillSort();
  SpillSort(const SpillSort&) = delete;
  SpillSort& operator=(const SpillSort&) = delete;

  // REQUIRES: ForEach was not called.
  int Add(absl::string_view name, absl::string_view value);
  // Each name once, in order, with its values one behind the other as they were added, until `visit` does not return 0.
  // Once only: nothing is left behind it.
  int ForEach(absl::FunctionRef<int(absl::string_view, absl::string_view)> visit);

  // What it holds now, and how much lies in the file.
  size_t memory_bytes() const;
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  using Bytes = std::vector<char>;
  struct Entry {
    uint64_t first, second;  // the name's halves, as numbers that sort as its bytes do
    size_t at;               // of the record in `records_`
  };
  struct Run {
    uint64_t at, end;  // what of the file is not in `buffer` yet
    Bytes buffer;
    size_t taken = 0;  // of `buffer`
    absl::string_view name, value;
  };
  using Visit = absl::FunctionRef<int(absl::string_view, absl::string_view)>;

  void SortEntries();
  int Spill();
  int Write();
  int Merge(Visit visit);
  bool IsAtEnd(const Run& run) const { return run.at == run.end && run.taken == run.buffer.size(); }
  int ReadNext(Run* run) const;
  int Fill(size_t bytes, Run* run) const;

  const std::string folder_;
  const size_t memory_bytes_max_;
  Bytes records_;  // name, size of the value (four bytes), value; one behind the other
  std::vector<Entry> entries_;
  int file_ = -1;
  uint64_t file_bytes_ = 0;
  Bytes writing_;
  std::vector<Run> runs_;
};

}  // namespace sluice

#endif  // SLUICE_STORE_SPILL_SORT_H_
