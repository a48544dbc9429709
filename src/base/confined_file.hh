#pragma once

#include <optional>
#include <string>

#include "base/error.hh"

namespace insomnia::io {

/// The content of `directory`/`relative`; nothing when it does not exist. For files below directories that a
/// Pod may write: a symbolic link that leads out of `directory` is an error (PermissionDenied), so that
/// nobody can put a file before a model that his own tools could not read. Errors also: not a regular file,
/// over `limit` bytes, not UTF-8.
Result<std::optional<std::string>> read_confined_file(std::string const& directory,
                                                      std::string const& relative, size_t limit);

}  // namespace insomnia::io
