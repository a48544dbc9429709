#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"
#include "cell/limits.hh"
#include "cell/mount_plan.hh"
#include "cell/namespaces.hh"

namespace insomnia::cell {

struct ConfinedCommand {
  MountPlan plan;
  std::string cwd;  ///< in the view
  std::vector<std::string> argv;
  Environment environment;
  NamespaceRequest namespaces;
  Limits limits;
};

/// Runs the command in a cell of its own, with the caller's standard input, output and error, to its end; whatever it has started ends with it.
/// Returns its exit status, 128 + N after a signal N, 127 when there is no such program, 126 when it cannot be executed. The error is that the
/// cell could not be made.
/// REQUIRES: the caller has one thread.
Result<int> run_confined(ConfinedCommand const& command);

}  // namespace insomnia::cell
