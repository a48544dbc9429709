#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace insomnia {

/// What kind of failure an Error is. Callers branch on this, people read the message.
enum class Code {
  InvalidArgument,  ///< the request itself is wrong; trying again changes nothing
  NotFound,
  AlreadyExists,
  PermissionDenied,  ///< refused by scope, permission policy or the kernel
  Conflict,          ///< somebody else holds what was asked for
  Cancelled,
  Timeout,
  Unavailable,  ///< the other side is not there (now)
  Corrupt,      ///< stored data cannot be understood
  LimitReached,
  Unsupported,
  NoSpace,
  Io,
  Internal,
};

/// The lower-case name of a code, e.g. "invalid_argument".
std::string_view code_name(Code code);

/// A failure: what was attempted, on which thing, and what the reader can do.
struct [[nodiscard]] Error {
  Code code = Code::Internal;
  std::string message;
  int os_errno = 0;  ///< the errno that caused it, 0 when none did

  /// The same error with `context` and ": " put before the message.
  Error with_context(std::string_view context) &&;
  friend bool operator==(Error const&, Error const&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

/// An Error ready to be returned from a function that returns Result<T>.
std::unexpected<Error> fail(Code code, std::string message);

/// The one place that turns errno into an Error: "<attempted>: <text of errno>". `attempted` names the action and the path.
std::unexpected<Error> fail_errno(std::string attempted, int os_errno);
Error errno_error(std::string attempted, int os_errno);

/// Prints `message` with the place on stderr and aborts: for broken invariants only.
[[noreturn]] void panic(std::string_view message, char const* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace insomnia

/// The value of a Result, or return its error from the enclosing function.
#define TRY(...)                                                              \
  ({                                                                          \
    auto try_result_ = (__VA_ARGS__);                                         \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    *std::move(try_result_);                                                  \
  })
