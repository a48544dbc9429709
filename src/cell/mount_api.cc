#include "cell/mount_api.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
  // What is mounted on the host later must not appear in a view, where nothing would have made it read-only.
  if (recursive) wanted.propagation = MS_PRIVATE;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (::mount_setattr(mount, "", flags, &wanted, sizeof wanted) != 0) return fail_errno("set the attributes of the mount of " + what, errno);
  return {};
}

Result<void> attach_upon(int mount, int target, std::string const& what) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) return fail_errno("mount upon " + what, errno);
  return {};
}

Result<UniqueFd> open_below(int root, std::string_view path, std::string const& what) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT;
  while (path.starts_with('/')) path.remove_prefix(1);
  std::string relative = path.empty() ? "." : std::string(path);
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno("look at " + what, errno);
  return fd;
}

Result<uint64_t> mount_id(int fd) {
  struct statx info{};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &info) != 0) return fail_errno("ask for the number of a mount", errno);
  return info.stx_mnt_id;
}

Result<void> attach(int mount, int directory, std::string const& path) {
  if (::move_mount(mount, "", directory, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return fail_errno("mount upon " + path, errno);
  return {};
}

}  // namespace insomnia::cell
