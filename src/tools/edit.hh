#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

struct EditInput {
  std::string file_path;
  std::string old_string;
  std::string new_string;
  bool replace_all = false;
  friend bool operator==(EditInput const&, EditInput const&) = default;
};
Result<EditInput> parse_edit_input(std::string_view json);

/// Replaces an exact string in a file that was read and has not changed since.
Result<Output> run_edit(Call& call, EditInput const& input);

struct Replaced {
  std::string content;
  uint64_t count = 0;
  size_t first = 0;  ///< where in `content` the first replacement starts
};
/// The literal replacement, without overlaps; count 0 when there is nothing to replace. Without `all` only the first one is
/// made, but all are counted. Pure.
Replaced replace_string(std::string_view content, std::string_view from, std::string_view to, bool all);

/// Numbered lines: the one that byte `at` is in, with three before and after it. Pure.
std::string preview(std::string_view content, size_t at);

}  // namespace insomnia::tools
