#pragma once

#include <sys/types.h>

#include <functional>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "cell/control_group.hh"

namespace insomnia::cell {

struct NamespaceRequest {
  bool network = true;  ///< false: a network of its own, with loopback (up) and nothing else
  ControlGroup const* group = nullptr;  ///< that the process is put into before it does anything
};

/// The first process of new user, mount, pid and ipc namespaces.
struct FirstProcess {
  pid_t pid = 0;
  UniqueFd pidfd;
};

/// Forks a process that is the first one of its namespaces and runs `body` there; what that returns is its exit status. The users of the caller
/// keep their numbers: all of them when the caller is root, the own one else. It is killed when the caller dies.
/// REQUIRES: the caller has one thread. Errors name what the kernel refused, and the way out.
Result<FirstProcess> start_in_namespaces(NamespaceRequest const& request, std::function<int()> body);

/// A status of waitpid as shells say it: the exit code, or 128 + N after signal N.
int shell_status(int wait_status);

/// Gives up all capabilities for good, of programs that are executed later too.
Result<void> drop_capabilities();

}  // namespace insomnia::cell
