#pragma once

#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

struct GlobInput {
  std::string pattern;
  std::string path;  ///< empty: the working directory
  friend bool operator==(GlobInput const&, GlobInput const&) = default;
};
Result<GlobInput> parse_glob_input(std::string_view json);

/// Lists the readable regular files whose path below the base matches, newest first.
Result<Output> run_glob(Call& call, GlobInput const& input);

}  // namespace insomnia::tools
