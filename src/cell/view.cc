#include "cell/view.hh"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "base/io.hh"
#include "cell/mount_api.hh"
#include "cell/mount_table.hh"

namespace insomnia::cell {
namespace {

using Kind = MountStep::Kind;

constexpr uint64_t kHarmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr uint64_t kReadOnly = kHarmless | MOUNT_ATTR_RDONLY;
/// The view shows nothing of it anyhow.
constexpr char kHidden[] = "/sys";
constexpr char const* kMaskedInProc[] = {"kcore", "keys", "key-users", "kmsg", "kpagecount", "kpageflags", "timer_list", "sched_debug"};

Result<UniqueFd> open_directory(std::string const& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path, errno);
  return fd;
}

bool is_directory(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

Result<View> View::build(MountPlan const& plan, std::string place) {
  View view(std::move(place));
  TRY(view.build(plan));
  return view;
}

Result<void> View::build(MountPlan const& plan) {
  // A plan that shows the whole machine begins with its root.
  whole_ = !plan.steps.empty() && plan.steps.front().path == "/";
  if (whole_) {
    TRY(mount_step(plan.steps.front()));
  } else {
    UniqueFd root = TRY(new_tmpfs());
    TRY(attach(root.get(), AT_FDCWD, place_));
  }
  root_ = TRY(open_directory(place_));
  TRY(add_hidden());
  TRY(add_dev());
  TRY(add_proc());
  layers_ = ViewLayers(plan.steps);
  for (auto const& step : plan.steps) {
    if (step.path != "/") TRY(mount_step(step));
  }
  TRY(hide());
  TRY(pin(plan.pinned));
  if (!whole_) TRY(set_attributes(root_.get(), kReadOnly, false, place_));
  if (::mount(nullptr, place_.c_str(), nullptr, MS_REC | MS_SHARED, nullptr) != 0) return fail_errno("share " + place_, errno);
  return {};
}

// ---- Single mounts

/// A mount that is nowhere yet. An error also when the host has nothing there any more: the plan is out of date.
Result<UniqueFd> View::mount_for(MountStep const& step) {
  switch (step.kind) {
    case Kind::MaskDirectory: return mask(true);
    case Kind::MaskFile: return mask(false);
    case Kind::Directory:
    case Kind::Symlink: return fail(Code::Internal, "nothing is mounted at " + step.path);
    case Kind::Private:
    case Kind::ReadOnly:
    case Kind::ReadWrite: break;
  }
  UniqueFd host = TRY(open_directory("/"));
  // A directory of the Pod's own may lie behind links; what a scope names has none.
  auto source = step.kind == Kind::Private ? open_directory(step.source) : open_below(host.get(), step.source, step.source);
  if (!source) return source;
  UniqueFd copy = TRY(copy_tree(source->get(), ""));
  TRY(set_attributes(copy.get(), step.kind == Kind::ReadOnly ? kReadOnly : kHarmless, true, step.source));
  return copy;
}

Result<UniqueFd> View::mask(bool directory) {
  UniqueFd copy = TRY(copy_tree(hidden_.get(), directory ? "mask/directory" : "mask/file"));
  TRY(set_attributes(copy.get(), kReadOnly, true, "a mask"));
  return copy;
}

Result<void> View::mount_step(MountStep const& step) {
  std::string path = in_view(step.path);
  if (step.kind == Kind::Directory) return io::make_directories(path, 0755);
  if (step.kind == Kind::Symlink) {
    TRY(io::make_directories(io::parent_path(path), 0755));
    if (::symlink(step.source.c_str(), path.c_str()) != 0 && errno != EEXIST) return fail_errno("link " + step.path, errno);
    return {};
  }
  UniqueFd mount = TRY(mount_for(step));
  if (auto done = put(mount, step.path, is_directory(mount.get())); !done) {
    // Where this user can't make what is to be hidden, no command can either.
    bool is_mask = step.kind == Kind::MaskDirectory || step.kind == Kind::MaskFile;
    int error = done.error().os_errno;
    if (is_mask && (error == EROFS || error == EACCES || error == EPERM)) return {};
    return done;
  }
  layers_.set_mount(step.path, TRY(mount_id(mount.get())));
  return {};
}

/// Puts the mount at a path of the view; makes something to mount upon when there is nothing.
Result<void> View::put(UniqueFd const& mount, std::string const& path, bool directory) {
  if (path == "/") return attach(mount.get(), AT_FDCWD, place_);
  auto target = open_below(root_.get(), path, path);
  if (!target && target.error().os_errno == ENOENT) {
    std::string place = in_view(path);
    TRY(io::make_directories(directory ? place : io::parent_path(place), 0755));
    UniqueFd point(directory ? -1 : ::open(place.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0444));
    if (!directory && !point) return fail_errno("make " + path, errno);
    target = open_below(root_.get(), path, path);
  }
  if (!target) return std::unexpected(target.error());
  return attach_upon(mount.get(), target->get(), path);
}

// ---- What every view has

Result<void> View::add_hidden() {
  UniqueFd tmpfs = TRY(new_tmpfs("0700"));
  for (auto const* name : {"mask", "pins", "cover"}) {
    if (::mkdirat(tmpfs.get(), name, 0700) != 0) return fail_errno("make masks", errno);
  }
  UniqueFd file(::openat(tmpfs.get(), "mask/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
  if (!file || ::mkdirat(tmpfs.get(), "mask/directory", 0555) != 0) return fail_errno("make masks", errno);
  // Mounted, because kernels before 6.15 copy only what is mounted somewhere.
  TRY(io::make_directories(in_view(kHidden), 0755));
  TRY(attach(tmpfs.get(), AT_FDCWD, in_view(kHidden)));
  hidden_ = TRY(open_directory(in_view(kHidden)));
  return {};
}

Result<void> View::hide() {
  UniqueFd mount = TRY(mask(true));
  return attach(mount.get(), AT_FDCWD, in_view(kHidden));
}

Result<void> View::add_dev() {
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

Result<void> View::add_proc() {
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
    std::string path = in_view(std::string("/proc/") + name);
    if (io::exists(path)) TRY(attach(TRY(mask(false)).get(), AT_FDCWD, path));
  }
  proc_ = TRY(open_directory(in_view("/proc")));
  return {};
}

// ---- Pins

/// The kernel refuses to rename or remove a directory upon which something is mounted in the caller's namespace, wherever that mount is seen. So an
/// empty mount is put upon each of these directories in a copy of their tree that nobody sees.
Result<void> View::pin(std::vector<std::string> const& paths) {
  std::vector<std::string> fresh;
  std::set_difference(paths.begin(), paths.end(), pinned_.begin(), pinned_.end(), std::back_inserter(fresh), ByComponents());
  std::map<std::string, std::vector<std::string>> by_mount;  // of the part of the view that they are in
  for (auto const& path : fresh) {
    for (std::string at = path; at != "/";) {
      at = io::parent_path(at);
      auto shown = layers_.shown().find(at);
      if (shown == layers_.shown().end()) continue;
      MountStep const& step = shown->second.step;
      if (step.kind == Kind::ReadWrite || step.kind == Kind::Private) by_mount[at].push_back(path);
      break;
    }
  }
  for (auto const& [top, below] : by_mount) {
    MountStep const& step = layers_.shown().find(top)->second.step;
    UniqueFd tree = TRY(mount_for({Kind::ReadOnly, top, step.source}));
    std::string name = "pins/" + std::to_string(pin_trees_++);
    if (::mkdirat(hidden_.get(), name.c_str(), 0700) != 0) return fail_errno("pin what is in " + top, errno);
    TRY(attach(tree.get(), hidden_.get(), name));
    // The deepest first: a pin hides what lies below it.
    for (auto path = below.rbegin(); path != below.rend(); ++path) {
      auto target = open_below(tree.get(), path->substr(top == "/" ? 0 : top.size()), *path);
      if (!target && (target.error().os_errno == ENOENT || target.error().os_errno == ELOOP)) continue;
      if (!target) return std::unexpected(target.error());
      if (!is_directory(target->get())) continue;
      TRY(attach_upon(TRY(mask(true)).get(), target->get(), *path));
    }
  }
  pinned_ = paths;
  return {};
}

// ---- Changes

Result<void> View::uncover(Uncover const& uncover) {
  auto top = open_below(root_.get(), uncover.path, uncover.path);
  // What covered it was dropped by the kernel, or never was there.
  if (!top || TRY(mount_id(top->get())) != uncover.mount) return {};
  // umount2 takes paths only; this one leads to the mount itself.
  std::string path = "/proc/self/fd/" + std::to_string(top->get());
  if (::umount2(path.c_str(), MNT_DETACH) != 0) return fail_errno("uncover " + uncover.path, errno);
  return {};
}

Result<void> View::cover(Cover const& cover) {
  UniqueFd mount = TRY(mount_for(cover.steps.front()));
  TRY(put(mount, cover.path, is_directory(mount.get())));
  layers_.set_mount(cover.path, TRY(mount_id(mount.get())));
  for (size_t i = 1; i < cover.steps.size(); ++i) TRY(mount_step(cover.steps[i]));
  return {};
}

Result<void> View::change_to(MountPlan const& plan) {
  ViewChange change = TRY(layers_.change_to(plan.steps));
  Result<void> done{};
  for (auto const& each : change.uncover) {
    if (done) done = uncover(each);
  }
  for (auto const& each : change.cover) {
    if (done) done = cover(each);
    if (!done) layers_.forget(each.path);  // another try mounts it again
  }
  if (done) done = pin(plan.pinned);
  return done;
}

bool View::only_uncovers(MountPlan const& plan) const {
  auto change = ViewLayers(layers_).change_to(plan.steps);
  return change && change->cover.empty() && std::includes(pinned_.begin(), pinned_.end(), plan.pinned.begin(), plan.pinned.end(), ByComponents());
}

Result<bool> View::look_for_lost_mounts() {
  std::vector<std::pair<std::string, uint64_t>> lost;
  for (auto const& [path, shown] : layers_.shown()) {
    struct statx info{};
    std::string place = in_view(path);
    bool there = shown.mount == 0 || (::statx(AT_FDCWD, place.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &info) == 0 && info.stx_mnt_id == shown.mount);
    if (!there) lost.emplace_back(path, shown.mount);
  }
  if (lost.empty()) return false;
  auto table = TRY(read_mount_table("/proc/self/mountinfo"));
  for (auto const& [path, number] : lost) {
    // Moved with what it stands upon.
    if (auto mount = table.find(number); mount != table.end() && mount->second.path != in_view(path)) (void)::umount2(mount->second.path.c_str(), MNT_DETACH);
    layers_.forget(path);
  }
  return true;
}

bool View::shows(MountStep const& step) const {
  auto shown = layers_.shown().find(step.path);
  return shown != layers_.shown().end() && shown->second.step == step;
}

Result<void> enter_view(std::string const& place, std::string const& cwd) {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("make a mount namespace", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail_errno("follow the mounts", errno);
  if (::chdir(place.c_str()) != 0) return fail_errno("enter " + place, errno);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("make the view the root", errno);
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("leave the host's tree", errno);
  if (::chdir("/") != 0) return fail_errno("enter /", errno);
  if (::chdir(cwd.c_str()) != 0) return fail_errno("enter " + cwd, errno);
  return {};
}

}  // namespace insomnia::cell
