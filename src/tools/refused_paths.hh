#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace insomnia::tools {

/// Paths that a command complains of, as it seems from what it printed.
struct RefusedPaths {
  std::vector<std::string> read_only;  ///< "Read-only file system"
  std::vector<std::string> missing;    ///< "No such file or directory"
  std::vector<std::string> denied;     ///< "Permission denied"
  friend bool operator==(RefusedPaths const&, RefusedPaths const&) = default;
};

/// Pure: looks at the last lines of an output in the forms in which shells, coreutils, git, python and node say so. Relative paths are joined to
/// `cwd`, which is a guess; each path once, a few of each kind.
RefusedPaths refused_paths(std::string_view output, std::string const& cwd);

}  // namespace insomnia::tools
