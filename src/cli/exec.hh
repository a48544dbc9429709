#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia exec`.
struct ExecOptions {
  std::string name;
  std::string cwd;               ///< "": where the Pod works
  std::vector<std::string> env;  ///< names of variables that the command gets besides those of the Pod's commands
  std::vector<std::string> command;
  friend bool operator==(ExecOptions const&, ExecOptions const&) = default;
};

/// Runs a command in the cell of a living Pod, with standard input, output and error of the caller (a terminal becomes one of its own there). Returns the command's exit
/// status, kFailed when it could not be run.
int exec_in_pod(ExecOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
