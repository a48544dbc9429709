#include "pod/target_directories.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"
#include "base/unique_fd.hh"

namespace insomnia::pod {
namespace {

UniqueFd open_without_links(std::string const& directory) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, directory.c_str(), &how, sizeof how)));
}

}  // namespace

std::vector<std::string> missing_directories(std::vector<scope::ScopeRule> const& rules) {
  std::vector<std::string> result;
  for (auto const& rule : rules) {
    if (rule.permission != scope::Permission::Write) continue;
    struct stat info{};
    std::vector<std::string> missing;
    for (std::string path = rule.target; ::lstat(path.c_str(), &info) != 0 && errno == ENOENT; path = io::parent_path(path)) missing.push_back(path);
    result.insert(result.end(), missing.rbegin(), missing.rend());
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

Result<std::vector<std::string>> make_target_directories(std::vector<std::string> const& paths) {
  std::vector<std::string> made;
  auto failed = [&](std::string const& path, int error) {
    remove_target_directories(made);
    return fail_errno("create " + path + ", a directory that the scope names", error);
  };
  for (auto const& path : paths) {
    UniqueFd parent = open_without_links(io::parent_path(path));
    if (!parent) return failed(path, errno);
    if (::mkdirat(parent.get(), std::string(io::base_name(path)).c_str(), 0777) == 0) made.push_back(path);
    else if (errno != EEXIST) return failed(path, errno);
  }
  return made;
}

void remove_target_directories(std::vector<std::string> const& made) {
  for (auto path = made.rbegin(); path != made.rend(); ++path) {
    UniqueFd parent = open_without_links(io::parent_path(*path));
    if (parent) ::unlinkat(parent.get(), std::string(io::base_name(*path)).c_str(), AT_REMOVEDIR);
  }
}

}  // namespace insomnia::pod
