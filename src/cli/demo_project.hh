#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"

/// The project of the demo on disk, and the programs that it needs.
namespace insomnia::cli {

/// Writes the embedded project below `directory`, which it creates.
Result<void> unpack_demo_project(std::string const& directory);

/// The absolute path of a program on the PATH, or nothing.
std::optional<std::string> find_program(std::string_view name, Environment const& environment);

/// An error that names what the demo's project is built with and is not there.
Result<void> check_build_tools(Environment const& environment);

/// How a program ended and what it printed on stdout and stderr.
struct ProgramRun {
  bool ok = false;
  std::string status;  ///< "exit code 2", "killed by signal …", "not ended after 60 s"
  std::string output;
};

/// Runs a program to its end, or kills it with its group after `limit_ms`. At most 1 MiB of output is kept.
Result<ProgramRun> run_program(std::string const& program, std::vector<std::string> arguments,
                               std::string const& cwd, Environment const& environment, int64_t limit_ms);

/// What differs between two trees, as `diff -ru` prints it but for times; without that program, the changed
/// lines of each file.
Result<std::string> tree_diff(std::string const& parent, std::string const& before, std::string const& after,
                              Environment const& environment);

/// For tree_diff without a diff program: the lines between the first and the last difference. Empty when
/// equal. Pure.
std::string plain_diff(std::string const& name, std::string_view before, std::string_view after);

}  // namespace insomnia::cli
