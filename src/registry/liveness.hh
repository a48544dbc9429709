#pragma once

#include <optional>
#include <string>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "registry/registry.hh"

namespace insomnia::registry {

/// The lock that proves that an instance is alive: an open-file-description lock on
/// `<runtime_dir>/<name>/lock`. The file holds the instance's id, pid and start time for others to read; it
/// is never unlinked.
class InstanceLock {
 public:
  /// Takes the lock or says who holds it (AlreadyExists). Directories are made with mode 0700. After taking
  /// it, the inode is compared with the path, so a replaced file is noticed. `instance_id` has no blanks.
  /// Every descriptor is close-on-exec.
  static Result<InstanceLock> acquire(std::string const& path, std::string const& instance_id);
  /// Descriptor to hand to helpers that must count as this instance.
  int fd() const { return fd_.get(); }

 private:
  explicit InstanceLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

struct LockHolder {
  std::string instance_id;  ///< empty when the file does not say (it is being written, or was damaged)
  pid_t pid = 0;
  uint64_t start_time = 0;  ///< of the process, in the kernel's ticks since boot: with pid, for signalling
  friend bool operator==(LockHolder const&, LockHolder const&) = default;
};

/// Who holds the lock now: nothing when nobody does. Disturbs nobody (F_OFD_GETLK).
Result<std::optional<LockHolder>> lock_holder(std::string const& path);

/// Liveness for rows of the registry below `runtime_dir`: a live row is alive while its instance holds
/// `<name>/lock`; a reservation while its spawner's instance holds the lock of `spawner_name`. What cannot be
/// found out counts as alive: a scope is given away only when nobody can write there.
Liveness lock_liveness(std::string runtime_dir);

}  // namespace insomnia::registry
