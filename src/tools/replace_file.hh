#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"
#include "tools/scoped_path.hh"

namespace insomnia::tools {

/// Puts `content` at the target. `expected` is the identity that the file there must have (nothing: no file may be there); it is
/// looked at again at the last moment, and a difference is an error that leaves the file as it is.
///
/// An existing file keeps its mode, owner, extended attributes and ACL: a new one is written beside it, synced and renamed over
/// it. It is rewritten in place instead, its old bytes kept in the spill directory until that is done, when it has several hard
/// links, when its directory may not be written, when it is a mount point, or when its owner could not be kept. A new file gets
/// the default mode; missing directories are made.
/// REQUIRES: the caller holds the target's write ticket.
Result<void> replace_file(Call& call, Target const& target, std::optional<std::string> const& expected,
                          std::string_view content);

}  // namespace insomnia::tools
