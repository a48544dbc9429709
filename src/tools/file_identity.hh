#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/call_control.hh"

namespace insomnia::tools {

/// Files up to this size are known by their content; larger ones by size, time of change and inode.
inline constexpr uint64_t kMaxHashedFile = 256u << 20;

std::string identity_of_content(std::string_view content);
std::string identity_of_stat(struct stat const& info);

/// Reads the rest of a descriptor in blocks; `block` says whether it wants more. `what` is named in errors.
Result<void> read_blocks(int fd, std::string const& what, CallControl const& control,
                         std::function<bool(std::string_view)> const& block);

/// The identity of an open regular file.
Result<std::string> identity_of_file(int fd, std::string const& what, CallControl const& control);

}  // namespace insomnia::tools
