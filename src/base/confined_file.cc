#include "base/confined_file.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"

namespace insomnia::io {

Result<std::optional<std::string>> read_confined_file(std::string const& directory,
                                                      std::string const& relative, size_t limit) {
  std::string path = directory + "/" + relative;
  UniqueFd folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return fail_errno("open " + directory, errno);
  }
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, folder.get(), relative.c_str(), &how, sizeof how)));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    if (errno == EXDEV)
      return fail(Code::PermissionDenied, "read " + path + ": a symbolic link leads out of " + directory);
    return fail_errno("open " + path, errno);
  }
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISREG(info.st_mode))
    return fail(Code::InvalidArgument, "read " + path + ": it is not a regular file");
  std::string text = TRY(read_all(fd.get(), path, limit));
  if (!text::is_utf8(text)) return fail(Code::InvalidArgument, "read " + path + ": it is not UTF-8");
  return text;
}

}  // namespace insomnia::io
