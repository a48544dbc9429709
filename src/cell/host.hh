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
  Result<std::vector<std::string>> entries(std::string const& path, size_t limit) const override;
  std::string link_text(std::string const& path) const override;
};

/// Directories and links of the system that are there, in a fixed order.
std::vector<std::string> system_paths(FileFacts const& facts);

/// What programs that the user installed below HOME need, by the directories of PATH: those directories, and what belongs to them (toolchains
/// of cargo, nvm and pyenv).
std::vector<std::string> user_programs(Environment const& environment, FileFacts const& facts);

/// What no cell shows: password files, keys of the host, keys and tokens of the user. Only what is there.
std::vector<std::string> secret_paths(Environment const& environment, FileFacts const& facts);

/// Nor where the kernel shows itself (proc, sysfs, control groups and the like), wherever that is mounted: in a root for chroot, say.
std::vector<std::string> kernel_mounts();

/// Nor insomnia's own directories.
std::vector<std::string> own_paths(Paths const& paths);

/// No keys, tokens or sockets of the caller: the part of an environment that the commands of a cell may have. Those in `more` as well.
Environment allowed_environment(Environment const& environment, std::vector<std::string> const& more = {});

}  // namespace insomnia::cell
