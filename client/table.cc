#include "client/table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice {
namespace {

struct Range {
  uint32_t first, last;
};

// Nonspacing and enclosing marks, joiners and variation selectors (Unicode general categories Mn, Me, Cf), as far as
// names in logs bring them.
constexpr Range kZeroWidth[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},
                                {0x064B, 0x065F}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E},
                                {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x202A, 0x202E},
                                {0x2060, 0x2064}, {0x20D0, 0x20F0}, {0x302A, 0x302D}, {0x3099, 0x309A},
                                {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}};
// East Asian Width W and F (Unicode Standard Annex 11).
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x2E80, 0x303E},  {0x3041, 0x4DBF},
                           {0x4E00, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},  {0xF900, 0xFAFF},
                           {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},  {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

template <size_t kSize>
bool In(const Range (&ranges)[kSize], uint32_t rune) {
  const auto* range = std::lower_bound(std::begin(ranges), std::end(ranges), rune,
                                       [](const Range& r, uint32_t value) { return r.last < value; });
  return range != std::end(ranges) && range->first <= rune;
}

// The length of the well-formed UTF-8 sequence at the head of `text`, 0 where there is none; `*rune` is its character.
size_t DecodeRune(absl::string_view text, uint32_t* rune) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) {
    *rune = lead;
    return 1;
  }
  const size_t length = lead >= 0xF0 && lead <= 0xF4  ? 4
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xC2 && lead < 0xE0 ? 2
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t value = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    value = (value << 6) | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
  *rune = value;
  return length;
}

size_t RuneWidth(uint32_t rune) {
  if (In(kZeroWidth, rune)) return 0;
  return In(kWide, rune) ? 2 : 1;
}

}  // namespace

size_t Utf8Length(absl::string_view text) {
  uint32_t rune = 0;
  return text.empty() ? 0 : DecodeRune(text, &rune);
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    uint32_t rune = 0;
    const size_t length = DecodeRune(text, &rune);
    width += length == 0 ? 1 : RuneWidth(rune);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return width;
}

std::string Printable(absl::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    uint32_t rune = 0;
    const size_t length = DecodeRune(text, &rune);
    // C0 and C1 controls, DEL, and the characters that change the direction of what follows.
    const bool control = rune < 0x20 || (rune >= 0x7F && rune < 0xA0) || (rune >= 0x202A && rune <= 0x202E) ||
                         (rune >= 0x2066 && rune <= 0x2069) || rune == 0x2028 || rune == 0x2029;
    const size_t taken = std::max<size_t>(length, 1);
    if (length == 0 || control) {
      for (const char c : text.substr(0, taken)) absl::StrAppendFormat(&result, "\\x%02x", static_cast<uint8_t>(c));
    } else {
      absl::StrAppend(&result, text.substr(0, taken));
    }
    text.remove_prefix(taken);
  }
  return result;
}

std::string Shortened(absl::string_view text, size_t columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  size_t width = 0;
  size_t kept = 0;
  while (kept < text.size()) {
    uint32_t rune = 0;
    const size_t length = DecodeRune(text.substr(kept), &rune);
    const size_t next = length == 0 ? 1 : RuneWidth(rune);
    if (width + next > columns - 1) break;  // one column is the ellipsis's
    width += next;
    kept += std::max<size_t>(length, 1);
  }
  return absl::StrCat(text.substr(0, kept), "…");
}

std::string WithCommas(int64_t number) {
  std::string digits = absl::StrCat(number);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string HumanBytes(int64_t bytes) {
  static constexpr absl::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes > -1024 && bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0.
  while (std::abs(value) >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string Paint(absl::string_view text, Color color, bool colored) {
  static constexpr absl::string_view kCodes[] = {"", "32", "33", "31", "1", "2"};
  if (!colored || color == Color::kNone || text.empty()) return std::string(text);
  return absl::StrCat("\x1b[", kCodes[static_cast<size_t>(color)], "m", text, "\x1b[0m");
}

std::string Table::Render(bool colored, absl::string_view indent) const {
  std::vector<std::vector<Cell>> shown;
  const bool headed =
      std::any_of(columns_.begin(), columns_.end(), [](const Column& column) { return !column.header.empty(); });
  if (headed) {
    std::vector<Cell> header;
    for (const Column& column : columns_) header.emplace_back(column.header, Color::kBold);
    shown.push_back(std::move(header));
  }
  for (const auto& row : rows_) {
    std::vector<Cell> cells;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i >= row.size()) {
        cells.emplace_back("");
        continue;
      }
      std::string text = Printable(row[i].text);
      if (columns_[i].width_max > 0) text = Shortened(text, columns_[i].width_max);
      cells.emplace_back(std::move(text), row[i].color);
    }
    shown.push_back(std::move(cells));
  }
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : shown) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i].text));
  }
  std::string result;
  for (const auto& row : shown) {
    std::string line(indent);
    size_t blanks = 0;  // owed before the next text, so that no line ends in blanks
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t padding = widths[i] - DisplayWidth(row[i].text);
      const bool right = columns_[i].align == Align::kRight;
      if (!row[i].text.empty()) {
        line.append(blanks + (right ? padding : 0), ' ');
        absl::StrAppend(&line, Paint(row[i].text, row[i].color, colored));
        blanks = right ? 0 : padding;
      } else {
        blanks += padding;
      }
      blanks += 2;
    }
    absl::StrAppend(&result, line, "\n");
  }
  return result;
}

}  // namespace sluice
