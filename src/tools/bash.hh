#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "tools/context.hh"

namespace insomnia::tools {

struct BashInput {
  std::string command;
  uint64_t timeout = 120;  ///< seconds, 1 to 600
  friend bool operator==(BashInput const&, BashInput const&) = default;
};
Result<BashInput> parse_bash_input(std::string_view json);

/// Runs a command with bash and waits for the shell to end. A status other than 0, a signal or the time-out makes an error result.
/// Background jobs of the command go on; their output then continues in a file.
Result<Output> run_bash(Call& call, BashInput const& input);

/// "$ <first line of the command>", at most 80 characters of it. Pure.
std::string bash_title(std::string_view command);

}  // namespace insomnia::tools
