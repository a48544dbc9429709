#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

enum class GrepMode { Files, Content, Count };

struct GrepInput {
  std::string pattern;
  std::string path;  ///< empty: the working directory
  std::string glob;
  std::string type;
  GrepMode mode = GrepMode::Files;
  bool line_numbers = true;
  bool ignore_case = false;
  uint64_t before = 0;
  uint64_t after = 0;
  bool multiline = false;
  uint64_t head_limit = 250;  ///< 0: as many as fit
  uint64_t offset = 0;
  friend bool operator==(GrepInput const&, GrepInput const&) = default;
};
Result<GrepInput> parse_grep_input(std::string_view json);

/// Searches the readable text files at or below a path, in the order of their paths.
Result<Output> run_grep(Call& call, GrepInput const& input);

}  // namespace insomnia::tools
