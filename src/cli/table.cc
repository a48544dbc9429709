#include "cli/table.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "cli/output.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kLeastLastColumn = 8;

}  // namespace

std::string format_table(std::vector<std::string> const& header,
                         std::vector<std::vector<std::string>> const& rows, size_t width) {
  std::vector<size_t> widths;
  for (auto const& cell : header) widths.push_back(text::length(cell));
  for (auto const& row : rows) {
    for (size_t i = 0; i < widths.size() && i < row.size(); ++i)
      widths[i] = std::max(widths[i], text::length(row[i]));
  }
  size_t before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
  size_t last = 0;
  if (width > 0) last = std::max(kLeastLastColumn, width > before_last ? width - before_last : 0);

  std::string result;
  auto add = [&](std::vector<std::string> const& row) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      std::string cell = i < row.size() ? row[i] : "";
      if (i + 1 == widths.size()) {
        line += safe_line(cell, last);
      } else {
        line += cell + std::string(widths[i] - text::length(cell) + kGap, ' ');
      }
    }
    while (line.ends_with(' ')) line.pop_back();
    result += line + "\n";
  };
  add(header);
  for (auto const& row : rows) add(row);
  return result;
}

std::string short_number(uint64_t value) {
  if (value < 1'000) return std::to_string(value);
  if (value < 999'950) return fmt::format("{:.1f}k", static_cast<double>(value) / 1e3);
  return fmt::format("{:.1f}M", static_cast<double>(value) / 1e6);
}

std::string short_duration(int64_t ms) {
  ms = std::max<int64_t>(0, ms);
  int64_t seconds = ms / 1'000;
  if (seconds < 60) return fmt::format("{}.{} s", seconds, ms % 1'000 / 100);
  if (seconds < 3'600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{} h {} min", seconds / 3'600, seconds % 3'600 / 60);
  return fmt::format("{} d {} h", seconds / 86'400, seconds % 86'400 / 3'600);
}

}  // namespace insomnia::cli
