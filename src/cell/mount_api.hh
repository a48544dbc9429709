#pragma once

#include <cstdint>
#include <string>

#include "base/error.hh"
#include "base/unique_fd.hh"

/// The kernel's mount interface by descriptors (Linux 5.12), with errors that name the path.
namespace insomnia::cell {

/// An empty tmpfs that is mounted nowhere yet; `mode`: of its root directory.
Result<UniqueFd> new_tmpfs(char const* mode = "0755");
/// A proc of the caller's pid namespace, mounted nowhere yet.
Result<UniqueFd> new_proc();
/// A devpts of its own, mounted nowhere yet.
Result<UniqueFd> new_devpts();

/// A copy of what is mounted at `path`, below `directory` (AT_FDCWD) or that directory itself when `path` is "": with all mounts below it.
Result<UniqueFd> copy_tree(int directory, std::string const& path);
/// Sets these attributes (MOUNT_ATTR_…) on the mount, `recursive` on those below it too.
Result<void> set_attributes(int mount, uint64_t attributes, bool recursive, std::string const& what);
/// Puts a mount that is nowhere at `path` below `directory`.
Result<void> attach(int mount, int directory, std::string const& path);

}  // namespace insomnia::cell
