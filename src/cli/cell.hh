#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia cell`.
struct CellOptions {
  std::vector<std::string> scope;  ///< read:PATH, write:PATH, deny-read:PATH, deny-write:PATH
  std::string manifest, profile;   ///< whose scope and sandbox count where the other options say nothing; "": none
  std::string network;             ///< full, none; "": as the settings say, else full
  std::string isolation;           ///< cell, landlock; "": the strongest that this machine has
  std::vector<std::string> env;    ///< names of variables that the command gets besides
  bool explain = false;
  std::vector<std::string> command;
  friend bool operator==(CellOptions const&, CellOptions const&) = default;
};

/// Runs a command under a scope that the kernel holds, without any Pod. Returns its exit status; kUsage when the options are wrong, kFailed when
/// no cell can be made here.
int run_in_cell(CellOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
