#include "registry/liveness.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/text.hh"
#include "registry/file_lock.hh"

namespace insomnia::registry {
namespace {

constexpr size_t kMaxContent = 512;
/// A cell ends within milliseconds, but for processes that the kernel can't stop at once (a dead network file system).
constexpr int64_t kRemainsMs = 6'000;

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

LockHolder parse_content(std::string_view content) {
  auto end = content.find('\n');
  auto words = text::split(content.substr(0, end), ' ');
  if (end == std::string_view::npos || words.size() != 3) return {};
  return {std::string(words[0]), number<pid_t>(words[1]), number<uint64_t>(words[2])};
}

bool is_zombie(pid_t pid) {
  auto stat = io::read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return true;
  size_t end = stat->rfind(") ");
  return end == std::string::npos || (*stat)[end + 2] == 'Z' || (*stat)[end + 2] == 'X';
}

Result<LockHolder> read_content(int fd, std::string const& path) {
  char content[kMaxContent];
  ssize_t size = ::pread(fd, content, sizeof content, 0);
  if (size < 0) return fail_errno("read " + path, errno);
  return parse_content({content, static_cast<size_t>(size)});
}

/// The holder of an open lock file, nothing when it is not locked.
Result<std::optional<LockHolder>> holder_of(int fd, std::string const& path) {
  if (!TRY(is_locked(fd, path))) return std::optional<LockHolder>();
  return TRY(read_content(fd, path));
}

/// New over old and then cut: readers never find the file empty.
Result<void> write_content(int fd, std::string const& path, std::string const& content) {
  ssize_t size = ::pwrite(fd, content.data(), content.size(), 0);
  if (size < 0) return fail_errno("write " + path, errno);
  if (static_cast<size_t>(size) != content.size())
    return fail(Code::NoSpace, "write " + path + ": not all of it was taken");
  if (::ftruncate(fd, size) != 0) return fail_errno("truncate " + path, errno);
  return {};
}

Error held_by(std::string const& path, std::optional<LockHolder> const& holder) {
  std::string who = "another instance";
  if (holder && !holder->instance_id.empty()) {
    who = "instance " + holder->instance_id + ", process " + std::to_string(holder->pid);
  }
  return {Code::AlreadyExists, path + " is held by " + who + "; stop that one first or use another name"};
}

}  // namespace

Result<InstanceLock> InstanceLock::acquire(std::string const& path, std::string const& instance_id) {
  bool has_blank =
      std::any_of(instance_id.begin(), instance_id.end(), [](unsigned char c) { return c <= ' '; });
  if (instance_id.empty() || has_blank || instance_id.size() > 128) {
    return fail(Code::InvalidArgument,
                "lock " + path + ": '" + text::one_line(instance_id, 140) + "' is no instance id");
  }
  TRY(io::make_directories(io::parent_path(path), 0700));
  auto lock = FileLock::try_take(path);
  if (!lock && lock.error().code == Code::Conflict && wait_for_remains(path, kRemainsMs)) lock = FileLock::try_take(path);
  if (!lock && lock.error().code == Code::Conflict) {
    auto holder = lock_holder(path);
    return std::unexpected(held_by(path, holder ? *holder : std::nullopt));
  }
  if (!lock) return std::unexpected(std::move(lock).error());
  std::string start_time = std::to_string(TRY(process_start_time(::getpid())));
  TRY(write_content(lock->fd(), path,
                    instance_id + " " + std::to_string(::getpid()) + " " + start_time + "\n"));
  return InstanceLock(std::move(*lock).release());
}

Result<uint64_t> process_start_time(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  std::string stat = TRY(io::read_file(path, 4096));
  // Field 22; the command before it is in parentheses and may hold anything.
  auto fields = text::split(std::string_view(stat).substr(stat.rfind(')') + 1), ' ');
  // fields[0] is empty, fields[1] is the state, field 3.
  constexpr size_t kStartTime = 22 - 3 + 1;
  if (fields.size() <= kStartTime) return fail(Code::Io, "read " + path + ": it has no start time");
  return number<uint64_t>(fields[kStartTime]);
}

bool InstanceLock::is_at(std::string const& path) const {
  struct stat own{}, named{};
  return ::fstat(fd_.get(), &own) == 0 && ::stat(path.c_str(), &named) == 0 && own.st_dev == named.st_dev &&
         own.st_ino == named.st_ino;
}

Result<std::optional<LockHolder>> lock_holder(std::string const& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::optional<LockHolder>();
  if (!fd) return fail_errno("open " + path, errno);
  return holder_of(fd.get(), path);
}

bool wait_for_remains(std::string const& path, int64_t limit_ms) {
  SystemClock clock;
  int64_t deadline = clock.steady_ms() + limit_ms;
  for (;;) {
    auto holder = lock_holder(path);
    if (!holder || !*holder || (*holder)->pid <= 0) return true;
    // A zombie has let go of its lock already, so one that holds it is alive.
    auto started = process_start_time((*holder)->pid);
    if (started && *started == (*holder)->start_time && !is_zombie((*holder)->pid)) return true;
    if (clock.steady_ms() >= deadline) return false;
    ::poll(nullptr, 0, 1);
  }
}

Result<bool> has_left(std::string const& path, std::string const& instance_id) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return false;
  if (!fd) return fail_errno("open " + path, errno);
  return TRY(read_content(fd.get(), path)).instance_id == instance_id && !TRY(is_locked(fd.get(), path));
}

Liveness lock_liveness(std::string runtime_dir, std::string data_dir) {
  auto is_held = [](std::string const& directory, std::string const& name, std::string const& instance_id) {
    auto holder = lock_holder(directory + "/" + name + "/lock");
    if (!holder) return true;
    return holder->has_value() && ((*holder)->instance_id.empty() || (*holder)->instance_id == instance_id);
  };
  std::string pods_dir = data_dir.empty() ? "" : data_dir + "/pods";
  return [is_held, runtime_dir = std::move(runtime_dir), pods_dir = std::move(pods_dir)](Allocation const& row) {
    bool live = row.state == AllocationState::Live;
    std::string const& name = live ? row.pod_name : row.spawner_name;
    std::string const& instance_id = live ? row.instance_id : row.spawner_instance;
    if (name.empty()) return false;
    return is_held(runtime_dir, name, instance_id) || (!pods_dir.empty() && is_held(pods_dir, name, instance_id));
  };
}

}  // namespace insomnia::registry
