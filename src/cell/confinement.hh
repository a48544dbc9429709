#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "cell/limits.hh"
#include "cell/seccomp_filter.hh"

namespace insomnia::cell {

/// What holds the processes of a cell beside their view: limits, no capabilities, no new ones, a filter of system calls, and where the kernel has
/// it a Landlock domain that keeps signals and abstract sockets inside.
class Confinement {
 public:
  static Result<Confinement> prepare(Limits const& limits, FilterRequest const& filter = {});
  /// Puts all of it in force for the caller and whatever it starts, for good. REQUIRES: one thread, the cell's namespaces entered (if it has any).
  Result<void> enter() const;

 private:
  Limits limits_;
  std::vector<sock_filter> filter_;
  UniqueFd landlock_;
};

/// Nobody in the caller's user namespace makes a further one from now on, and so none of any other kind: in its own one it would have
/// capabilities. Where the kernel does not know that, the filter alone says so.
void forbid_further_user_namespaces();

}  // namespace insomnia::cell
