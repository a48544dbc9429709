#pragma once

#include <cstdint>
#include <string>

#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::registry {

/// An open-file-description lock on a whole file: it belongs to the descriptor and its copies, not to the
/// process, and ends with the last of them. The file is made with mode 0600 if it is missing and never
/// unlinked.
class FileLock {
 public:
  /// Takes the lock or fails with Conflict. Afterwards `path` is known to name the locked file.
  static Result<FileLock> try_take(std::string const& path);
  /// The same, waiting at most `limit_ms`; then Timeout.
  static Result<FileLock> wait(std::string const& path, int64_t limit_ms);

  int fd() const { return fd_.get(); }
  UniqueFd release() && { return std::move(fd_); }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// Whether somebody holds the lock on an open file. Takes nothing.
Result<bool> is_locked(int fd, std::string const& path);

}  // namespace insomnia::registry
