#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "scope/scope.hh"

/// How the file tools turn a path of the model into one they may touch.
namespace insomnia::tools {

/// A path that was checked.
struct Target {
  std::string given;     ///< as the model named it
  std::string resolved;  ///< canonical; what is opened
};

/// Checks `path` against the scope, symbolic links followed first. Errors say which rule or which link is in the way and
/// what would be allowed. The thing at the path need not exist.
Result<Target> locate(scope::Scope const& scope, std::string const& path, scope::Permission wanted);

/// The same text that locate() gives when the scope refuses a path that holds no symbolic link.
Error refusal(scope::Scope const& scope, std::string const& shown, std::string const& resolved, scope::Permission wanted);

/// Opens a canonical path without following any symbolic link, so that one put there after the check does not win.
/// Close-on-exec, never blocks on a FIFO, never becomes a controlling terminal.
Result<UniqueFd> open_resolved(std::string const& resolved, int flags, unsigned mode = 0);

/// Opens an existing regular file for reading; errors in plain words for what is missing, a directory or a special file.
Result<UniqueFd> open_regular(Target const& target);

}  // namespace insomnia::tools
