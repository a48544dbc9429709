#include "cell/view.hh"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <vector>

#include "base/io.hh"
#include "cell/mount_api.hh"

namespace insomnia::cell {
namespace {

constexpr uint64_t kHarmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr char const* kMaskedInProc[] = {"kcore", "keys", "key-users", "kmsg", "kpagecount", "kpageflags", "timer_list", "sched_debug"};
constexpr uint64_t kReadOnly = kHarmless | MOUNT_ATTR_RDONLY;

class Builder {
 public:
  Builder(MountPlan const& plan, std::string view) : plan_(plan), view_(std::move(view)) {}

  Result<void> run() {
    TRY(make_masks());
    for (auto const& path : plan_.placeholders) TRY(io::make_directories(path, 0755));
    UniqueFd root = TRY(new_tmpfs());
    // A plan that shows the whole machine begins with its root.
    bool whole = !plan_.steps.empty() && plan_.steps.front().path == "/";
    if (!whole) TRY(attach(root.get(), AT_FDCWD, view_));
    for (auto const& step : plan_.steps) TRY(add(step));
    TRY(add_dev());
    TRY(add_proc());
    if (!whole) TRY(set_attributes(open_view(), kReadOnly, false, view_));
    if (::mount(nullptr, view_.c_str(), nullptr, MS_REC | MS_SHARED, nullptr) != 0) return fail_errno("share " + view_, errno);
    return {};
  }

 private:
  std::string in_view(std::string const& path) const { return path == "/" ? view_ : view_ + path; }

  int open_view() {
    root_.reset(::open(view_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return root_.get();
  }

  /// One empty tmpfs, copied for every mask, now: kernels before 6.15 copy only what is mounted somewhere.
  Result<void> make_masks() {
    UniqueFd masks = TRY(new_tmpfs());
    UniqueFd file(::openat(masks.get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
    if (!file || ::mkdirat(masks.get(), "directory", 0555) != 0) return fail_errno("make masks", errno);
    file.reset();
    TRY(attach(masks.get(), AT_FDCWD, view_));
    for (auto const& step : plan_.steps) {
      if (step.kind == MountStep::Kind::MaskDirectory) directory_masks_.push_back(TRY(copy_tree(masks.get(), "directory")));
      if (step.kind == MountStep::Kind::MaskFile) file_masks_.push_back(TRY(copy_tree(masks.get(), "file")));
    }
    for (size_t i = 0; i < std::size(kMaskedInProc); ++i) file_masks_.push_back(TRY(copy_tree(masks.get(), "file")));
    if (::umount2(view_.c_str(), MNT_DETACH) != 0) return fail_errno("unmount " + view_, errno);
    return {};
  }

  Result<void> mask(std::vector<UniqueFd>& masks, std::string const& path, bool is_directory) {
    UniqueFd copy = std::move(masks.back());
    masks.pop_back();
    return put(copy, path, kReadOnly, is_directory);
  }

  Result<void> add(MountStep const& step) {
    std::string path = in_view(step.path);
    switch (step.kind) {
      case MountStep::Kind::Directory: return io::make_directories(path, 0755);
      case MountStep::Kind::Symlink:
        TRY(io::make_directories(io::parent_path(path), 0755));
        if (::symlink(step.source.c_str(), path.c_str()) != 0 && errno != EEXIST) return fail_errno("link " + step.path, errno);
        return {};
      case MountStep::Kind::Private: return bind(step.source, path, kHarmless, true);
      case MountStep::Kind::ReadOnly: return bind_host(step.source, path, kReadOnly);
      case MountStep::Kind::ReadWrite: return bind_host(step.source, path, kHarmless);
      case MountStep::Kind::MaskDirectory: return mask(directory_masks_, path, true);
      case MountStep::Kind::MaskFile: return mask(file_masks_, path, false);
    }
    return {};
  }

  Result<void> bind_host(std::string const& source, std::string const& path, uint64_t attributes) {
    struct stat info{};
    if (::lstat(source.c_str(), &info) != 0) return errno == ENOENT ? Result<void>{} : fail_errno("look at " + source, errno);
    return bind(source, path, attributes, S_ISDIR(info.st_mode));
  }

  Result<void> bind(std::string const& source, std::string const& path, uint64_t attributes, bool is_directory) {
    UniqueFd copy = TRY(copy_tree(AT_FDCWD, source));
    return put(copy, path, attributes, is_directory);
  }

  Result<void> put(UniqueFd const& copy, std::string const& path, uint64_t attributes, bool is_directory) {
    TRY(set_attributes(copy.get(), attributes, true, path));
    if (is_directory) {
      TRY(io::make_directories(path, 0755));
    } else if (!io::exists(path)) {
      TRY(io::make_directories(io::parent_path(path), 0755));
      UniqueFd point(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0444));
      if (!point) return fail_errno("make " + path, errno);
    }
    return attach(copy.get(), AT_FDCWD, path);
  }

  Result<void> add_dev() {
    UniqueFd dev = TRY(new_tmpfs());
    TRY(io::make_directories(in_view("/dev"), 0755));
    TRY(attach(dev.get(), AT_FDCWD, in_view("/dev")));
    for (auto const* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
      std::string host = std::string("/dev/") + name;
      if (!io::exists(host)) continue;
      UniqueFd copy = TRY(copy_tree(AT_FDCWD, host));
      UniqueFd point(::openat(dev.get(), name, O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
      if (!point) return fail_errno("make " + host, errno);
      TRY(attach(copy.get(), dev.get(), name));
    }
    for (auto const* name : {"pts", "shm"}) {
      if (::mkdirat(dev.get(), name, 0755) != 0) return fail_errno(std::string("make /dev/") + name, errno);
    }
    TRY(attach(TRY(new_devpts()).get(), dev.get(), "pts"));
    TRY(attach(TRY(new_tmpfs("1777")).get(), dev.get(), "shm"));
    struct Link {
      char const *text, *name;
    };
    for (auto const& [text, name] : {Link{"pts/ptmx", "ptmx"}, Link{"/proc/self/fd", "fd"}, Link{"/proc/self/fd/0", "stdin"},
                                     Link{"/proc/self/fd/1", "stdout"}, Link{"/proc/self/fd/2", "stderr"}}) {
      if (::symlinkat(text, dev.get(), name) != 0) return fail_errno(std::string("link /dev/") + name, errno);
    }
    return set_attributes(dev.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false, "/dev");
  }

  Result<void> add_proc() {
    UniqueFd proc = TRY(new_proc());
    TRY(io::make_directories(in_view("/proc"), 0755));
    TRY(attach(proc.get(), AT_FDCWD, in_view("/proc")));
    // As root these are ways out: core_pattern, modprobe, uevent_helper.
    for (auto const* name : {"sys", "irq", "bus", "fs", "sysrq-trigger", "acpi", "scsi", "driver"}) {
      std::string path = in_view(std::string("/proc/") + name);
      if (!io::exists(path)) continue;
      UniqueFd copy = TRY(copy_tree(AT_FDCWD, path));
      TRY(set_attributes(copy.get(), kReadOnly | MOUNT_ATTR_NOEXEC, true, path));
      TRY(attach(copy.get(), AT_FDCWD, path));
    }
    for (auto const* name : kMaskedInProc) {
      if (std::string path = in_view(std::string("/proc/") + name); io::exists(path)) TRY(mask(file_masks_, path, false));
    }
    return {};
  }

  MountPlan const& plan_;
  std::string const view_;
  UniqueFd root_;
  std::vector<UniqueFd> directory_masks_, file_masks_;
};

}  // namespace

Result<void> build_view(MountPlan const& plan, std::string const& view) { return Builder(plan, view).run(); }

Result<void> enter_view(std::string const& view, std::string const& cwd) {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("make a mount namespace", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail_errno("follow the mounts", errno);
  if (::chdir(view.c_str()) != 0) return fail_errno("enter " + view, errno);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("make the view the root", errno);
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("leave the host's tree", errno);
  if (::chdir("/") != 0) return fail_errno("enter /", errno);
  if (::chdir(cwd.c_str()) != 0) return fail_errno("enter " + cwd, errno);
  return {};
}

}  // namespace insomnia::cell
