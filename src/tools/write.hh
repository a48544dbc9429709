#pragma once

#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

struct WriteInput {
  std::string file_path;
  std::string content;
  friend bool operator==(WriteInput const&, WriteInput const&) = default;
};
Result<WriteInput> parse_write_input(std::string_view json);

/// Creates a file, or replaces one that was read as a whole and has not changed since.
Result<Output> run_write(Call& call, WriteInput const& input);

}  // namespace insomnia::tools
