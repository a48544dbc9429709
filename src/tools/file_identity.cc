#include "tools/file_identity.hh"

#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/sha256.hh"

namespace insomnia::tools {

std::string identity_of_content(std::string_view content) { return sha256_hex(content); }

std::string identity_of_stat(struct stat const& info) {
  return "stat:" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec) + "." +
         std::to_string(info.st_mtim.tv_nsec) + ":" + std::to_string(info.st_ino);
}

Result<void> read_blocks(int fd, std::string const& what, CallControl const& control,
                         std::function<bool(std::string_view)> const& block) {
  constexpr size_t kBlock = 64 << 10;
  auto buffer = std::make_unique<char[]>(kBlock);
  for (;;) {
    TRY(control.check());
    ssize_t count = ::read(fd, buffer.get(), kBlock);
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read " + what, errno);
    }
    if (count == 0 || !block({buffer.get(), static_cast<size_t>(count)})) return {};
  }
}

Result<std::string> identity_of_file(int fd, std::string const& what, CallControl const& control) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("stat " + what, errno);
  if (static_cast<uint64_t>(info.st_size) > kMaxHashedFile) return identity_of_stat(info);
  Sha256 hash;
  TRY(read_blocks(fd, what, control, [&](std::string_view bytes) {
    hash.update(bytes);
    return true;
  }));
  return hash.finish();
}

}  // namespace insomnia::tools
