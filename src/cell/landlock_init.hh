#pragma once

#include "base/environment.hh"
#include "cell/control_socket.hh"
#include "cell/mount_plan.hh"

namespace insomnia::cell {

/// `insomnia cell-init` where the kernel refuses namespaces: runs the Pod's hands as a process below this one, and every command that they start in a
/// Landlock domain made from the scope of that moment. A domain can't be narrowed from outside, so scope is lent only when no command runs. Holds the Pod's
/// locks (`locks` descriptors after the control socket's) until everything below has ended. Returns what cell_init_main returns.
/// REQUIRES: one thread.
Result<int> run_landlock_init(int hands, ControlSocket& control, int locks, CellStart const& start);

struct LandlockCommand {
  PlanRequest plan;
  std::vector<std::string> own_directories;  ///< writable besides
  std::string cwd;
  std::vector<std::string> argv;
  Environment environment;
  bool network = true;
  Limits limits;
};

/// Like run_confined(), without namespaces.
Result<int> run_under_landlock(LandlockCommand const& command);

}  // namespace insomnia::cell
