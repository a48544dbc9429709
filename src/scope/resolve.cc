#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "scope/scope.hh"

namespace insomnia::scope {
namespace {

constexpr size_t kMaxPath = PATH_MAX - 1;
constexpr int kMaxLinks = 40;  // the kernel's own limit

std::unexpected<Error> refuse(std::string const& path, std::string_view why) {
  return fail(Code::InvalidArgument,
              "resolve " + path.substr(0, 200) + (path.size() > 200 ? "…" : "") + ": " + std::string(why));
}

bool is_directory(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Walks a path component by component, as the kernel would.
class Walk {
 public:
  explicit Walk(std::string const& path) : path_(path), rest_(path) {}

  Result<std::string> run() {
    for (;;) {
      at_ = rest_.find_first_not_of('/', at_);
      if (at_ == std::string::npos) break;
      size_t end = rest_.find('/', at_);
      std::string component = rest_.substr(at_, end == std::string::npos ? end : end - at_);
      at_ = end == std::string::npos ? rest_.size() : end;
      if (component == ".") continue;
      if (component == "..")
        TRY(ascend());
      else
        TRY(descend(component));
    }
    if (done_.size() > kMaxPath) return refuse(path_, "the resolved path is too long");
    return done_.empty() ? "/" : std::move(done_);
  }

 private:
  Result<void> ascend() {
    if (missing_) return refuse(path_, "'..' below something that does not exist");
    if (!done_.empty() && !is_directory(done_))
      return refuse(path_, "'..' below something that is not a directory");
    done_.erase(done_.empty() ? 0 : done_.rfind('/'));
    return {};
  }

  Result<void> descend(std::string const& component) {
    if (component.size() > NAME_MAX) return refuse(path_, "a name in it is too long");
    done_ += '/';
    done_ += component;
    if (missing_) return {};
    char target[PATH_MAX];
    ssize_t length = ::readlink(done_.c_str(), target, sizeof target);
    if (length >= 0) return follow({target, static_cast<size_t>(length)});
    switch (errno) {
      case EINVAL:
        return {};  // there, and not a link
      case ENOENT:
      case ENOTDIR:
      case EACCES:
        missing_ = true;
        return {};  // nothing to be seen from here on: kept as it is written
      default:
        return std::unexpected(errno_error("resolve " + path_, errno));
    }
  }

  // A dangling link is followed too: a process that creates a file through it creates the target.
  Result<void> follow(std::string_view target) {
    if (++links_ > kMaxLinks) return refuse(path_, "too many symbolic links");
    done_.erase(target.starts_with('/') ? 0 : done_.rfind('/'));
    rest_ = std::string(target) + rest_.substr(at_);
    at_ = 0;
    return {};
  }

  std::string const& path_;
  std::string rest_;  // what is still to walk, from at_ on
  size_t at_ = 0;
  std::string done_;      // canonical so far; "" is the root
  bool missing_ = false;  // done_ does not exist
  int links_ = 0;
};

}  // namespace

Result<std::string> canonical_path(std::string const& path) {
  if (!path.starts_with('/')) return refuse(path, "the path must be absolute");
  if (path.find('\0') != std::string::npos)
    return refuse(path.substr(0, path.find('\0')), "the path has a NUL byte");
  if (path.size() > kMaxPath) return refuse(path, "the path is too long");
  return Walk(path).run();
}

std::optional<std::string> resolve_path(std::string const& path) {
  auto resolved = canonical_path(path);
  if (!resolved) return std::nullopt;
  return *std::move(resolved);
}

}  // namespace insomnia::scope
