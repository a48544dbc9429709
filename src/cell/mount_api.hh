#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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
/// Sets these attributes (MOUNT_ATTR_…) on the mount; with `recursive` on those below it too, and no mount of the host reaches them any more.
Result<void> set_attributes(int mount, uint64_t attributes, bool recursive, std::string const& what);
/// Puts a mount that is nowhere at `path` below `directory`.
Result<void> attach(int mount, int directory, std::string const& path);
/// The same upon what the descriptor `target` stands for; `what` names it in errors.
Result<void> attach_upon(int mount, int target, std::string const& what);

/// What lies at `path` below the directory `root`, for attaching and copying (O_PATH). No symbolic link is followed, and no "..": the error is then
/// ELOOP. `what` names it in errors.
Result<UniqueFd> open_below(int root, std::string_view path, std::string const& what);
/// The kernel's number of the mount that a descriptor was opened through.
Result<uint64_t> mount_id(int fd);

}  // namespace insomnia::cell
