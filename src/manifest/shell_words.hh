#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace insomnia::manifest {

/// Stands in a word for what only the shell knows: the value of a variable, the output of a command, the names that a pattern or a brace gives.
inline constexpr char kUnknown = '\x01';

/// One simple command of a shell text: its words, quotes removed, without assignments before it and redirections.
struct SimpleCommand {
  std::vector<std::string> words;  ///< at least one
  /// The command is only run by way of this one: `env`, `sudo`, `xargs`, `bash -c`, … (its words as written).
  std::vector<std::vector<std::string>> wrappers;
  friend bool operator==(SimpleCommand const&, SimpleCommand const&) = default;
};

/// All simple commands of a text for bash, also those in substitutions, in groups, behind `env`, `sudo`, `xargs`, `find -exec`, and in the text of `sh -c` and `eval`. Pure.
/// Nothing when that can't be said for sure: quotes that are not closed, syntax that is not understood here (functions, `case`, arithmetic), a name of a
/// command that only the shell knows, options of a wrapper that are not known. For policies, so it is never a guess.
std::optional<std::vector<SimpleCommand>> simple_commands(std::string_view text);

}  // namespace insomnia::manifest
