#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

namespace insomnia::tools {

/// What a tool call gives: `summary` always, `content` where there is more. is_error: the call failed; the text says why and what
/// to do next.
struct Output {
  std::string summary;
  std::optional<std::string> content;
  bool is_error = false;
  friend bool operator==(Output const&, Output const&) = default;
};

/// An error result: "Tool execution failed: <kind>: <message>", the kind being "Invalid argument" (the call itself is wrong), "Internal
/// error" or "Execution failed"; a message that starts with its kind does not get it twice, and a cancelled call has none.
Output failed(Error const& error);

/// Where a tool runs: file tools and commands in the hands, the rest in the brain.
enum class Place { Hands, Brain };

/// A tool as the model is told of it, and where it runs.
struct Definition {
  std::string name;
  std::string description;
  std::string input_schema;  ///< JSON text of an object schema
  Place place = Place::Hands;
};

/// The builtin tools of this folder: Read, Write, Edit, Glob, Grep, Bash (hands), TaskCreate, TaskList, TaskGet, TaskUpdate (brain).
std::vector<Definition> const& builtin_definitions();

/// The argument of a call that a person recognises it by: the first of command, file_path, path, pattern, query, url, name,
/// subject that is a string; else "". One line.
std::string call_headline(std::string_view arguments_json);

/// Cuts `content` to `limit` bytes as a whole, on a character boundary, with a note that says how much was dropped. `summary` is
/// cut at 4 KiB.
Output limit_output(Output output, size_t limit);

}  // namespace insomnia::tools
