#include "tools/process_list.hh"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>

#include "base/text.hh"
#include "base/unique_fd.hh"

namespace insomnia::tools {
namespace {

std::string proc_path(pid_t pid, std::string_view name) { return "/proc/" + std::to_string(pid) + "/" + std::string(name); }

/// What could be read, at most `limit` bytes; /proc files have no size.
std::string read_some(std::string const& path, size_t limit) {
  std::string result;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return result;
  char buffer[4096];
  while (result.size() < limit) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    result.append(buffer, static_cast<size_t>(count));
  }
  return result;
}

std::vector<pid_t> numbered_entries(std::string const& directory) {
  std::vector<pid_t> result;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), &::closedir);
  if (!stream) return result;
  while (dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    pid_t pid = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) result.push_back(pid);
  }
  return result;
}

/// The children that the kernel lists for each thread; nothing where it was built without that list.
std::optional<std::vector<pid_t>> listed_children(pid_t pid) {
  std::vector<pid_t> result;
  for (pid_t thread : numbered_entries(proc_path(pid, "task"))) {
    std::string path = proc_path(pid, "task/" + std::to_string(thread) + "/children");
    std::string list = read_some(path, 1 << 20);
    if (list.empty() && ::access(path.c_str(), R_OK) != 0) {
      if (::access(proc_path(pid, "task/" + std::to_string(thread)).c_str(), R_OK) == 0) return std::nullopt;
      continue;
    }
    for (auto part : text::split(list, ' ')) {
      pid_t child = 0;
      if (std::from_chars(part.data(), part.data() + part.size(), child).ec == std::errc()) result.push_back(child);
    }
  }
  return result;
}

std::vector<ProcessInfo> descendants_by_scan(pid_t root) {
  std::multimap<pid_t, ProcessInfo> by_parent;
  for (pid_t pid : all_processes()) {
    if (auto info = read_process(pid)) by_parent.emplace(info->parent, *info);
  }
  std::vector<ProcessInfo> result;
  std::vector<pid_t> parents{root};
  for (size_t i = 0; i < parents.size(); ++i) {
    auto [first, last] = by_parent.equal_range(parents[i]);
    for (auto it = first; it != last; ++it) {
      parents.push_back(it->first == it->second.pid ? root : it->second.pid);
      result.push_back(it->second);
    }
    by_parent.erase(first, last);
  }
  return result;
}

/// In the middle of an exec a process shows neither arguments nor environment. (Threads of the kernel never do.)
bool is_being_started(pid_t pid) {
  auto info = read_process(pid);
  bool of_kernel = !info || info->parent == 2 || pid == 2;
  return !of_kernel && info->state != 'Z' && info->state != 'X' && read_some(proc_path(pid, "cmdline"), 1).empty() &&
         read_some(proc_path(pid, "environ"), 1).empty();
}

}  // namespace

std::vector<pid_t> all_processes() { return numbered_entries("/proc"); }

std::optional<ProcessInfo> read_process(pid_t pid) {
  std::string stat = read_some(proc_path(pid, "stat"), 4096);
  auto end = stat.rfind(')');  // the name before it may hold anything
  if (end == std::string::npos || end + 2 >= stat.size()) return std::nullopt;
  auto fields = text::split(std::string_view(stat).substr(end + 2), ' ');
  if (fields.size() < 4) return std::nullopt;
  ProcessInfo info{.pid = pid, .state = fields[0].empty() ? '?' : fields[0][0]};
  std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), info.parent);
  std::from_chars(fields[3].data(), fields[3].data() + fields[3].size(), info.session);
  return info;
}

std::vector<ProcessInfo> descendants(pid_t root) {
  std::vector<ProcessInfo> result;
  std::vector<pid_t> parents{root};
  for (size_t i = 0; i < parents.size(); ++i) {
    auto children = listed_children(parents[i]);
    if (!children) return descendants_by_scan(root);
    for (pid_t child : *children) {
      auto info = read_process(child);
      if (!info || std::find(parents.begin(), parents.end(), child) != parents.end()) continue;
      parents.push_back(child);
      result.push_back(*info);
    }
  }
  std::erase_if(result, [](ProcessInfo const& info) { return info.state == 'Z' || info.state == 'X'; });
  return result;
}

std::string command_of(pid_t pid) {
  std::string line = read_some(proc_path(pid, "cmdline"), 4096);
  if (line.empty()) return "[" + std::string(text::trim(read_some(proc_path(pid, "comm"), 64))) + "]";
  std::replace(line.begin(), line.end(), '\0', ' ');
  return text::one_line(text::to_utf8(text::trim(line)), 80);
}

bool has_environment(pid_t pid, std::string_view entry, bool prefix) {
  std::string environment = read_some(proc_path(pid, "environ"), 1 << 20);
  for (auto line : text::split(environment, '\0')) {
    if (prefix ? line.starts_with(entry) : line == entry) return true;
  }
  return false;
}

void kill_marked(std::string_view marker) {
  if (marker.empty()) return;
  std::string entry = "INSOMNIA_CALL=" + std::string(marker) + ".";
  for (int pass = 0; pass < 20; ++pass) {
    bool found = false;
    for (pid_t pid : all_processes()) {
      struct stat info{};
      if (pid == ::getpid() || ::stat(proc_path(pid, "").c_str(), &info) != 0 || info.st_uid != ::geteuid()) continue;
      if (has_environment(pid, entry, true)) {
        found = ::kill(pid, SIGKILL) == 0 || found;
      } else if (is_being_started(pid)) {
        found = true;  // look again
      }
    }
    if (!found) return;
    timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace insomnia::tools
