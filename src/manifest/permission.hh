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

/// The first rule whose tool and pattern match decides, else default_action (absent: deny). Pure.
/// Tool names ignore ASCII case. This is a convenience for people, not a wall: what a command does is not
/// visible in its text. What holds is the scope and the cell.
PermissionDecision decide(Permissions const& permissions, std::string_view tool,
                          std::string_view arguments_json);

/// What the patterns are compared with: the first string among command, file_path, path, pattern, query, url;
/// else the arguments as compact JSON with sorted keys.
std::string permission_target(std::string_view arguments_json);

/// Whether `pattern` describes all of `text`: `*` is any run, `?` one character (UTF-8). Case-sensitive.
/// Pure.
bool wildcard_match(std::string_view pattern, std::string_view text);

}  // namespace insomnia::manifest
