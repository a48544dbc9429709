#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "scope/rule.hh"

namespace insomnia::scope {

/// The canonical form of an absolute path: symbolic links of the existing part resolved (also one whose
/// target is missing: the result is that target), a missing tail kept as it is. Nothing when the path is
/// relative, has a NUL byte, has ".." in its missing part or below a file, is longer than the kernel takes,
/// or runs in circles.
std::optional<std::string> resolve_path(std::string const& path);
/// The same with the reason.
Result<std::string> canonical_path(std::string const& path);

/// Whether `path` equals `base` or lies below it, by components. Both canonical; pure.
bool is_below(std::string_view path, std::string_view base);

/// Whether the rule speaks of this canonical path. Pure.
bool matches(ScopeRule const& rule, std::string_view resolved_path);
/// Whether some path is covered by both rules, permissions aside. Pure.
bool rules_overlap(ScopeRule const& a, ScopeRule const& b);
/// Whether `cover` grants at least `inner.permission` on everything that `inner` covers; not, if `inner` would write in a protected place that
/// `cover` does not open (scope/protected.hh). Pure.
bool covers_fully(ScopeRule const& cover, ScopeRule const& inner);
/// Whether one grant of a delegation scope covers the request fully and no deny of it touches the request.
/// Pure.
bool delegation_allows(ScopeConfig const& delegation, ScopeRule const& requested);

/// What decides about one path: for errors that name the rule.
struct Decision {
  std::optional<Permission> permission;  ///< nothing: no access
  std::optional<ScopeRule> denied_by;    ///< the deny rule that lowered it, if one did
  std::string protected_place;           ///< a protected place for which a write rule that covers it does not count; "" when there is none
};

/// What a Pod may touch. A value: resolved once, compared, printed, tested without files.
/// permission_at = max of the matching allow rules, capped strictly below every matching deny rule. In protected places (scope/protected.hh)
/// a write rule counts as a read rule unless it opens them.
class Scope {
 public:
  /// Resolves every target. Errors: no allow rule at all, a relative target, a target that cannot be
  /// resolved.
  static Result<Scope> create(ScopeConfig const& config);
  /// One recursive write rule on an existing directory.
  static Result<Scope> writable(std::string const& root);
  /// REQUIRES: all targets canonical. For rules that were resolved before (registry rows, hand-over).
  static Scope from_resolved(ScopeConfig rules);

  Decision decide(std::string const& path) const;
  std::optional<Permission> permission_at(std::string const& path) const { return decide(path).permission; }
  bool is_readable(std::string const& path) const { return permission_at(path).has_value(); }
  bool is_writable(std::string const& path) const { return permission_at(path) == Permission::Write; }
  /// The same for a path that is known to be canonical: no file system access.
  Decision decide_resolved(std::string_view resolved_path) const;

  std::vector<ScopeRule> const& allow_rules() const { return rules_.allow; }
  std::vector<ScopeRule> const& deny_rules() const { return rules_.deny; }
  ScopeConfig const& rules() const { return rules_; }
  std::vector<std::string> readable_paths() const;
  std::vector<std::string> writable_paths() const;

  Result<Scope> with_added_allow_rules(std::vector<ScopeRule> const& extra) const;
  Result<Scope> with_added_deny_rules(std::vector<ScopeRule> const& extra) const;
  /// Removes at most one exactly equal deny rule for each given one.
  /// The same, and what lies below `directory` (canonical) may be read whatever the rules say: files that the Pod itself made outside of what
  /// it was given. No rule: rules() does not have it.
  Scope with_own_files(std::string directory) const;
  /// The same, and what lies below these targets may be read or written as long as no rule speaks of it: a HOME and a /tmp that no other process
  /// sees. rules() does not have them.
  Scope with_own_directories(std::vector<ScopeRule> directories) const;
  Scope with_removed_deny_rules(std::vector<ScopeRule> const& rules) const;

  /// "Readable:\n  - /w\nWritable:\n  - /w/src [non-recursive]"; deny rules are not shown; no newline at the
  /// end.
  std::string summary() const;

  friend bool operator==(Scope const&, Scope const&) = default;

 private:
  ScopeConfig rules_;
  std::string own_files_;
  std::vector<ScopeRule> own_directories_;
};

/// A Scope that one thread changes and many read: load() gives the value of the moment.
class SharedScope {
 public:
  explicit SharedScope(Scope scope);
  std::shared_ptr<Scope const> load() const;
  void store(Scope scope);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Scope const> current_;
};

/// Checks what a SpawnPod asks for and makes it canonical: absolute, no "..", resolvable; rules on one target
/// become one. The message of an error has `must not be empty` or `must be absolute` where the spec says so.
Result<std::vector<ScopeRule>> canonical_request(std::vector<ScopeRule> const& requested);

/// The denies that travel to a child: the spawner's own deny rules that overlap a requested rule.
std::vector<ScopeRule> travelling_denies(std::vector<ScopeRule> const& spawner_denies,
                                         std::vector<ScopeRule> const& requested);

/// "write:/p [non-recursive]".
std::string describe_rule(ScopeRule const& rule);
/// "write:/p [non-recursive], read:/q", or "(none)".
std::string describe_rules(std::vector<ScopeRule> const& rules);

/// Parses "read:PATH" or "write:PATH" of the command line; relative paths are joined to `base`.
Result<ScopeRule> parse_rule(std::string_view text, std::string const& base);

}  // namespace insomnia::scope
