#include "cell/control_group.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/io.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"

namespace insomnia::cell {
namespace {

constexpr char kRoot[] = "/sys/fs/cgroup";

bool write_value(std::string const& file, std::string const& value) {
  UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

/// The directory of the group that this process is in, for a controller of version 1, or for version 2 (""), by /proc/self/cgroup (cgroups(7)).
std::optional<std::string> own_group(std::string_view controller) {
  std::string table = io::read_file("/proc/self/cgroup", 1 << 20).value_or("");
  for (auto line : text::split(table, '\n')) {
    auto first = line.find(':'), second = line.find(':', first == std::string_view::npos ? first : first + 1);
    if (second == std::string_view::npos) continue;
    auto controllers = line.substr(first + 1, second - first - 1);
    std::string path(line.substr(second + 1));
    if (path == "/") path.clear();
    auto names = text::split(controllers, ',');
    if (std::find(names.begin(), names.end(), controller) == names.end()) continue;
    if (!controller.empty()) return std::string(kRoot) + "/" + std::string(controllers) + path;
    // Version 2 alone, or beside version 1.
    for (std::string const& mount : {std::string(kRoot), std::string(kRoot) + "/unified"}) {
      if (io::exists(mount + "/cgroup.controllers") && io::exists(mount + path + "/cgroup.procs")) return mount + path;
    }
  }
  return std::nullopt;
}

std::string own_name() { return "insomnia-cell-" + std::to_string(::getpid()); }

}  // namespace

ControlGroup ControlGroup::make(Limits const& limits) {
  ControlGroup group;
  if (!limits.processes && !limits.memory_bytes) return group;
  auto try_in = [&](std::optional<std::string> const& parent, auto&& set_limits) {
    if (!parent) return false;
    std::string directory = *parent + "/" + own_name();
    if (::mkdir(directory.c_str(), 0755) != 0) return false;
    if (set_limits(directory)) {
      group.directories_.push_back(directory);
      return true;
    }
    ::rmdir(directory.c_str());
    return false;
  };
  try_in(own_group(""), [&](std::string const& directory) {
    if (limits.processes) group.limits_processes_ = write_value(directory + "/pids.max", std::to_string(*limits.processes));
    if (limits.memory_bytes) {
      group.limits_memory_ = write_value(directory + "/memory.max", std::to_string(*limits.memory_bytes));
      write_value(directory + "/memory.swap.max", "0");
    }
    return group.limits_processes_ || group.limits_memory_;
  });
  if (limits.processes && !group.limits_processes_) {
    group.limits_processes_ = try_in(own_group("pids"), [&](std::string const& directory) { return write_value(directory + "/pids.max", std::to_string(*limits.processes)); });
  }
  if (limits.memory_bytes && !group.limits_memory_) {
    group.limits_memory_ = try_in(own_group("memory"), [&](std::string const& directory) { return write_value(directory + "/memory.limit_in_bytes", std::to_string(*limits.memory_bytes)); });
  }
  return group;
}

ControlGroup::~ControlGroup() {
  for (auto const& directory : directories_) ::rmdir(directory.c_str());
}

Result<void> ControlGroup::add(pid_t pid) const {
  for (auto const& directory : directories_) {
    if (!write_value(directory + "/cgroup.procs", std::to_string(pid))) return fail_errno("move the cell into " + directory, errno);
  }
  return {};
}

}  // namespace insomnia::cell
