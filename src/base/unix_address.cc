#include "base/unix_address.hh"

#include <sys/socket.h>

#include <cstring>

#include "base/paths.hh"

namespace insomnia {

Result<sockaddr_un> unix_address(std::string const& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > kMaxSocketPath) {
    return fail(Code::InvalidArgument, "the socket path " + path + " has " + std::to_string(path.size()) + " bytes, the kernel takes " +
                                           std::to_string(kMaxSocketPath) + "; set INSOMNIA_RUNTIME_DIR to a shorter directory");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace insomnia
