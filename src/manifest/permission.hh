#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "manifest/manifest.hh"

namespace insomnia::manifest {

/// Why somebody has to be asked before a call runs.
struct PermissionQuestion {
  std::string key;     ///< equal for the questions that one remembered answer holds for
  std::string reason;  ///< which rule asks, and for which part of the call
  std::string covers;  ///< what a remembered answer holds for, in words
  friend bool operator==(PermissionQuestion const&, PermissionQuestion const&) = default;
};

/// What the permission policy says to one tool call.
struct PermissionDecision {
  PermissionAction action = PermissionAction::Allow;
  std::string refusal;                        ///< Deny: the text of the error result that answers the call instead of running it; else empty
  std::vector<PermissionQuestion> questions;  ///< Ask: all that needs a word, each key once; else empty
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
/// What several policies say together: one that denies, denies; else all that ask are asked in one go.
PermissionDecision decide(std::vector<Permissions> const& policies, std::string_view tool, std::string_view arguments_json, std::string_view cwd = "/");

/// How long a question may stay open, up to a year. Of several policies the shortest times count.
struct AskLimits {
  uint64_t timeout_secs = 300;    ///< without an answer
  uint64_t unattended_secs = 10;  ///< without anybody who could answer
  friend bool operator==(AskLimits const&, AskLimits const&) = default;
};
AskLimits ask_limits(std::vector<Permissions> const& policies);

/// The text for the model of a question that got no yes. `why`: "the answer is no", …
std::string not_given(std::string_view tool, std::vector<PermissionQuestion> const& questions, std::string_view why);

/// What the patterns of other tools are compared with.
std::string permission_target(std::string_view arguments_json);

/// Whether `pattern` describes all of `text`: `*` is any run, `?` one character (UTF-8). Case-sensitive.
/// Pure. An unknown part of the text (kUnknown) is described by `*` alone.
bool wildcard_match(std::string_view pattern, std::string_view text);
/// The same for a text whose unknown parts may be anything: whether it may be described.
bool wildcard_may_match(std::string_view pattern, std::string_view text);

}  // namespace insomnia::manifest
