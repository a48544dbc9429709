#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"
#include "base/paths.hh"
#include "cell/mount_plan.hh"

/// What every cell of this machine has in common.
namespace insomnia::cell {

class HostFacts : public FileFacts {
 public:
  PathKind kind(std::string const& path) const override;
  Result<std::vector<std::string>> subdirectories(std::string const& path) const override;
  std::string link_text(std::string const& path) const override;
};

/// Directories and links of the system that are there, in a fixed order.
std::vector<std::string> system_paths(FileFacts const& facts);

/// What programs that the user installed below HOME need, by the directories of PATH: those directories, and what belongs to them (toolchains
/// of cargo, nvm and pyenv).
std::vector<std::string> user_programs(Environment const& environment, FileFacts const& facts);

/// What no cell shows: password files, keys of the host, keys and tokens of the user, insomnia's own directories. Only what is there.
std::vector<std::string> masked_paths(Environment const& environment, Paths const& paths, FileFacts const& facts);

}  // namespace insomnia::cell
