#pragma once

#include <sys/un.h>

#include <string>

#include "base/error.hh"

namespace insomnia {

/// The address of a Unix socket. InvalidArgument, with the way out, when the path is longer than the kernel takes (kMaxSocketPath).
Result<sockaddr_un> unix_address(std::string const& path);

}  // namespace insomnia
