#include "pod/runtime_dir.hh"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/io.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "pod/census.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {
namespace {

std::string boot_id() {
  auto text = io::read_file("/proc/sys/kernel/random/boot_id", 1024);
  return text ? std::string(text::trim(*text)) : "";
}

/// The name of a Pod that is in this runtime directory, or "". One that has just begun has no other lock yet.
std::string pod_in(std::string const& runtime_dir) {
  auto names = io::list_directory(runtime_dir);
  if (!names) return "";
  for (auto const& name : *names) {
    if (!check_pod_name(name)) continue;
    auto holder = registry::lock_holder(runtime_dir + "/" + name + "/lock");
    if (holder && *holder) return name;
  }
  return "";
}

}  // namespace

bool is_network_file_system(long type) {
  switch (static_cast<unsigned long>(type) & 0xFFFFFFFFul) {
    case 0x6969:       // NFS
    case 0x517B:       // SMB
    case 0xFF534D42:   // CIFS
    case 0xFE534D42:   // SMB2
    case 0x00C36400:   // Ceph
    case 0x5346414F:   // AFS
    case 0x0BD00BD0:   // Lustre
    case 0x47504653:   // GPFS
      return true;
    default: return false;
  }
}

Result<void> prepare_runtime_dir(Paths const& paths) {
  std::string directory = TRY(paths.require_runtime_dir());
  TRY(io::make_directories(directory));
  struct stat info{};
  if (::stat(directory.c_str(), &info) != 0) return fail_errno("stat " + directory, errno);
  if (info.st_uid != ::geteuid()) {
    return fail(Code::PermissionDenied, "the runtime directory " + directory + " belongs to another user; set INSOMNIA_RUNTIME_DIR");
  }
  struct statfs system{};
  if (::statfs(directory.c_str(), &system) == 0 && is_network_file_system(system.f_type)) {
    return fail(Code::Unsupported, "the runtime directory " + directory +
                                       " is on a network file system, where locks and sockets do not hold; set INSOMNIA_RUNTIME_DIR to a "
                                       "local directory");
  }
  return {};
}

Result<void> claim_runtime_dir(Paths const& paths) {
  std::string file = TRY(paths.require_data_dir()) + "/runtime.json";
  TRY(io::make_directories(paths.data_dir));
  // One at a time: of two that claim different directories, the later one sees the earlier.
  UniqueFd guard(::open((paths.data_dir + "/runtime.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!guard) return fail_errno("open " + paths.data_dir + "/runtime.lock", errno);
  while (::flock(guard.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("lock " + paths.data_dir + "/runtime.lock", errno);
  }
  std::string boot = boot_id();
  std::string ours = json::dump(boost::json::object{{"runtime_dir", paths.runtime_dir}, {"boot_id", boot}}) + "\n";
  auto recorded = io::read_file(file, 65536);
  if (recorded && *recorded == ours) return {};
  if (recorded) {
    auto object = json::parse_object(*recorded);
    if (object) {
      json::Reader reader(*object);
      std::string other = reader.string_or("runtime_dir", "");
      // The same directory under another name is no second one.
      auto canonical = [](std::string const& path) { return io::real_path(path).value_or(path); };
      bool same = canonical(other) == canonical(paths.runtime_dir);
      bool same_boot = reader.string_or("boot_id", "") == boot;
      std::string pod = same_boot && !same ? pod_in(other) : "";
      // The directory may have vanished under those that live in it.
      if (pod.empty() && same_boot && !same && !other.empty()) pod = TRY(any_living_pod(paths));
      if (!pod.empty()) {
        return fail(Code::Conflict, "Pod `" + pod + "` lives in the runtime directory " + other + ", but this process was given " +
                                        paths.runtime_dir + " for the same data directory " + paths.data_dir +
                                        "; use the same XDG_RUNTIME_DIR or INSOMNIA_RUNTIME_DIR, or stop that Pod first");
      }
    }
  }
  return io::replace_file(file, ours);
}

}  // namespace insomnia::pod
