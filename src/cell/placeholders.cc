#include "cell/placeholders.hh"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.hh"

namespace insomnia::cell {

Result<Placeholders> Placeholders::make(std::vector<std::string> const& paths) {
  Placeholders made;
  for (auto const& path : paths) {
    constexpr int kTries = 100;
    for (int attempt = 0;; ++attempt) {
      if (auto there = io::make_directories(path, 0755); !there) {
        int error = there.error().os_errno;
        if (error == EROFS || error == EACCES || error == EPERM) break;  // then nobody in the cell can make it either
        return std::unexpected(there.error());
      }
      UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
      struct stat held{}, now{};
      bool is_held = directory && ::flock(directory.get(), LOCK_SH | LOCK_NB) == 0 && ::fstat(directory.get(), &held) == 0 &&
                     ::lstat(path.c_str(), &now) == 0 && held.st_ino == now.st_ino && held.st_dev == now.st_dev;
      if (is_held) {
        made.held_.push_back({path, std::move(directory)});
        break;
      }
      // A cell that ended meanwhile has removed it.
      if (attempt == kTries) return fail(Code::Unavailable, "the placeholder " + path + " can't be kept: others make and remove it all the time");
    }
  }
  return made;
}

Placeholders::~Placeholders() {
  for (auto held = held_.rbegin(); held != held_.rend(); ++held) {
    if (::flock(held->directory.get(), LOCK_EX | LOCK_NB) == 0) ::rmdir(held->path.c_str());
  }
}

}  // namespace insomnia::cell
