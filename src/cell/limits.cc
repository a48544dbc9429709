#include "cell/limits.hh"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include "base/unique_fd.hh"

namespace insomnia::cell {
namespace {

Result<void> limit(__rlimit_resource resource, std::optional<uint64_t> const& value, char const* what) {
  if (!value) return {};
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return fail_errno(std::string("ask for the limit on ") + what, errno);
  // One that is stricter already stays.
  now.rlim_max = std::min<rlim_t>(now.rlim_max, *value);
  now.rlim_cur = std::min<rlim_t>(now.rlim_cur, now.rlim_max);
  if (::setrlimit(resource, &now) != 0) return fail_errno(std::string("limit ") + what, errno);
  return {};
}

}  // namespace

bool limit_processes_of_namespace(uint64_t processes) {
  utsname name{};
  int major = 0, minor = 0;
  // Before, the file is that of the whole machine, and root may write it.
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2 || major < 6 || (major == 6 && minor < 14)) return false;
  constexpr uint64_t kFirstNumber = 301;  // numbers below are given once
  UniqueFd file(::open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC));
  std::string value = std::to_string(processes + kFirstNumber);
  return processes > 0 && file && ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

Result<void> apply_process_limits(Limits const& limits) {
  TRY(limit(RLIMIT_NOFILE, limits.open_files, "open files"));
  TRY(limit(RLIMIT_CPU, limits.cpu_secs, "processor time"));
  TRY(limit(RLIMIT_FSIZE, limits.file_bytes, "the size of files"));
  // As root it binds nobody. Else it counts the processes of this user in this user namespace (since Linux 5.14).
  TRY(limit(RLIMIT_NPROC, limits.processes, "processes"));
  // A core dump would be written where the kernel's pattern says, outside of the cell.
  return limit(RLIMIT_CORE, 0, "core dumps");
}

}  // namespace insomnia::cell
