#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "cli/ask_desk.hh"
#include "cli/exit_code.hh"
#include "wire/event.hh"

namespace insomnia::cli {

/// Options of `insomnia run` (doc/cli.md).
struct RunOptions {
  std::string task;                ///< what to do; "-" reads it from stdin
  std::string name;                ///< empty: made from the directory's name
  std::string manifest;            ///< a manifest file
  std::string profile;             ///< a profile selector
  std::string model;               ///< provider/model
  std::vector<std::string> scope;  ///< read:PATH or write:PATH; empty: the manifest's, else write on cwd
  std::string cwd;                 ///< empty: the current directory
  bool json = false;               ///< event lines instead of text
  bool detach = false;             ///< return as soon as the task is accepted
  bool keep = false;               ///< leave the Pod alive when it is done
  std::optional<AskMode> asks;     ///< absent: the terminal, or nobody where there is none
  std::optional<uint32_t> max_turns;
  uint32_t wait_for_scope_s = 0;   ///< seconds to wait for a busy scope; 0: refused at once

  // For callers inside the program (the demo), not on the command line.

  /// Sees every event of the Pod and of all its descendants, in order per Pod.
  std::function<void(std::string const& pod, wire::Event const& event)> observer;
  /// Nothing on stdout and no hints on stderr; errors are still printed.
  bool quiet = false;
};

/// Starts (or continues) a Pod, gives it the task, shows what it and its children do until it is settled.
/// Returns the exit code. Blocks SIGINT, SIGTERM and SIGHUP while it runs and handles them; the caller's
/// signal mask is restored.
int run_task(RunOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
