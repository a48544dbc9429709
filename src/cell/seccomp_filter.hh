#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.hh"

/// The system calls that no process of a cell may make, as a BPF program: a value that is tested by evaluating it. What is refused and why: doc/cell.md.
namespace insomnia::cell {

/// What the view of a cell holds back by itself, and the filter has to where there is none.
struct FilterRequest {
  bool unix_sockets = true;  ///< false: but for pairs
  bool network = true;       ///< false: no sockets of the Internet, loopback included
};

/// Calls that are refused answer EPERM, calls for which programs have another way (clone3, io_uring, calls of another architecture) ENOSYS.
Result<std::vector<sock_filter>> system_call_filter(FilterRequest const& request = {});

/// Puts the filter in force for this thread and all that it starts, for good.
/// REQUIRES: no_new_privs is set.
Result<void> install_filter(std::vector<sock_filter> const& filter);

}  // namespace insomnia::cell
