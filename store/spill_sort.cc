#include "store/spill_sort.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/lmdb_table.h"

namespace sluice {
namespace {

constexpr size_t kNameBytes = 16, kHeadBytes = kNameBytes + 4;

absl::string_view NameAt(const char* record) { return {record, kNameBytes}; }
absl::string_view ValueAt(const char* record) {
  uint32_t bytes;
  std::memcpy(&bytes, record + kNameBytes, sizeof(bytes));
  return {record + kHeadBytes, bytes};
}

}  // namespace

SpillSort::~SpillSort() {
  if (file_ >= 0) close(file_);
}

int SpillSort::Add(absl::string_view name, absl::string_view value) {
  // A flag's record takes some 70 bytes and an entry 24. What is reserved and not written to is no memory yet.
  const size_t records_max = memory_bytes_max_ / 16 * 11, entries_max = memory_bytes_max_ / 4 / sizeof(Entry);
  records_.reserve(records_max);
  entries_.reserve(entries_max);
  const bool fits = records_.size() + kHeadBytes + value.size() <= records_max && entries_.size() < entries_max;
  if (!fits && !entries_.empty()) {
    if (const int error = Spill(); error != 0) return error;
  }
  entries_.push_back({ReadBigEndian(name), ReadBigEndian(name.substr(8)), records_.size()});
  const auto bytes = static_cast<uint32_t>(value.size());
  char size[sizeof(bytes)];
  std::memcpy(size, &bytes, sizeof(bytes));
  for (const absl::string_view part : {name, absl::string_view(size, sizeof(size)), value}) {
    records_.insert(records_.end(), part.begin(), part.end());
  }
  return 0;
}

void SpillSort::SortEntries() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.first, a.second, a.at) < std::tie(b.first, b.second, b.at);
  });
}

int SpillSort::Spill() {
  if (file_ < 0) {
    // One process has the folder, so the name is free; one that died between the two calls left it empty.
    const std::string path = absl::StrCat(folder_, "/sort.tmp");
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file_ < 0) return errno;
    if (unlink(path.c_str()) != 0) return errno;
  }
  SortEntries();
  const uint64_t start = file_bytes_;
  const size_t writing_max = memory_bytes_max_ / 16;
  writing_.reserve(writing_max);
  for (const Entry& entry : entries_) {
    const char* const record = records_.data() + entry.at;
    const size_t bytes = kHeadBytes + ValueAt(record).size();
    if (!writing_.empty() && writing_.size() + bytes > writing_max) {
      if (const int error = Write(); error != 0) return error;
    }
    writing_.insert(writing_.end(), record, record + bytes);
  }
  const int error = Write();
  runs_.push_back({start, file_bytes_, {}, 0, {}, {}});
  records_.clear();
  entries_.clear();
  return error;
}

int SpillSort::Write() {
  for (size_t done = 0; done < writing_.size();) {
    const ssize_t written =
        pwrite(file_, writing_.data() + done, writing_.size() - done, static_cast<off_t>(file_bytes_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    done += static_cast<size_t>(written);
    file_bytes_ += static_cast<uint64_t>(written);
  }
  writing_.clear();
  return 0;
}

int SpillSort::ForEach(Visit visit) {
  std::string name, joined;
  const auto join = [&](absl::string_view next, absl::string_view value) {
    int error = 0;
    if (next != name) {
      if (!name.empty()) error = visit(name, joined);
      name.assign(next.data(), next.size());
      joined.clear();
    }
    joined.append(value.data(), value.size());
    return error;
  };
  int error = 0;
  if (runs_.empty()) {
    SortEntries();
    for (const Entry& entry : entries_) {
      const char* const record = records_.data() + entry.at;
      if (error = join(NameAt(record), ValueAt(record)); error != 0) return error;
    }
  } else {
    error = Merge(join);
  }
  return error == 0 && !name.empty() ? visit(name, joined) : error;
}

int SpillSort::Merge(Visit visit) {
  if (const int error = Spill(); error != 0) return error;
  Bytes().swap(records_);
  std::vector<Entry>().swap(entries_);
  Bytes().swap(writing_);
  // Of two runs with the same name the one that was added first.
  const auto later = [](const Run* a, const Run* b) { return std::tie(a->name, a) > std::tie(b->name, b); };
  std::vector<Run*> heap;
  for (Run& run : runs_) {
    if (const int error = ReadNext(&run); error != 0) return error;
    heap.push_back(&run);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    Run* const run = heap.back();
    if (const int error = visit(run->name, run->value); error != 0) return error;
    if (IsAtEnd(*run)) {
      heap.pop_back();
      continue;
    }
    if (const int error = ReadNext(run); error != 0) return error;
    std::push_heap(heap.begin(), heap.end(), later);
  }
  return 0;
}

int SpillSort::ReadNext(Run* run) const {
  if (const int error = Fill(kHeadBytes, run); error != 0) return error;
  const size_t bytes = kHeadBytes + ValueAt(run->buffer.data() + run->taken).size();
  if (const int error = Fill(bytes, run); error != 0) return error;
  const char* const record = run->buffer.data() + run->taken;
  run->name = NameAt(record);
  run->value = ValueAt(record);
  run->taken += bytes;
  return 0;
}

// Makes the next `bytes` of a run lie in its buffer. REQUIRES: it has as many.
int SpillSort::Fill(size_t bytes, Run* run) const {
  if (run->buffer.size() - run->taken >= bytes) return 0;
  run->buffer.erase(run->buffer.begin(), run->buffer.begin() + static_cast<ptrdiff_t>(run->taken));
  run->taken = 0;
  const size_t before = run->buffer.size();
  const size_t want = std::max(bytes, memory_bytes_max_ / runs_.size());
  run->buffer.resize(before + static_cast<size_t>(std::min<uint64_t>(want - before, run->end - run->at)));
  for (size_t at = before; at < run->buffer.size();) {
    const ssize_t got = pread(file_, &run->buffer[at], run->buffer.size() - at, static_cast<off_t>(run->at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : EIO;
    at += static_cast<size_t>(got);
    run->at += static_cast<uint64_t>(got);
  }
  return 0;
}

size_t SpillSort::memory_bytes() const {
  size_t bytes = records_.capacity() + entries_.capacity() * sizeof(Entry) + writing_.capacity();
  for (const Run& run : runs_) bytes += run.buffer.capacity();
  return bytes;
}

}  // namespace sluice
