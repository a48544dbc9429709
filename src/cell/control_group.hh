#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.hh"
#include "cell/limits.hh"

namespace insomnia::cell {

/// Control groups of a cell's own, below the one that this process is in, for the limits that the kernel counts for many processes together.
/// Version 2 where it is delegated to this user, else version 1. Removed with this object; the processes in them must have ended by then.
class ControlGroup {
 public:
  /// Makes those that the limits need and that can be had here. An empty one when there are none.
  static ControlGroup make(Limits const& limits);
  ControlGroup(ControlGroup&& other) = default;
  ControlGroup& operator=(ControlGroup&&) = delete;
  ~ControlGroup();

  /// Moves a process into them.
  Result<void> add(pid_t pid) const;
  bool limits_processes() const { return limits_processes_; }
  bool limits_memory() const { return limits_memory_; }
  /// Leaves them to another process, which has this object too (after a fork).
  void forget() { directories_.clear(); }

 private:
  ControlGroup() = default;
  std::vector<std::string> directories_;
  bool limits_processes_ = false;
  bool limits_memory_ = false;
};

}  // namespace insomnia::cell
