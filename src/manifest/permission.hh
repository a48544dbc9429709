#pragma once

#include <string>
#include <string_view>

#include "manifest/manifest.hh"

namespace insomnia::manifest {

/// What the permission policy says to one tool call.
struct PermissionDecision {
  PermissionAction action = PermissionAction::Allow;
  /// Text of the error result that answers the call instead of running it; empty exactly when the call is
  /// allowed. `Ask` is refused like `Deny`, with its own text, as long as nobody can be asked.
  std::string refusal;
  bool allowed() const { return action == PermissionAction::Allow; }
  friend bool operator==(PermissionDecision const&, PermissionDecision const&) = default;
};

/// The first rule whose tool and pattern match decides, else default_action (absent: deny). Pure. Tool names ignore ASCII case; `cwd` is where the
/// Pod works (absolute). This is a convenience for people, not a wall: what a program does is not visible in its name. What holds is the scope and the cell.
///
/// What the patterns are compared with (doc/manifest.md):
///   Bash              each simple command of the text (shell_words.hh) is decided by itself, its words joined by blanks, and the strictest counts. An `allow`
///                     has to match whatever the shell puts in; a `deny` or `ask` also counts when it may match, for the program without its directory, for what runs the
///                     command (sudo, xargs), and for the text as it was written. A text that is not understood is `ask`, where any rule could refuse it.
///   Read, Write, Edit the path, absolute and without `..`, or relative to `cwd` when it is below
///   Glob, Grep        their `path` in the same way (default: `cwd`)
///   others            the first string among command, file_path, path, pattern, query, url; else the arguments as compact JSON with sorted keys
PermissionDecision decide(Permissions const& permissions, std::string_view tool, std::string_view arguments_json, std::string_view cwd = "/");

/// What the patterns of other tools are compared with.
std::string permission_target(std::string_view arguments_json);

/// Whether `pattern` describes all of `text`: `*` is any run, `?` one character (UTF-8). Case-sensitive.
/// Pure. An unknown part of the text (kUnknown) is described by `*` alone.
bool wildcard_match(std::string_view pattern, std::string_view text);
/// The same for a text whose unknown parts may be anything: whether it may be described.
bool wildcard_may_match(std::string_view pattern, std::string_view text);

}  // namespace insomnia::manifest
