#include "base/io.hh"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "base/text.hh"

namespace insomnia::io {
namespace {

Result<void> write_replacement(std::string const& path, std::string_view content, unsigned mode, bool durable) {
  static std::atomic<unsigned> counter{0};
  std::string temporary = path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return fail_errno("create " + temporary, errno);
  Result<void> written = write_all(fd.get(), content, temporary);
  if (written && durable && ::fsync(fd.get()) != 0) written = fail_errno("fsync " + temporary, errno);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = fail_errno("rename " + temporary + " to " + path, errno);
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (durable) return sync_directory(parent_path(path));
  return {};
}

}  // namespace

Result<std::string> read_file(std::string const& path, size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno("open " + path, errno);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + path, errno);
  if (S_ISDIR(info.st_mode)) return fail_errno("read " + path, EISDIR);
  if (!S_ISREG(info.st_mode)) return fail(Code::InvalidArgument, "read " + path + ": it is not a regular file");
  return read_all(fd.get(), path, limit);
}

Result<void> write_file_atomic(std::string const& path, std::string_view content, unsigned mode) {
  return write_replacement(path, content, mode, true);
}

Result<void> replace_file(std::string const& path, std::string_view content, unsigned mode) {
  return write_replacement(path, content, mode, false);
}

Result<void> make_directories(std::string const& path, unsigned mode) {
  if (path.empty()) return fail(Code::InvalidArgument, "create a directory: the path is empty");
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) == 0 || errno == EEXIST) continue;
    int error = errno;
    if (exists(part)) continue;  // a read-only file system answers EROFS for directories that are there
    return fail_errno("create directory " + part, error);
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "create directory " + path + ": a file of that name is in the way");
  return {};
}

Result<void> write_all(int fd, std::string_view bytes, std::string_view what) {
  while (!bytes.empty()) {
    ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno("write " + std::string(what), errno);
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<std::string> read_all(int fd, std::string_view what, size_t limit) {
  std::string result;
  char buffer[16384];
  for (;;) {
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read " + std::string(what), errno);
    }
    if (count == 0) return result;
    if (result.size() + static_cast<size_t>(count) > limit) {
      return fail(Code::LimitReached, "read " + std::string(what) + ": larger than " + std::to_string(limit) + " bytes");
    }
    result.append(buffer, static_cast<size_t>(count));
  }
}

Result<void> sync_directory(std::string const& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open directory " + path, errno);
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) return fail_errno("fsync directory " + path, errno);
  return {};
}

namespace {

Result<void> remove_at(int parent, std::string const& name, std::string const& shown) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno("remove " + shown, errno);
  UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("open directory " + shown, errno);
  int raw = fd.release();
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(raw), &::closedir);
  if (!stream) {
    int error = errno;
    ::close(raw);
    return fail_errno("read directory " + shown, error);
  }
  while (dirent* entry = ::readdir(stream.get())) {
    std::string_view member = entry->d_name;
    if (member == "." || member == "..") continue;
    TRY(remove_at(::dirfd(stream.get()), std::string(member), shown + "/" + std::string(member)));
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno("remove " + shown, errno);
  return {};
}

}  // namespace

Result<void> remove_tree(std::string const& path) { return remove_at(AT_FDCWD, path, path); }

Result<std::vector<std::string>> list_directory(std::string const& path) {
  std::vector<std::string> result;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), &::closedir);
  if (!stream) {
    if (errno == ENOENT) return result;
    return fail_errno("read directory " + path, errno);
  }
  while (dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") result.emplace_back(name);
  }
  std::sort(result.begin(), result.end());
  return result;
}

bool exists(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0;
}

Result<std::string> real_path(std::string const& path) {
  std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return fail_errno("resolve " + path, errno);
  return std::string(resolved.get());
}

Result<std::string> current_directory() {
  std::unique_ptr<char, void (*)(void*)> path(::getcwd(nullptr, 0), &std::free);
  if (!path) return fail_errno("find the current directory", errno);
  return std::string(path.get());
}

std::string absolute(std::string_view path, std::string_view base) {
  std::string joined = path.starts_with('/') ? std::string(path) : std::string(base) + "/" + std::string(path);
  std::string result;
  for (auto part : text::split(joined, '/')) {
    if (part.empty() || part == ".") continue;
    result += '/';
    result += part;
  }
  return result.empty() ? "/" : result;
}

std::string parent_path(std::string_view path) {
  auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string_view base_name(std::string_view path) {
  auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

Result<UniqueFd> sealed_memory_file(std::string_view name, std::string_view content) {
  UniqueFd fd(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("create memory file " + std::string(name), errno);
  TRY(write_all(fd.get(), content, name));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno("rewind memory file " + std::string(name), errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return fail_errno("seal memory file " + std::string(name), errno);
  }
  return fd;
}

}  // namespace insomnia::io
