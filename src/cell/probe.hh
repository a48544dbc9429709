#pragma once

#include <string>
#include <string_view>

#include "base/error.hh"
#include "base/paths.hh"
#include "cell/isolation.hh"

namespace insomnia::cell {

/// What this machine offers, and why not more.
struct Level {
  Isolation isolation = Isolation::None;
  std::string reason;  ///< what refused a cell; empty when there is one
};

/// Makes a cell and enters it: many settings can forbid that (sysctl, AppArmor, seccomp, containers), some of them half-way. Returns what refused.
/// REQUIRES: one thread.
Result<void> try_cell();

/// What to do where there is no cell, by what refused it and by the distribution (the text of /etc/os-release). Pure.
std::string cell_remedy(std::string_view os_release, std::string_view reason, bool in_container);

/// `insomnia cell-probe`: try_cell() with its error on stdout; the exit code is 0 or 1.
int cell_probe_main();

/// The level of this machine for this user: asked once after each boot by starting `program cell-probe`, then kept in
/// `<runtime_dir>/cell-level`. Blocks for some milliseconds when it has to ask.
Level level_of_machine(Paths const& paths, std::string const& program);

}  // namespace insomnia::cell
