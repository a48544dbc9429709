#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "scope/rule.hh"

/// The sets of paths behind rules: lexical, pure, on canonical absolute paths.
namespace insomnia::scope {

/// One path; a path and its direct children (non-recursive rule); a path and all below (recursive rule).
struct PathSet {
  enum class Kind { Point, Flat, Tree };
  std::string_view target;  ///< borrowed from the rule
  Kind kind = Kind::Point;
  friend bool operator==(PathSet const&, PathSet const&) = default;
};

/// "/a" of "/a/b", "/" of "/a", nothing ("") of "/".
std::string_view parent_of(std::string_view path);

PathSet paths_of(ScopeRule const& rule);
/// Whether every path of `inner` is in `outer`.
bool contains(PathSet const& outer, PathSet const& inner);
/// The paths that both have, exactly; nothing when there are none.
std::optional<PathSet> shared_paths(PathSet const& a, PathSet const& b);

/// What a rule's target that is not UTF-8 is refused with: manifests, logs and messages could not name it.
Error not_utf8(std::string_view path);

/// Whether the text can be a rule's target: absolute, no empty, "." or ".." component, no trailing slash, no
/// NUL.
bool is_canonical_form(std::string_view path);

}  // namespace insomnia::scope
