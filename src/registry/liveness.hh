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
  /// it, the inode is compared with the path, so a replaced file is noticed. `instance_id` has no blanks. Waits some seconds for what
  /// a killed instance has left (wait_for_remains).
  /// Every descriptor is close-on-exec.
  static Result<InstanceLock> acquire(std::string const& path, std::string const& instance_id);
  /// Descriptor to hand to helpers that must count as this instance.
  int fd() const { return fd_.get(); }
  /// Whether the path still names the file that is locked; if not, others do not see the lock.
  bool is_at(std::string const& path) const;

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

/// LockHolder::start_time of a process that is there.
Result<uint64_t> process_start_time(pid_t pid);

/// Who holds the lock now: nothing when nobody does. Disturbs nobody (F_OFD_GETLK).
Result<std::optional<LockHolder>> lock_holder(std::string const& path);

/// What an instance leaves when its process is killed: for some milliseconds more its cell holds the lock, until nothing in it can write any more.
/// Waits for that, at most `limit_ms`. True: the lock is free, or held by a process that lives. Blocks.
bool wait_for_remains(std::string const& path, int64_t limit_ms);

/// Whether the instance has held this lock and does so no more, by what the file says. Final.
Result<bool> has_left(std::string const& path, std::string const& instance_id);

/// Liveness for rows of the registry: a live row is alive while its instance holds `<runtime_dir>/<name>/lock` or
/// `<data_dir>/pods/<name>/lock`, a reservation while its spawner's instance holds one of those of
/// `spawner_name`. The second is asked when the first says no: a runtime directory can vanish under living Pods.
/// Without a `data_dir` it is not. What cannot be found out counts as alive: a scope is given away only when
/// nobody can write there.
Liveness lock_liveness(std::string runtime_dir, std::string data_dir);

}  // namespace insomnia::registry
