#include "store/page_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// Of a page: its header, and what its flags say.
constexpr size_t kHeaderBytes = 16;
constexpr uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMeta = 0x08;
constexpr uint16_t kKindMask = 0x2F;  // with the two kinds of pages for duplicates, which this store has none of
// Of a node.
constexpr size_t kNodeBytes = 8;
constexpr uint16_t kBigData = 0x01, kSubTable = 0x02;

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kVersionMask = 0x7FFFFFFF;
constexpr uint64_t kNoPage = ~uint64_t{0};
constexpr uint64_t kMetaPages = 2;
constexpr int kDepthMax = 32;  // LMDB's own bound on its cursors
constexpr size_t kPageBytesMin = 256, kPageBytesMax = 65536;

// As it is on the disk, of a table.
struct Table {
  uint32_t page_bytes;
  uint16_t flags;
  uint16_t depth;
  uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
static_assert(sizeof(Table) == 48);
struct Meta {
  uint32_t magic, version;
  uint64_t address, map_bytes;
  Table free, main;
  uint64_t last_page, transaction;
};
static_assert(sizeof(Meta) == 136);

template <typename Value>
Value Read(const char* bytes) {
  Value value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

class Walk {
 public:
  explicit Walk(int file) : file_(file) {}

  absl::StatusOr<PageCounts> Run(absl::optional<uint64_t> transaction) {
    if (absl::Status status = ReadMeta(transaction); !status.ok()) return status;
    seen_.assign(meta_.last_page + 1, false);
    for (uint64_t page = 0; page < kMetaPages; ++page) seen_[page] = true;
    counts_.used = kMetaPages;
    // Free pages are numbers in the values of the first table; looked at last, when all used ones are known.
    if (absl::Status status = WalkTable(meta_.free, "the list of free pages", &free_lists_); !status.ok())
      return status;
    if (absl::Status status = WalkTable(meta_.main, "the main table", nullptr); !status.ok()) return status;
    if (absl::Status status = CheckFree(); !status.ok()) return status;
    counts_.page_bytes = page_bytes_;
    counts_.pages = meta_.last_page + 1;
    counts_.transaction = meta_.transaction;
    return counts_;
  }

 private:
  // One table on its way down, and what was found of it.
  struct Found {
    uint64_t branch_pages = 0, leaf_pages = 0, overflow_pages = 0, entries = 0;
    std::string last_key;
    bool any = false;
  };

  absl::Status Damaged(uint64_t page, absl::string_view what) const {
    return absl::DataLossError(absl::StrCat("page ", page, " of data.mdb: ", what));
  }

  absl::Status ReadAt(uint64_t page, size_t bytes, std::string* to) const {
    to->resize(bytes);
    size_t done = 0;
    while (done < bytes) {
      const ssize_t got = pread(file_, to->data() + done, bytes - done, static_cast<off_t>(page * page_bytes_ + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("page ", page, " of data.mdb: reading"));
      if (got == 0) return Damaged(page, "wanted it, and the file ends before it does");
      done += static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }

  absl::Status ReadMeta(absl::optional<uint64_t> transaction) {
    std::string bytes;
    page_bytes_ = 4096;
    bool found = false;
    for (uint64_t page = 0; page < kMetaPages; ++page) {
      if (absl::Status status = ReadAt(page, kHeaderBytes + sizeof(Meta), &bytes); !status.ok()) return status;
      const auto meta = Read<Meta>(bytes.data() + kHeaderBytes);
      const uint16_t flags = Read<uint16_t>(bytes.data() + 10);
      if ((flags & kMeta) == 0 || meta.magic != kMagic || (meta.version & kVersionMask) != 1) {
        return Damaged(page, "wanted a root page of LMDB, got something else");
      }
      const size_t size = meta.free.page_bytes;
      if (size < kPageBytesMin || size > kPageBytesMax || (size & (size - 1)) != 0) {
        return Damaged(page, absl::StrCat("wanted a page size, got ", size));
      }
      page_bytes_ = size;  // where the second one is, too
      if (transaction ? meta.transaction != *transaction : found && meta.transaction < meta_.transaction) continue;
      meta_ = meta;
      found = true;
    }
    if (!found) return absl::AbortedError(absl::StrCat("state ", *transaction, " is no longer in the file"));
    struct stat info;
    if (fstat(file_, &info) != 0) return absl::ErrnoToStatus(errno, "looking at data.mdb");
    if (meta_.last_page < 1 || meta_.last_page > meta_.map_bytes / page_bytes_) {
      return Damaged(meta_.transaction & 1, absl::StrCat("wanted a last page within the map, got ", meta_.last_page));
    }
    // Before memory is taken for so many. One that is used and not there is missed when it is read.
    const uint64_t got = static_cast<uint64_t>(info.st_size) / page_bytes_;
    if (IsCutShort(meta_.last_page + 1, got)) {
      return Damaged(meta_.transaction & 1,
                     absl::StrCat("says that there are ", meta_.last_page + 1, " pages, got ", got));
    }
    return absl::OkStatus();
  }

  absl::Status Take(uint64_t from, uint64_t page) {
    if (page < kMetaPages || page > meta_.last_page) {
      return Damaged(from, absl::StrCat("points to page ", page, ", wanted one from 2 to ", meta_.last_page));
    }
    if (seen_[page]) return Damaged(page, absl::StrCat("used twice, by page ", from, " too"));
    seen_[page] = true;
    ++counts_.used;
    return absl::OkStatus();
  }

  absl::Status WalkTable(const Table& table, absl::string_view name, std::vector<std::string>* values) {
    if (table.root == kNoPage) {
      return table.entries == 0 ? absl::OkStatus()
                                : absl::DataLossError(absl::StrCat("data.mdb: ", name, " has entries and no pages"));
    }
    if (table.depth == 0 || table.depth > kDepthMax) {
      return absl::DataLossError(absl::StrCat("data.mdb: ", name, " is ", table.depth, " pages deep"));
    }
    // Keys of the list of free pages are numbers in the machine's own order; they are not compared.
    Found found;
    if (absl::Status status = WalkPage(table.root, table.root, table.depth, values, &found); !status.ok())
      return status;
    if (found.branch_pages != table.branch_pages || found.leaf_pages != table.leaf_pages ||
        found.overflow_pages != table.overflow_pages || found.entries != table.entries) {
      return absl::DataLossError(absl::StrCat(
          "data.mdb: ", name, ": wanted ", table.branch_pages, " branch, ", table.leaf_pages, " leaf and ",
          table.overflow_pages, " overflow pages with ", table.entries, " entries, got ", found.branch_pages, ", ",
          found.leaf_pages, " and ", found.overflow_pages, " with ", found.entries));
    }
    return absl::OkStatus();
  }

  absl::Status WalkPage(uint64_t from, uint64_t page, int depth, std::vector<std::string>* values, Found* found) {
    if (absl::Status status = Take(from, page); !status.ok()) return status;
    std::string bytes;
    if (absl::Status status = ReadAt(page, page_bytes_, &bytes); !status.ok()) return status;
    if (const auto number = Read<uint64_t>(bytes.data()); number != page) {
      return Damaged(page, absl::StrCat("says that it is page ", number));
    }
    const auto flags = Read<uint16_t>(bytes.data() + 10);
    const uint16_t wanted = depth > 1 ? kBranch : kLeaf;
    if ((flags & kKindMask) != wanted) {
      return Damaged(page, absl::StrCat("wanted a ", depth > 1 ? "branch" : "leaf", ", got flags ", flags));
    }
    const auto lower = Read<uint16_t>(bytes.data() + 12);
    const size_t upper = Read<uint16_t>(bytes.data() + 14);
    if (lower < kHeaderBytes || lower % 2 != 0 || lower > upper || upper > page_bytes_) {
      return Damaged(page, absl::StrCat("wanted bounds of its nodes, got ", lower, " and ", upper));
    }
    const size_t nodes = (lower - kHeaderBytes) / 2;
    if (nodes == 0) return Damaged(page, "is empty");
    ++(depth > 1 ? found->branch_pages : found->leaf_pages);
    for (size_t i = 0; i < nodes; ++i) {
      const size_t at = Read<uint16_t>(bytes.data() + kHeaderBytes + 2 * i);
      const absl::Status status = at < upper || at + kNodeBytes > page_bytes_
                                      ? Damaged(page, absl::StrCat("node ", i, " is at ", at, ", outside of the page"))
                                  : depth > 1 ? WalkBranch(page, bytes, at, depth, values, found)
                                              : WalkLeaf(page, bytes, at, values, found);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status WalkBranch(uint64_t page, const std::string& bytes, size_t at, int depth,
                          std::vector<std::string>* values, Found* found) {
    const auto low = Read<uint16_t>(bytes.data() + at), high = Read<uint16_t>(bytes.data() + at + 2),
               top = Read<uint16_t>(bytes.data() + at + 4), key = Read<uint16_t>(bytes.data() + at + 6);
    if (at + kNodeBytes + key > page_bytes_) return Damaged(page, "a key reaches beyond the page");
    const uint64_t child = low | uint64_t{high} << 16 | uint64_t{top} << 32;
    return WalkPage(page, child, depth - 1, values, found);
  }

  absl::Status WalkLeaf(uint64_t page, const std::string& bytes, size_t at, std::vector<std::string>* values,
                        Found* found) {
    const auto low = Read<uint16_t>(bytes.data() + at), high = Read<uint16_t>(bytes.data() + at + 2),
               flags = Read<uint16_t>(bytes.data() + at + 4), key_bytes = Read<uint16_t>(bytes.data() + at + 6);
    const size_t value_bytes = low | size_t{high} << 16;
    const size_t value_at = at + kNodeBytes + key_bytes;
    const bool big = (flags & kBigData) != 0;
    if (value_at + (big ? sizeof(uint64_t) : value_bytes) > page_bytes_) {
      return Damaged(page, "an entry reaches beyond the page");
    }
    ++found->entries;
    const bool list = values != nullptr;
    std::string key = bytes.substr(at + kNodeBytes, key_bytes);
    if (!list && found->any && key <= found->last_key) return Damaged(page, "its keys are not in order");
    found->last_key = std::move(key);
    found->any = true;
    std::string big_value;
    if (big) {
      const auto first = Read<uint64_t>(bytes.data() + value_at);
      if (absl::Status status = WalkOverflow(page, first, value_bytes, found, list ? &big_value : nullptr);
          !status.ok()) {
        return status;
      }
    }
    if (list) values->push_back(big ? std::move(big_value) : bytes.substr(value_at, value_bytes));
    if ((flags & kSubTable) == 0) return absl::OkStatus();
    if (big || value_bytes != sizeof(Table)) return Damaged(page, "wanted a table, got another value");
    return WalkTable(Read<Table>(bytes.data() + value_at), absl::StrCat("table ", found->last_key), nullptr);
  }

  absl::Status WalkOverflow(uint64_t page, uint64_t first, size_t value_bytes, Found* found, std::string* value) {
    std::string header;
    if (first < kMetaPages || first > meta_.last_page) return Take(page, first);  // which says so
    if (absl::Status status = ReadAt(first, kHeaderBytes, &header); !status.ok()) return status;
    const auto number = Read<uint64_t>(header.data());
    const auto flags = Read<uint16_t>(header.data() + 10);
    const auto count = Read<uint32_t>(header.data() + 12);
    const uint64_t wanted = (kHeaderBytes - 1 + value_bytes) / page_bytes_ + 1;
    if (number != first || (flags & kKindMask) != kOverflow || count != wanted) {
      return Damaged(first, absl::StrCat("wanted ", wanted, " overflow pages for ", value_bytes, " bytes, got page ",
                                         number, " with flags ", flags, " and ", count));
    }
    for (uint64_t i = 0; i < count; ++i) {
      if (absl::Status status = Take(page, first + i); !status.ok()) return status;
    }
    found->overflow_pages += count;
    // The last byte, so that a file that was cut short is found out.
    std::string bytes;
    if (absl::Status status = ReadAt(first + count - 1, 1, &bytes); !status.ok()) return status;
    if (value == nullptr) return absl::OkStatus();
    if (absl::Status status = ReadAt(first, kHeaderBytes + value_bytes, &bytes); !status.ok()) return status;
    *value = bytes.substr(kHeaderBytes);
    return absl::OkStatus();
  }

  absl::Status CheckFree() {
    for (const std::string& list : free_lists_) {
      const uint64_t count = list.size() < 8 ? kNoPage : Read<uint64_t>(list.data());
      if (count > list.size() / 8 || list.size() < 8 * (count + 1)) {
        return absl::DataLossError("data.mdb: the list of free pages has an entry of another size than it says");
      }
      for (uint64_t i = 1; i <= count; ++i) {
        const auto page = Read<uint64_t>(list.data() + 8 * i);
        if (page < kMetaPages || page > meta_.last_page) {
          return absl::DataLossError(absl::StrCat(
              "data.mdb: page ", page, " is on the list of free pages, wanted one from 2 to ", meta_.last_page));
        }
        if (seen_[page]) return Damaged(page, "is in use, and on the list of free pages");
        seen_[page] = true;
        ++counts_.free;
      }
    }
    return absl::OkStatus();
  }

  const int file_;
  size_t page_bytes_ = 0;
  Meta meta_{};
  std::vector<bool> seen_;
  std::vector<std::string> free_lists_;
  PageCounts counts_;
};

}  // namespace

bool IsCutShort(uint64_t wanted, uint64_t got) {
  return got < wanted && wanted - got > std::max<uint64_t>(16, wanted / 4);
}

absl::StatusOr<PageCounts> CheckPages(int file, absl::optional<uint64_t> transaction) {
  return Walk(file).Run(transaction);
}

}  // namespace sluice
