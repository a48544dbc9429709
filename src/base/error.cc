#include "base/error.hh"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace insomnia {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::InvalidArgument: return "invalid_argument";
    case Code::NotFound: return "not_found";
    case Code::AlreadyExists: return "already_exists";
    case Code::PermissionDenied: return "permission_denied";
    case Code::Conflict: return "conflict";
    case Code::Cancelled: return "cancelled";
    case Code::Timeout: return "timeout";
    case Code::Unavailable: return "unavailable";
    case Code::Corrupt: return "corrupt";
    case Code::LimitReached: return "limit_reached";
    case Code::Unsupported: return "unsupported";
    case Code::NoSpace: return "no_space";
    case Code::Io: return "io";
    case Code::Internal: return "internal";
  }
  return "internal";
}

Error Error::with_context(std::string_view context) && {
  message.insert(0, ": ");
  message.insert(0, context);
  return std::move(*this);
}

std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, std::move(message), 0});
}

namespace {

Code code_of_errno(int os_errno) {
  switch (os_errno) {
    case ENOENT:
    case ENOTDIR: return Code::NotFound;
    case EEXIST: return Code::AlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return Code::PermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR: return Code::InvalidArgument;
    case ENOSPC:
    case EDQUOT: return Code::NoSpace;
    case ETIMEDOUT: return Code::Timeout;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE: return Code::Unavailable;
    default: return Code::Io;
  }
}

}  // namespace

Error errno_error(std::string attempted, int os_errno) {
  attempted += ": ";
  attempted += std::strerror(os_errno);
  return Error{code_of_errno(os_errno), std::move(attempted), os_errno};
}

std::unexpected<Error> fail_errno(std::string attempted, int os_errno) {
  return std::unexpected(errno_error(std::move(attempted), os_errno));
}

void panic(std::string_view message, char const* file, int line) {
  std::fprintf(stderr, "insomnia: internal error at %s:%d: %.*s\n", file, line, static_cast<int>(message.size()),
               message.data());
  std::abort();
}

}  // namespace insomnia
