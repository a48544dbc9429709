#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <span>
#include <string_view>
#include <vector>

#include "base/unique_fd.hh"

/// Descriptors over Unix sockets (unix(7), SCM_RIGHTS).
namespace insomnia::base {

inline constexpr size_t kMostDescriptors = 8;

/// As send(2), with descriptors (at most kMostDescriptors) on its first byte; they stay the caller's.
ssize_t send_with_descriptors(int socket, std::string_view bytes, std::span<int const> descriptors, int flags);

/// As recv(2); descriptors that come with what is received are appended, close-on-exec. With more than kMostDescriptors at once the rest is closed.
ssize_t receive_with_descriptors(int socket, std::span<char> buffer, int flags, std::vector<UniqueFd>& descriptors);

/// Those that came with a received message.
std::vector<UniqueFd> take_descriptors(msghdr& message);

}  // namespace insomnia::base
