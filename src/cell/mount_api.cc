#include "cell/mount_api.hh"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <utility>

namespace insomnia::cell {
namespace {

Result<UniqueFd> new_file_system(char const* type, std::initializer_list<std::pair<char const*, char const*>> options, unsigned attributes) {
  UniqueFd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return fail_errno(std::string("make a ") + type, errno);
  for (auto const& [name, value] : options) {
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, name, value, 0) != 0) return fail_errno(std::string("set ") + name + " of a " + type, errno);
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return fail_errno(std::string("make a ") + type, errno);
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) return fail_errno(std::string("mount a ") + type, errno);
  return mount;
}

}  // namespace

Result<UniqueFd> new_tmpfs(char const* mode) { return new_file_system("tmpfs", {{"mode", mode}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV); }
Result<UniqueFd> new_proc() { return new_file_system("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC); }
Result<UniqueFd> new_devpts() { return new_file_system("devpts", {{"mode", "0620"}, {"ptmxmode", "0666"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC); }

Result<UniqueFd> copy_tree(int directory, std::string const& path) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | (path.empty() ? AT_EMPTY_PATH : 0);
  UniqueFd mount(::open_tree(directory, path.c_str(), flags));
  if (!mount) return fail_errno("copy the mount of " + (path.empty() ? std::string("a directory") : path), errno);
  return mount;
}

Result<void> set_attributes(int mount, uint64_t attributes, bool recursive, std::string const& what) {
  mount_attr wanted{};
  wanted.attr_set = attributes;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (::mount_setattr(mount, "", flags, &wanted, sizeof wanted) != 0) return fail_errno("set the attributes of the mount of " + what, errno);
  return {};
}

Result<void> attach(int mount, int directory, std::string const& path) {
  if (::move_mount(mount, "", directory, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return fail_errno("mount upon " + path, errno);
  return {};
}

}  // namespace insomnia::cell
