#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"

namespace insomnia::cell {

/// Replaces this process by a program, which is looked for along the PATH of its environment. Descriptors but the standard ones are closed, signals are default.
/// When there is no such program: says so on stderr and exits with 127, with 126 when it cannot be executed.
[[noreturn]] void become_program(std::vector<std::string> const& argv, Environment const& environment);

}  // namespace insomnia::cell
