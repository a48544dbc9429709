// The parts of `insomnia doctor` that ask the kernel, the dynamic linker and the file system.

#include <dlfcn.h>
#include <errno.h>
#include <linux/magic.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>

#include "base/error.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "base/unique_fd.hh"
#include "cell/landlock.hh"
#include "cell/probe.hh"
#include "cli/doctor.hh"
#include "cli/live_pods.hh"

namespace insomnia::cli {
namespace {

using Grade = Finding::Grade;

Finding cell_finding() {
  auto tried = cell::try_cell();
  int version = cell::landlock_version();
  if (tried) {
    std::string beside = version >= cell::kLandlockScopes ? "and Landlock" : "without Landlock's part: with `network = \"full\"` abstract sockets of the machine can be reached";
    return {"cell", Grade::Good, "the kernel holds commands to their Pod's scope: namespaces, a view of their own, seccomp, " + beside, ""};
  }
  bool in_container = io::exists("/.dockerenv") || io::exists("/run/.containerenv");
  std::string instead = version >= cell::kLandlockFiles ? "none, so Landlock alone holds commands, which allows them less: " : "none, so no Pod starts unless its manifest waives that: ";
  return {"cell", Grade::Warning, instead + tried.error().message,
          cell::cell_remedy(io::read_file("/etc/os-release", 1 << 16).value_or(""), tried.error().message, in_container)};
}

Finding landlock() {
  if (int version = cell::landlock_version(); version > 0) return {"Landlock", Grade::Good, "ABI " + std::to_string(version), ""};
  return {"Landlock", Grade::Warning, "not available", "boot a kernel from 5.13 on with landlock in its lsm= list"};
}

Finding cgroups() {
  struct statfs info{};
  if (::statfs("/sys/fs/cgroup", &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC)
    return {"cgroup v2", Grade::Good, "mounted", ""};
  return {"cgroup v2", Grade::Warning, "not mounted at /sys/fs/cgroup",
          "a limit on memory (max_memory_bytes in [sandbox]) then holds only as root with version 1; processes are limited all the same"};
}

Finding pidfds() {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (fd) return {"pidfd", Grade::Good, "available", ""};
  return {"pidfd", Grade::Bad, std::string("not available: ") + std::strerror(errno),
          "Pods need Linux 5.3 or newer"};
}

Finding curl() {
  // Not closed again: what it set up for itself cannot be taken down, and this process ends soon.
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return {"libcurl", Grade::Warning, "libcurl.so.4 was not found",
            "install it (Debian, Ubuntu: libcurl4); models behind HTTP need it"};
  }
  auto version = reinterpret_cast<char* (*)()>(::dlsym(library, "curl_version"));
  if (version == nullptr) {
    return {"libcurl", Grade::Warning, "libcurl.so.4 is not libcurl", "repair the package libcurl4"};
  }
  Dl_info where{};
  std::string detail = version();
  if (::dladdr(reinterpret_cast<void*>(version), &where) != 0 && where.dli_fname != nullptr)
    detail += ", " + std::string(where.dli_fname);
  return {"libcurl", Grade::Good, std::move(detail), ""};
}

/// The directory itself or, when it does not exist, the nearest one above it that does.
std::string nearest_existing(std::string path) {
  while (path != "/" && !io::exists(path)) path = io::parent_path(path);
  return path;
}

Finding directory(std::string subject, std::string const& path, std::string const& variable, bool needed) {
  if (path.empty()) {
    return {std::move(subject), needed ? Grade::Bad : Grade::Warning, "not known: HOME is not set",
            "set HOME or " + variable};
  }
  std::string existing = nearest_existing(path);
  struct stat info{};
  bool is_directory = ::stat(existing.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (!is_directory || ::access(existing.c_str(), W_OK | X_OK) != 0) {
    return {std::move(subject), needed ? Grade::Bad : Grade::Warning,
            path + ": " + existing + (is_directory ? " is not writable" : " is not a directory"),
            "correct it or set " + variable};
  }
  return {std::move(subject), Grade::Good, path + (existing == path ? "" : " (will be made)"), ""};
}

std::string network_file_system(std::string const& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) return "";
  switch (static_cast<uint32_t>(info.f_type)) {
    case 0x6969:
      return "NFS";
    case 0x517B:
    case 0xFE534D42:
    case 0xFF534D42:
      return "SMB";
    case 0x01021997:
      return "9p";
    case 0x5346414F:
      return "AFS";
    case 0x00C36400:
      return "Ceph";
    case 0x73757245:
      return "Coda";
    case 0x01161970:
      return "GFS2";
    case 0x7461636F:
      return "OCFS2";
    case 0x0BD00BD0:
      return "Lustre";
    default:
      return "";
  }
}

Finding registry_finding(Paths const& paths) {
  auto rows = live_pods(paths);
  if (!rows) return {"registry", Grade::Bad, rows.error().message, "see `insomnia help`"};
  return {"registry", Grade::Good,
          std::to_string(rows->size()) + (rows->size() == 1 ? " Pod is alive" : " Pods are alive"), ""};
}

}  // namespace

std::vector<Finding> kernel_findings() {
  utsname name{};
  ::uname(&name);
  return {{"kernel", Grade::Good, std::string(name.sysname) + " " + name.release + " " + name.machine, ""},
          pidfds(),
          cell_finding(),
          landlock(),
          cgroups()};
}

std::vector<Finding> library_findings() {
  return {curl(), {"SQLite", Grade::Good, ::sqlite3_libversion(), ""}};
}

std::vector<Finding> directory_findings(Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  std::vector<Finding> findings{directory("configuration", paths.config_dir, "INSOMNIA_CONFIG_DIR", false),
                                directory("data", paths.data_dir, "INSOMNIA_DATA_DIR", true),
                                directory("runtime", paths.runtime_dir, "INSOMNIA_RUNTIME_DIR", true)};
  if (paths.runtime_dir.empty()) return findings;
  if (std::string kind = network_file_system(nearest_existing(paths.runtime_dir)); !kind.empty()) {
    findings.push_back({"runtime", Grade::Bad,
                        paths.runtime_dir + " is on a network file system (" + kind +
                            "): locks and sockets do not work there",
                        "set INSOMNIA_RUNTIME_DIR to a local directory, for example /tmp/insomnia-" +
                            std::to_string(::getuid())});
  }
  findings.push_back(socket_path_finding(paths.runtime_dir));
  if (findings[2].grade == Grade::Good) findings.push_back(registry_finding(paths));
  return findings;
}

}  // namespace insomnia::cli
