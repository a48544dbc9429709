#include "registry/file_lock.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "base/clock.hh"

namespace insomnia::registry {
namespace {

constexpr int kReplacedTries = 16;
constexpr long kPollNs = 2'000'000;

struct flock whole_file() {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool is_still_at(int fd, std::string const& path) {
  struct stat open_file{}, named{};
  return ::fstat(fd, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

}  // namespace

Result<FileLock> FileLock::try_take(std::string const& path) {
  // A file that was replaced between open and lock is no lock at all: look again.
  for (int i = 0; i < kReplacedTries; ++i) {
    UniqueFd fd(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
    if (!fd) return fail_errno("open " + path, errno);
    struct flock lock = whole_file();
    if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
      if (errno == EAGAIN || errno == EACCES) return fail(Code::Conflict, path + " is locked");
      return fail_errno("lock " + path, errno);
    }
    if (is_still_at(fd.get(), path)) return FileLock(std::move(fd));
  }
  return fail(Code::Io, "lock " + path + ": the file is replaced again and again");
}

Result<FileLock> FileLock::wait(std::string const& path, int64_t limit_ms) {
  SystemClock clock;
  int64_t deadline_ms = clock.steady_ms() + limit_ms;
  for (;;) {
    auto lock = try_take(path);
    if (lock || lock.error().code != Code::Conflict) return lock;
    if (clock.steady_ms() >= deadline_ms) return fail(Code::Timeout, "timed out waiting for " + path);
    timespec pause{.tv_sec = 0, .tv_nsec = kPollNs};
    ::nanosleep(&pause, nullptr);
  }
}

Result<bool> is_locked(int fd, std::string const& path) {
  struct flock lock = whole_file();
  if (::fcntl(fd, F_OFD_GETLK, &lock) != 0) return fail_errno("look at the lock of " + path, errno);
  return lock.l_type != F_UNLCK;
}

}  // namespace insomnia::registry
