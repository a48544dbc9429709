#include "cell/holders.hh"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"
#include "cell/mount_table.hh"
#include "scope/scope.hh"

namespace insomnia::cell {
namespace {

constexpr size_t kMostNamed = 5;

/// The names in a directory of /proc that are numbers. Reads on from where the descriptor stands.
std::vector<long> numbers_in(int directory) {
  std::vector<long> result;
  alignas(dirent64) char buffer[8192];
  for (ssize_t size; (size = ::getdents64(directory, buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      auto const* entry = reinterpret_cast<dirent64 const*>(buffer + at);
      at += entry->d_reclen;
      std::string_view text = entry->d_name;
      long number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) result.push_back(number);
    }
  }
  return result;
}

std::vector<long> numbers_in(int directory, std::string const& name) {
  UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd ? numbers_in(fd.get()) : std::vector<long>();
}

std::string read_some(int directory, std::string const& name, size_t limit = 1 << 20) {
  std::string result;
  UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return result;
  char buffer[4096];
  for (ssize_t count; result.size() < limit && (count = ::read(fd.get(), buffer, sizeof buffer)) > 0;) result.append(buffer, static_cast<size_t>(count));
  return result;
}

/// The letter that says what the thread does; '\0' when it is gone.
char state_in(int proc, std::string const& thread) {
  std::string stat = read_some(proc, thread + "/stat", 4096);
  auto end = stat.rfind(')');
  return end == std::string::npos || end + 2 >= stat.size() ? '\0' : stat[end + 2];
}

bool is_still(char state) { return state == 'T' || state == 't' || state == 'Z' || state == 'X' || state == '\0'; }

/// What one read of /proc/PID/status tells (proc_pid_status(5)).
struct Status {
  char state = '\0';  ///< of the first thread; '\0': the process is gone
  long threads = 0;
  bool stop_pending = false;  ///< a SIGSTOP that has not been taken: it had been stopped before that came
};

Status status_of(int proc, std::string const& process) {
  constexpr uint64_t kStopBit = uint64_t{1} << (SIGSTOP - 1);
  constexpr std::string_view kAfterAll = "\nSigBlk:";
  std::string text;
  UniqueFd fd(::openat(proc, (process + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  char buffer[4096];
  // One read is enough for all but users in hundreds of groups.
  for (ssize_t count; text.find(kAfterAll) == std::string::npos && (count = ::read(fd.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(count));
  auto value = [&](std::string_view name) -> char const* {
    auto at = text.find(name);  // a command's name, which comes first, has its newlines escaped
    return at == std::string::npos ? "" : text.c_str() + at + name.size();
  };
  return {.state = *value("\nState:\t"), .threads = std::strtol(value("\nThreads:\t"), nullptr, 10), .stop_pending = (std::strtoull(value("\nShdPnd:\t"), nullptr, 16) & kStopBit) != 0};
}

std::string command_of(int proc, pid_t pid) {
  std::string line = read_some(proc, std::to_string(pid) + "/cmdline", 4096);
  if (line.empty()) return std::string(text::trim(read_some(proc, std::to_string(pid) + "/comm", 64)));
  std::replace(line.begin(), line.end(), '\0', ' ');
  return text::one_line(text::to_utf8(text::trim(line)), 80);
}

/// Of a process: without a list when there is but one.
std::vector<long> threads_of(int proc, std::string const& process) {
  struct stat info{};
  // The directory links to ".", ".." and each thread.
  if (::fstatat(proc, (process + "/task").c_str(), &info, 0) == 0 && info.st_nlink == 3) return {std::strtol(process.c_str(), nullptr, 10)};
  return numbers_in(proc, process + "/task");
}

/// PROCMAP_QUERY of Linux 6.11 (include/uapi/linux/fs.h): asks for the next mapping that is shared and of a file, without the text of all.
struct MapQuery {
  uint64_t size = sizeof(MapQuery);
  uint64_t query_flags = 0x08 | 0x10 | 0x20;  // shared; at or after the address; of a file
  uint64_t query_addr = 0;
  uint64_t vma_start = 0, vma_end = 0, vma_flags = 0, vma_page_size = 0, vma_offset = 0, inode = 0;
  uint32_t dev_major = 0, dev_minor = 0, vma_name_size = 0, build_id_size = 0;
  uint64_t vma_name_addr = 0, build_id_addr = 0;
};
constexpr unsigned long kMapQuery = _IOWR('f', 17, MapQuery);

void pause_us(long us) {
  // Else the kernel wakes us up to 50 µs late.
  int slack = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  timespec pause{.tv_sec = 0, .tv_nsec = us * 1000};
  ::nanosleep(&pause, nullptr);
  if (slack > 0) ::prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
}

/// Looks at one process after the other.
class Search {
 public:
  /// `view_file`: the mounts of the view, below `proc`.
  Search(int proc, std::vector<std::string> const& paths, std::string view_file) : proc_(proc), paths_(paths), view_file_(std::move(view_file)) {
    for (auto const& path : paths_) {
      struct statx info{};
      std::string seen = "1/root" + path;  // this process's own tree is the host's
      if (::statx(proc_, seen.c_str(), AT_SYMLINK_NOFOLLOW, STATX_INO, &info) == 0) devices_.insert({info.stx_dev_major, info.stx_dev_minor});
    }
  }

  void look_at(pid_t pid) {
    std::string process = std::to_string(pid);
    UniqueFd directory(::openat(proc_, process.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return;  // gone
    auto threads = threads_of(proc_, process);
    bool first = true;
    for (long thread : threads) {
      bool own_files = first || differs(pid, thread, KCMP_FILES);
      bool own_places = first || differs(pid, thread, KCMP_FS);
      first = false;
      if (threads.size() == 1) {
        // Every name below /proc that is looked up costs: the shortest way.
        look_at_places(pid, directory.get());
        look_at_files(pid, directory.get());
      } else if (own_places || own_files) {
        UniqueFd at(::openat(directory.get(), ("task/" + std::to_string(thread)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (at && own_places) look_at_places(pid, at.get());
        if (at && own_files) look_at_files(pid, at.get());
      }
    }
    look_at_mappings(pid, directory.get());
  }

  Result<std::vector<Holder>> take() {
    if (failure_) return std::unexpected(*failure_);
    return std::move(found_);
  }

 private:
  bool is_inside(std::string_view path) const {
    return std::any_of(paths_.begin(), paths_.end(), [&](auto const& taken) { return scope::is_below(path, taken); });
  }

  /// Of two threads of a process, here by their numbers in the namespace of the caller.
  static bool differs(pid_t pid, long thread, int what) { return pid != thread && ::syscall(SYS_kcmp, pid, thread, what, 0, 0) != 0; }

  void found(pid_t pid, std::string what, std::string path) { found_.push_back({pid, command_of(proc_, pid), std::move(what), text::to_utf8(path)}); }

  /// `thread`: its directory in /proc, or that of a process that has but one.
  void look_at_places(pid_t pid, int thread) {
    look_at_link(pid, thread, "cwd", "its working directory");
    look_at_link(pid, thread, "root", "its root");
  }

  void look_at_files(pid_t pid, int thread) {
    UniqueFd list(::openat(thread, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!list) return;
    for (long fd : numbers_in(list.get())) {
      std::string number = std::to_string(fd);
      look_at_link(pid, list.get(), number, "descriptor " + number, thread);
    }
  }

  /// `of_thread`: where there is more about a descriptor; -1: it is none.
  void look_at_link(pid_t pid, int directory, std::string const& link, std::string const& what, int of_thread = -1) {
    struct statx info{};
    if (::statx(directory, link.c_str(), AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &info) != 0) return;  // gone, or nothing that has a file
    if (S_ISSOCK(info.stx_mode)) {
      std::string text = of_thread < 0 ? "" : read_some(of_thread, "fdinfo/" + link, 4096);
      auto at = text.find("scm_fds:");
      if (at != std::string::npos && std::strtol(text.c_str() + at + std::strlen("scm_fds:"), nullptr, 10) > 0) {
        found(pid, what + ", a socket with descriptors on their way", "a socket");
      }
      return;
    }
    if (!S_ISDIR(info.stx_mode) && !S_ISREG(info.stx_mode)) return;
    if (is_read_only(info.stx_mnt_id, directory, link)) return;
    std::string path = link_text(directory, link);
    if (view().contains(info.stx_mnt_id)) {
      if (is_inside(without_mark(path))) found(pid, what, path);
      return;
    }
    // Through a mount that the view no longer has: its paths say nothing.
    // What belongs to no mounted file system (memfd, pipes of the kernel) is on no device of the scope either.
    if (devices_.contains({info.stx_dev_major, info.stx_dev_minor})) found(pid, what + ", from before a change of the scope", path);
  }

  /// Most mounts that processes stand on are; they are told without the list of all mounts.
  bool is_read_only(uint64_t mount, int directory, std::string const& link) {
    auto known = read_only_.find(mount);
    if (known != read_only_.end()) return known->second;
    struct statvfs system{};
    UniqueFd file(::openat(directory, link.c_str(), O_PATH | O_CLOEXEC));
    bool read_only = file && ::fstatvfs(file.get(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0;
    if (file) read_only_[mount] = read_only;
    return read_only;
  }

  /// Read when it is needed.
  MountTable const& view() {
    if (!view_) {
      auto table = read_mount_table(proc_, view_file_);
      if (!table) failure_ = table.error();
      view_ = table ? *std::move(table) : MountTable();
    }
    return *view_;
  }

  void look_at_mappings(pid_t pid, int process) {
    bool shared = false;
    for (auto const& path : shared_mappings(process)) shared = shared || is_inside(without_mark(path));
    if (!shared) return;
    // Only this says whether a mapping that is shared may (also later) be written.
    std::string current;
    std::string details = read_some(process, "smaps", 256 << 20);
    for (auto line : text::split(details, '\n')) {
      if (auto mapped = shared_mapping(line)) {
        current = *mapped;
      } else if (line.starts_with("VmFlags:") && !current.empty()) {
        bool may_write = (std::string(line) + " ").find(" mw ") != std::string::npos;
        if (may_write && is_inside(without_mark(current))) found(pid, "a shared mapping", current);
        current.clear();
      }
    }
  }

  static std::vector<std::string> shared_mappings(int process) {
    std::vector<std::string> paths;
    UniqueFd maps(::openat(process, "maps", O_RDONLY | O_CLOEXEC));
    if (!maps) return paths;
    char name[4096];
    MapQuery query;
    query.vma_name_addr = reinterpret_cast<uint64_t>(&name);
    for (;;) {
      query.vma_name_size = sizeof name;
      if (::ioctl(maps.get(), kMapQuery, &query) != 0) break;
      paths.emplace_back(name, query.vma_name_size > 0 ? query.vma_name_size - 1 : 0);
      query.query_addr = query.vma_end;
    }
    if (errno == ENOENT) return paths;  // there is no further one
    paths.clear();
    std::string text = read_some(process, "maps", 64 << 20);
    for (auto line : text::split(text, '\n')) {
      if (auto mapped = shared_mapping(line)) paths.push_back(*std::move(mapped));
    }
    return paths;
  }

  /// The path of a line of maps (proc_pid_maps(5)) that tells of a shared mapping of a file.
  static std::optional<std::string> shared_mapping(std::string_view line) {
    auto blank = line.find(' ');
    if (blank == std::string_view::npos || blank + 5 > line.size() || line[blank + 4] != 's') return std::nullopt;
    auto path = line.find(" /");
    if (path == std::string_view::npos) return std::nullopt;
    return std::string(line.substr(path + 1));
  }

  static std::string link_text(int directory, std::string const& link) {
    char text[4096];
    ssize_t length = ::readlinkat(directory, link.c_str(), text, sizeof text);
    return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
  }

  static std::string_view without_mark(std::string_view path) {
    constexpr std::string_view kMark = " (deleted)";
    if (path.ends_with(kMark)) path.remove_suffix(kMark.size());
    return path;
  }

  int proc_;
  std::vector<std::string> const& paths_;
  std::string view_file_;
  std::optional<MountTable> view_;
  std::map<uint64_t, bool> read_only_;  ///< by mount
  std::optional<Error> failure_;
  std::set<std::pair<uint32_t, uint32_t>> devices_;
  std::vector<Holder> found_;
};

}  // namespace

std::string describe(std::vector<Holder> const& holders) {
  std::string text;
  for (size_t i = 0; i < holders.size() && i < kMostNamed; ++i) {
    auto const& holder = holders[i];
    text += std::string(i == 0 ? "" : "; ") + "process " + std::to_string(holder.pid) + " (" + holder.command + ") has " + holder.path + " (" + holder.what + ")";
  }
  if (holders.size() > kMostNamed) text += "; and " + std::to_string(holders.size() - kMostNamed) + " more";
  return text;
}

Result<Freeze> Freeze::begin(int proc, long limit_ms) {
  SystemClock clock;
  int64_t deadline = clock.steady_ms() + limit_ms;
  pid_t self = static_cast<pid_t>(::syscall(SYS_getpid));
  for (;;) {
    Freeze freeze;
    // One call for all: none forks away meanwhile.
    if (::kill(-1, SIGSTOP) != 0 && errno != ESRCH) return fail_errno("stop the processes of the cell", errno);
    for (long pid : numbers_in(proc, ".")) {
      if (pid != self) freeze.processes_.push_back(static_cast<pid_t>(pid));
    }
    std::vector<pid_t> moving = freeze.processes_;
    // A process in the middle of a vfork stands still only when its child goes on: after a while all go on and are stopped again.
    for (int look = 0; look < 200; ++look) {
      std::erase_if(moving, [&](pid_t pid) { return freeze.stands_still(proc, pid); });
      if (moving.empty()) return freeze;
      pause_us(look < 20 ? 20 : 200);
    }
    pid_t stuck = moving.front();
    std::string command = command_of(proc, stuck);
    if (clock.steady_ms() >= deadline) {
      return fail(Code::Conflict, "process " + std::to_string(stuck) + " (" + command + ") could not be stopped within " + std::to_string(limit_ms) + " ms");
    }
  }
}

bool Freeze::stands_still(int proc, pid_t pid) {
  std::string process = std::to_string(pid);
  Status status = status_of(proc, process);
  bool stopped = status.state == 'T';
  if (status.threads <= 1) {
    if (!is_still(status.state)) return false;
  } else {
    for (long thread : numbers_in(proc, process + "/task")) {
      char state = state_in(proc, process + "/task/" + std::to_string(thread));
      if (!is_still(state)) return false;
      stopped = stopped || state == 'T';
    }
  }
  // One that stands before a tracer goes on with it: a SIGSTOP left behind would stop it for good.
  if (stopped && status.stop_pending) stopped_before_.push_back(pid);
  return true;
}

Freeze::Freeze(Freeze&& other) noexcept
    : active_(std::exchange(other.active_, false)), processes_(std::move(other.processes_)), stopped_before_(std::move(other.stopped_before_)) {}

Freeze::~Freeze() {
  if (!active_) return;
  if (stopped_before_.empty()) {
    ::kill(-1, SIGCONT);
    return;
  }
  for (pid_t pid : processes_) {
    if (std::find(stopped_before_.begin(), stopped_before_.end(), pid) == stopped_before_.end()) ::kill(pid, SIGCONT);
  }
}

Result<std::vector<Holder>> find_holders(int proc, std::vector<pid_t> const& processes, pid_t hands, std::vector<std::string> const& paths) {
  Search search(proc, paths, std::to_string(hands) + "/mountinfo");
  for (pid_t pid : processes) {
    if (pid != hands) search.look_at(pid);
  }
  return search.take();
}

}  // namespace insomnia::cell
