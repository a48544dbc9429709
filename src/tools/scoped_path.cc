#include "tools/scoped_path.hh"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>
#include <optional>

#include "base/io.hh"
#include "scope/protected.hh"

namespace insomnia::tools {
namespace {

using scope::Permission;
using scope::Scope;

struct Link {
  std::string path;
  std::string target;  ///< as written in the link
  bool broken = false;
};

/// The symbolic links that the components of `path` are, in order.
std::vector<Link> links_of(std::string const& path) {
  std::vector<Link> links;
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    std::string part = path.substr(0, at);
    struct stat info{};
    if (::lstat(part.c_str(), &info) != 0) break;
    if (!S_ISLNK(info.st_mode)) continue;
    char target[PATH_MAX];
    ssize_t length = ::readlink(part.c_str(), target, sizeof target);
    Link link{part, length > 0 ? std::string(target, static_cast<size_t>(length)) : "", false};
    link.broken = ::stat(part.c_str(), &info) != 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR);
    links.push_back(std::move(link));
    if (links.back().broken) break;
  }
  return links;
}

/// Whether the Pod may know that this link is there.
bool is_visible(Scope const& scope, Link const& link) {
  auto parent = scope::resolve_path(io::parent_path(link.path));
  if (!parent) return false;
  return scope.decide_resolved(*parent).permission.has_value();
}

std::string listed(std::vector<std::string> const& paths) {
  constexpr size_t kShown = 6;
  if (paths.empty()) return "nothing";
  std::string text;
  for (size_t i = 0; i < paths.size() && i < kShown; ++i) text += (i == 0 ? "" : ", ") + paths[i];
  if (paths.size() > kShown) text += " and " + std::to_string(paths.size() - kShown) + " more";
  return text;
}

std::string allowed(Scope const& scope, Permission wanted) {
  if (wanted == Permission::Write) return "; writable: " + listed(scope.writable_paths());
  return "; readable: " + listed(scope.readable_paths());
}

Error refusal_through_link(Scope const& scope, std::string const& path, Link const& link, std::string const& resolved,
                           Permission wanted) {
  std::string kind = wanted == Permission::Write ? "write" : "read";
  return {Code::PermissionDenied, path + " is outside allowed " + kind + " scope: the symbolic link " + link.path + " -> " +
                                      link.target + " leads to " + resolved + "; add that target to the Pod scope, copy it, or "
                                      "recreate the link with a target inside the scope" + allowed(scope, wanted)};
}

Error broken_link(std::string const& path, Link const& link) {
  return {Code::InvalidArgument, "broken symlink while resolving " + path + ": " + link.path + " -> " + link.target +
                                     " (target does not exist); recreate the link with the correct relative target"};
}

}  // namespace

Error refusal(Scope const& scope, std::string const& shown, std::string const& resolved, Permission wanted) {
  auto decision = scope.decide_resolved(resolved);
  std::string text = wanted == Permission::Write && decision.permission ? "path is read-only in this scope: " + shown
                                                                        : "path is outside allowed scope: " + shown;
  if (wanted == Permission::Write && !decision.protected_place.empty()) text += " (" + scope::describe_protection(decision.protected_place) + ")";
  if (decision.denied_by) text += " (denied by the rule " + scope::describe_rules({*decision.denied_by}) + ")";
  return {Code::PermissionDenied, text + allowed(scope, wanted)};
}

Result<Target> locate(Scope const& scope, std::string const& path, Permission wanted) {
  if (!path.starts_with('/')) return fail(Code::InvalidArgument, "path must be absolute: " + path);
  if (path.size() >= PATH_MAX) return fail(Code::InvalidArgument, "path is too long: " + path.substr(0, 100) + "…");
  if (path.find('\0') != std::string::npos) return fail(Code::InvalidArgument, "path must not contain a NUL character");

  if (wanted == Permission::Write && path.ends_with('/')) {
    return fail(Code::InvalidArgument, "path is a directory: " + path + "; name a file");
  }

  std::vector<Link> links = links_of(path);
  for (auto const& link : links) {
    if (link.broken && is_visible(scope, link)) return std::unexpected(broken_link(path, link));
  }
  auto resolved = scope::resolve_path(path);
  if (!resolved) {
    return fail(Code::InvalidArgument, "path cannot be resolved: " + path + " (\"..\" below something that does not exist, or a loop of links)");
  }
  auto permission = scope.decide_resolved(*resolved).permission;
  if (permission && *permission >= wanted) return Target{path, *std::move(resolved)};
  for (auto const& link : links) {
    if (!link.broken && is_visible(scope, link)) {
      return std::unexpected(refusal_through_link(scope, path, link, *resolved, wanted));
    }
  }
  return std::unexpected(refusal(scope, path, *resolved, wanted));
}

Result<UniqueFd> open_resolved(std::string const& resolved, int flags, unsigned mode) {
  flags |= O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK;
  open_how how{};
  how.flags = static_cast<uint64_t>(flags & O_PATH ? flags & ~(O_NOCTTY | O_NONBLOCK) : flags);
  how.mode = flags & O_CREAT ? mode : 0;
  how.resolve = RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, resolved.c_str(), &how, sizeof how)));
  // Old kernels lack openat2, and seccomp filters of containers may refuse it.
  if (!fd && (errno == ENOSYS || errno == EPERM)) fd.reset(::open(resolved.c_str(), flags, mode));
  if (fd) return fd;
  if (errno == ELOOP) {
    return fail(Code::Conflict, "open " + resolved + ": a symbolic link has taken its place meanwhile; try again");
  }
  return fail_errno("open " + resolved, errno);
}

Result<UniqueFd> open_regular(Target const& target) {
  struct stat info{};
  // Before the open: opening a device can have effects of its own.
  if (::lstat(target.resolved.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return fail(Code::NotFound, "file not found: " + target.given);
    return fail_errno("open " + target.given, errno);
  }
  auto refuse = [&](mode_t mode) -> std::string {
    if (S_ISREG(mode)) return "";
    if (S_ISDIR(mode)) return "path is a directory: " + target.given + "; list it with Glob (pattern \"*\")";
    std::string kind = S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : S_ISLNK(mode) ? "a symbolic link" : "a device";
    return "not a regular file: " + target.given + " is " + kind;
  };
  if (auto why = refuse(info.st_mode); !why.empty()) return fail(Code::InvalidArgument, why);
  UniqueFd fd = TRY(open_resolved(target.resolved, O_RDONLY));
  if (::fstat(fd.get(), &info) != 0) return fail_errno("stat " + target.given, errno);
  if (auto why = refuse(info.st_mode); !why.empty()) return fail(Code::InvalidArgument, why);
  return fd;
}

}  // namespace insomnia::tools
