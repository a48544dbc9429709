#pragma once

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia demo`.
struct DemoOptions {
  bool keep = false;  ///< leave the project and the Pods' sessions on disk and say where
  friend bool operator==(DemoOptions const&, DemoOptions const&) = default;
};

/// Shows a parent Pod that lets two children repair a small C++ project at the same time. The model is the
/// script `demo`; Pods, scopes and tools are real, and a real build proves the result. Everything, also the
/// Pods' state, is in a new temporary directory: while it runs, INSOMNIA_HOME of this process points there,
/// and the directories of the user are not touched. Returns 0 when two Pods worked, the write to a foreign
/// folder was refused and the project's tests pass.
int run_demo(DemoOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
