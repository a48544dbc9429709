#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace insomnia::cli {

/// Columns aligned by their widest cell, two spaces between them. The last column is cut to fit `width` (0:
/// no limit), then, if that is not enough, nothing else: names and numbers stay whole. Cells must be single
/// lines. Pure.
std::string format_table(std::vector<std::string> const& header,
                         std::vector<std::vector<std::string>> const& rows, size_t width);

/// "12.3k", "840", "1.2M". Pure.
std::string short_number(uint64_t value);
/// "0.4 s", "12.3 s", "3 min 4 s", "2 h 5 min", "3 d 4 h". Pure.
std::string short_duration(int64_t ms);

}  // namespace insomnia::cli
