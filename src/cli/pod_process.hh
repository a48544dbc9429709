#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.hh"
#include "base/paths.hh"
#include "base/unique_fd.hh"
#include "registry/registry.hh"

namespace insomnia::cli {

/// A Pod's process that is not our child, held through a pidfd: signals reach it or nobody, never another
/// process that was given its pid. Passive.
class PodProcess {
 public:
  /// The process that holds the row's lock now; nothing when none does.
  static Result<std::optional<PodProcess>> find(Paths const& paths, registry::Allocation const& row);

  /// Whether it has ended, waiting at most `timeout_ms`.
  bool wait(int64_t timeout_ms) const;
  /// SIGTERM and the like to the Pod alone; silently nothing when it has ended.
  void signal(int signal_number) const;
  /// SIGKILL to the process and the rest of its group.
  void kill_group() const;

  std::string const& name() const { return name_; }
  pid_t pid() const { return pid_; }

 private:
  PodProcess(std::string name, pid_t pid, UniqueFd pidfd)
      : name_(std::move(name)), pid_(pid), pidfd_(std::move(pidfd)) {}
  std::string name_;
  pid_t pid_;
  UniqueFd pidfd_;
};

}  // namespace insomnia::cli
