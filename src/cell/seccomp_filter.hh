#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.hh"

/// The system calls that no process of a cell may make, as a BPF program: a value that is tested by evaluating it. What is refused and why: doc/cell.md.
namespace insomnia::cell {

/// Calls that are refused answer EPERM, calls for which programs have another way (clone3, io_uring, calls of another architecture) ENOSYS.
Result<std::vector<sock_filter>> system_call_filter();

/// Puts the filter in force for this process and all that it starts, for good.
/// REQUIRES: one thread; no_new_privs is set.
Result<void> install_filter(std::vector<sock_filter> const& filter);

}  // namespace insomnia::cell
