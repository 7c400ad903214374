// Tables for people: aligned by what a terminal shows, not by bytes. Chinese, Japanese and Korean characters take two
// columns, combining marks none; control characters and broken UTF-8, which names and logs may bring, are shown
// escaped, so that no text can move the cursor or change colours.
#ifndef SLUICE_CLIENT_TABLE_H_
#define SLUICE_CLIENT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice {

// Columns that `text` takes on a terminal. `text` is UTF-8 without control characters (Printable); a byte that is no
// UTF-8 counts as one column.
size_t DisplayWidth(absl::string_view text);

// The length of the well-formed UTF-8 character at the head of `text`; 0 where there is none.
size_t Utf8Length(absl::string_view text);

// `text` with control characters and bytes that are no UTF-8 as "\xHH".
std::string Printable(absl::string_view text);

// `text`, shortened to `columns` with "…" at its end where it is wider. REQUIRES: columns >= 1.
std::string Shortened(absl::string_view text, size_t columns);

// 1234567 -> "1,234,567".
std::string WithCommas(int64_t number);
// 1536 -> "1.5 KiB".
std::string HumanBytes(int64_t bytes);

enum class Color : uint8_t { kNone, kGreen, kYellow, kRed, kBold, kDim };
// `text` in `color` where `colored`, else as it is.
std::string Paint(absl::string_view text, Color color, bool colored);

struct Cell {
  Cell(absl::string_view text, Color color = Color::kNone) : text(text), color(color) {}       // NOLINT: implicit
  Cell(const char* text, Color color = Color::kNone) : text(text), color(color) {}             // NOLINT: implicit
  Cell(std::string text, Color color = Color::kNone) : text(std::move(text)), color(color) {}  // NOLINT: implicit
  std::string text;
  Color color;
};

class Table {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
    size_t width_max = 0;  // 0 = as wide as its widest cell
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Missing cells are empty; cells beyond the columns are dropped.
  void AddRow(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  size_t size() const { return rows_.size(); }

  // The header, unless every column's is empty, and the rows, each ending in a newline, with two blanks between columns
  // and none at the end of a line. Each line starts with `indent`.
  std::string Render(bool colored, absl::string_view indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_TABLE_H_
